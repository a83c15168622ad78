// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// NodePortsConfig configures NodePorts.
type NodePortsConfig struct {
	// Healthy returns whether the proxy is up to date, as Health.Healthy does.
	Healthy func() bool
	// Addresses are the node addresses to listen on (--nodeport-addresses).
	Addresses desired.NodePortAddresses
	// EachAddress listens on every single address instead of the unspecified one. HNS of Windows
	// Server 2019 rejects a load balancer on a port on which a program listens for all addresses
	// (kubernetes/community issue 8883), so forwarding of health checks requires it.
	EachAddress bool
	// OnListenFailed is called when a port of a Service cannot be opened, once until it has been
	// opened or has changed. It must return quickly; may be nil.
	OnListenFailed func(service services.Name, port uint16, err error)
	// Network may be nil for the network of this host.
	Network Network
	// Clock may be nil for the real one.
	Clock  clock.Clock
	Logger klog.Logger
	// Seed seeds the jitter of retries.
	Seed uint64
}

// NodePorts serves the health check node ports of Services, on which cloud load balancers check
// whether this node has local endpoints (externalTrafficPolicy Local). The counts follow the store
// at once, independently of HNS. Its methods may be called from several goroutines.
type NodePorts struct {
	cfg    NodePortsConfig
	wakeup chan struct{}
	// conns limits the connections of all ports together.
	conns *connLimit

	mu     sync.Mutex
	checks map[services.Name][]desired.HealthCheckPort
	// changed holds the Services whose ports have changed, and not only the counts.
	changed sets.Set[services.Name]
	// broken holds the Services whose listener has failed, and why.
	broken map[services.Name]error
	node   services.Node
	// addressesChanged is true if the addresses of the node have changed.
	addressesChanged bool
}

// NewNodePorts returns NodePorts, whose ports are closed until Run is called.
func NewNodePorts(cfg NodePortsConfig) *NodePorts {
	if cfg.Network == nil {
		cfg.Network = hostNetwork{}
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	return &NodePorts{
		cfg:     cfg,
		wakeup:  make(chan struct{}, 1),
		conns:   newConnLimit(maxCheckConns),
		checks:  map[services.Name][]desired.HealthCheckPort{},
		changed: sets.New[services.Name](),
		broken:  map[services.Name]error{},
	}
}

// Follow opens ports for the Services in a store, and counts the endpoints on the named node. It
// must be called before the store is filled.
func (n *NodePorts) Follow(store *services.Store, node string) {
	store.Follow(func(in services.Input) { n.set(in.Name, desired.HealthCheckPorts(in, node)) })
}

// set replaces the ports of one Service; an empty list removes them.
func (n *NodePorts) set(name services.Name, checks []desired.HealthCheckPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.checks[name]
	if len(checks) == 0 {
		delete(n.checks, name)
	} else {
		n.checks[name] = checks
	}
	same := func(a, b desired.HealthCheckPort) bool { return a.Family == b.Family && a.Port == b.Port }
	if !slices.EqualFunc(old, checks, same) {
		n.changed.Insert(name)
		n.wake()
	}
}

// SetNode updates the Node object, whose addresses the keyword primary refers to.
func (n *NodePorts) SetNode(node services.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addressesChanged = n.addressesChanged || !slices.Equal(n.node.IPs, node.IPs)
	n.node = node
	n.wake()
}

func (n *NodePorts) wake() {
	select {
	case n.wakeup <- struct{}{}:
	default:
	}
}

// Run keeps the ports open until ctx ends, and then closes them. It must be called after the
// initial lists are in the store, since missing endpoints would turn traffic away.
func (n *NodePorts) Run(ctx context.Context) {
	w := newPortWorker(n)
	defer w.closeAll()
	for {
		w.sync(ctx)
		timer := n.cfg.Clock.NewTimer(w.untilNext())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-n.wakeup:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// count returns the number of local endpoints of a Service.
func (n *NodePorts) count(name services.Name, f hnslb.Family) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.checks[name] {
		if c.Family == f {
			return c.LocalEndpoints
		}
	}
	return 0
}

// checkBody is the response body of a health check node port. Names, order and indentation are
// those of kube-proxy.
type checkBody struct {
	Service struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"service"`
	LocalEndpoints      int  `json:"localEndpoints"`
	ServiceProxyHealthy bool `json:"serviceProxyHealthy"`
}

// handler serves the ports of one Service and family: 200 if there are local endpoints and the
// proxy is healthy, else 503. The header reports the count to load balancers that weight nodes by
// it.
func (n *NodePorts) handler(name services.Name, f hnslb.Family) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body := checkBody{LocalEndpoints: n.count(name, f), ServiceProxyHealthy: n.cfg.Healthy()}
		body.Service.Namespace, body.Service.Name = name.Namespace, name.Name
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(body.LocalEndpoints))
		code := http.StatusServiceUnavailable
		if body.LocalEndpoints > 0 && body.ServiceProxyHealthy {
			code = http.StatusOK
		}
		w.WriteHeader(code)
		text, err := json.MarshalIndent(body, "", "\t")
		if err != nil {
			return // Cannot happen for these types.
		}
		_, _ = w.Write(printable.JSON(text)) // The client may have disconnected.
	})
}

// Network is the part of the host's network that servers use.
type Network interface {
	// InterfaceAddrs returns the addresses of the host, as net.InterfaceAddrs does.
	InterfaceAddrs() ([]net.Addr, error)
	// Listen opens a port; network is "tcp4", "tcp6", or "tcp" for either.
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

type hostNetwork struct{}

func (hostNetwork) InterfaceAddrs() ([]net.Addr, error) { return net.InterfaceAddrs() }

func (hostNetwork) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, network, address)
}

// addressPeriod is how often the addresses of the host are read, since there is no notification
// when they change.
const addressPeriod = time.Minute
