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

// NodePortsConfig is what NodePorts are made of.
type NodePortsConfig struct {
	// Healthy tells whether the proxy gets its work done, as Health.Healthy does.
	Healthy func() bool
	// Addresses of the node on which the ports are open (--nodeport-addresses).
	Addresses desired.NodePortAddresses
	// EachAddress opens the ports on every single address rather than on the unspecified
	// one. HNS of Windows Server 2019 refuses a load balancer on a port on which a program
	// listens for all addresses (kubernetes/community issue 8883), so that forwarding of
	// health checks needs it.
	EachAddress bool
	// OnListenFailed hears when a port of a Service cannot be opened: once, until it was
	// open or is another one. It must return soon; nil for nobody.
	OnListenFailed func(service services.Name, port uint16, err error)
	// Network may be nil for that of the machine.
	Network Network
	// Clock may be nil for the real one.
	Clock  clock.Clock
	Logger klog.Logger
	// Seed decides the jitter of retries.
	Seed uint64
}

// NodePorts answers on the health-check node ports of Services: a cloud load balancer asks
// there whether this node has local endpoints (externalTrafficPolicy Local). Counts follow
// the store at once, whatever HNS does. Its methods may be called from several goroutines.
type NodePorts struct {
	cfg    NodePortsConfig
	wakeup chan struct{}
	// conns bounds the connections of all ports together.
	conns *connLimit

	mu     sync.Mutex
	checks map[services.Name][]desired.HealthCheckPort
	// changed are Services whose ports, not only counts, changed.
	changed sets.Set[services.Name]
	// broken are Services of which a listener ended by itself, and why.
	broken map[services.Name]error
	node   services.Node
	// addressesChanged tells that the addresses of the node changed.
	addressesChanged bool
}

// NewNodePorts returns NodePorts that are closed before Run.
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

// Follow makes the ports those of the Services in a store, seen from the node of that name.
// It must be called before the store is filled.
func (n *NodePorts) Follow(store *services.Store, node string) {
	store.Follow(func(in services.Input) { n.set(in.Name, desired.HealthCheckPorts(in, node)) })
}

// set takes the checks of one Service; none forgets it.
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

// SetNode says what the Node object is now; its addresses are what "primary" means.
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

// Run keeps the ports open until ctx ends, and closes them. It must start when the store
// has seen the first lists: a count that lacks endpoints turns traffic away.
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

// count returns how many local endpoints a Service has.
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

// checkBody is the answer of a health-check node port. Names, order and indentation are
// kube-proxy's.
type checkBody struct {
	Service struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"service"`
	LocalEndpoints      int  `json:"localEndpoints"`
	ServiceProxyHealthy bool `json:"serviceProxyHealthy"`
}

// handler answers on the ports of one Service and family: 200 when there are local
// endpoints and the proxy gets its work done, else 503. The header tells the count to load
// balancers that weigh nodes by it.
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
			return // Strings, a number and a bool: JSON can say them.
		}
		_, _ = w.Write(printable.JSON(text)) // A prober that hung up is not our concern.
	})
}

// Network is what servers need of the machine's network.
type Network interface {
	// InterfaceAddrs lists the addresses of the machine, as net.InterfaceAddrs does.
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

// addressPeriod is how often the addresses of the machine are read again: adapters come
// and go, and nobody announces it.
const addressPeriod = time.Minute
