// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/klog/v2"

	"context"
)

// This file is the only one that knows how a proxy is made, filled and asked.

const (
	// auditPeriod is how often the proxy compares HNS by itself.
	auditPeriod = 30 * time.Second
	// callTimeout is how long one call of HNS may take, the default of --hns-call-timeout.
	callTimeout = 30 * time.Second
)

// proxy is one start of a proxy on a node.
type proxy struct {
	inner  *proxier.Proxier
	keeper *proxiertest.LawKeeper
	gate   *gate
	cancel context.CancelFunc
	ended  chan struct{}
	// crash is why Run ended with a panic or an error; it may be read once ended is closed.
	crash string
}

// newProxy makes a proxy that reaches HNS through a gate. It does not run yet.
func newProxy(g *gate, network string, seed uint64, clock *jumpClock) *proxy {
	options := desired.Options{DSR: true, RootEndpoint: rootName}
	if network == hnslb.NetworkOverlay {
		options.SourceVIP = sourceVIP
	}
	p := &proxy{gate: g, ended: make(chan struct{})}
	p.keeper = proxiertest.NewLawKeeper(g.driver, proxiertest.Options{Network: podNetwork, SourceVIP: options.SourceVIP})
	inner, err := proxier.New(proxier.Config{
		Driver: p.keeper, Network: podNetwork, Options: options, Node: thisNode(""),
		AuditPeriod: auditPeriod, MinSyncPeriod: 50 * time.Millisecond,
		Metrics: metrics.New(prometheus.NewRegistry()), Logger: klog.Logger{}, Clock: clock, Seed: seed,
	})
	if err != nil {
		panic(err) // the configuration is that of this package
	}
	p.inner = inner
	return p
}

func thisNode(zone string) services.Node {
	return services.Node{Name: nodeName, Zone: zone, IPs: []netip.Addr{nodeIP}, Eligible: true}
}

// start lets the proxy run.
func (p *proxy) start() {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(p.ended)
		defer func() {
			if r := recover(); r != nil {
				p.crash = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		if err := p.inner.Run(ctx); err != nil {
			p.crash = err.Error()
		}
	}()
}

// setService, deleteService, setSlice and deleteSlice are what informers do.
func (p *proxy) setService(svc *corev1.Service) error {
	_, err := p.inner.Store().SetService(svc)
	return err
}

func (p *proxy) deleteService(svc *corev1.Service) {
	p.inner.Store().DeleteService(services.Name{Namespace: svc.Namespace, Name: svc.Name})
}

func (p *proxy) setSlice(old, s *discoveryv1.EndpointSlice) error {
	_, err := p.inner.Store().SetSlice(old, s)
	return err
}

func (p *proxy) deleteSlice(s *discoveryv1.EndpointSlice) { p.inner.Store().DeleteSlice(s) }

func (p *proxy) setZone(zone string) { p.inner.SetNode(thisNode(zone)) }

func (p *proxy) audit() { p.inner.Audit() }

func (p *proxy) idle() bool { return p.inner.Idle() }

// row is what the proxy says of one frontend.
type row struct {
	service string
	key     hnslb.FrontendKey
	state   string
	reason  string
	message string
}

func (r row) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.service, r.key, r.state, r.reason))
}

// The states and reasons that the judge knows.
const (
	programmed = string(proxier.Programmed)
	pending    = string(proxier.Pending)
	blocked    = string(proxier.Blocked)

	heldByForeign = string(desired.ForeignHolder)
	conflict      = string(desired.Conflict)
	noEndpoints   = string(desired.NoEndpoints)
	localMissing  = string(desired.LocalMissing)
	localAwaited  = string(desired.LocalAwaited)
	noLocalPolicy = string(desired.NoLocalPolicy)
	noRoot        = string(desired.NoRootEndpoint)
	addressTaken  = string(desired.AddressTaken)
)

// rows returns what the proxy says of all frontends, in order.
func (p *proxy) rows() []row {
	var out []row
	for _, r := range p.inner.Table().Rows() {
		out = append(out, row{r.Frontend.Service.String(), r.Frontend.Key, string(r.State), string(r.Reason), r.Message})
	}
	return out
}

// broken returns the breaches of those laws that hold whatever goes wrong: nothing is
// programmed that could catch the traffic of others, and nothing of others is touched.
func (p *proxy) broken() []string {
	var out []string
	for _, b := range p.keeper.Broken() {
		for _, law := range []string{"law 4:", "law 7:", "law 10:", "law 12:"} {
			if strings.HasPrefix(b, law) {
				out = append(out, b)
			}
		}
	}
	return out
}
