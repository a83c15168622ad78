// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/backoff"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/sets"
)

// portWorker opens and closes the ports of NodePorts. Only the goroutine of Run uses it.
type portWorker struct {
	ports *NodePorts
	open  map[services.Name]map[netip.AddrPort]*openPort
	// addresses to listen on, and when they were last read.
	addresses map[hnslb.Family][]netip.Addr
	readAt    time.Time
	backoff   *backoff.Backoff[services.Name]
}

func newPortWorker(n *NodePorts) *portWorker {
	return &portWorker{
		ports:   n,
		open:    map[services.Name]map[netip.AddrPort]*openPort{},
		backoff: backoff.New[services.Name](n.cfg.Seed),
	}
}

// openPort is one listener of one Service.
type openPort struct {
	server *http.Server
	// done is closed when the server has stopped listening.
	done chan struct{}
}

func (o *openPort) alive() bool {
	select {
	case <-o.done:
		return false
	default:
		return true
	}
}

// close closes the port. Requests in progress are aborted, which a load balancer treats as a failed
// check.
func (o *openPort) close() {
	_ = o.server.Close() // the port is free whatever it says
	<-o.done
}

// sync opens and closes ports to match the desired ones. It closes first, so that a port can move
// from one Service to another.
func (w *portWorker) sync(ctx context.Context) {
	names := w.due()
	for _, name := range names {
		w.closeUnwanted(name)
	}
	for _, name := range names {
		w.openMissing(ctx, name)
	}
}

// due returns the Services to process now, in order.
func (w *portWorker) due() []services.Name {
	n := w.ports
	now := n.cfg.Clock.Now()
	n.mu.Lock()
	changed, broken, node, moved := n.changed, n.broken, n.node, n.addressesChanged
	n.changed, n.broken, n.addressesChanged = sets.New[services.Name](), map[services.Name]error{}, false
	n.mu.Unlock()
	for name := range changed {
		w.backoff.Succeeded(name) // retry at once, since the port may have changed
	}
	for name, err := range broken {
		w.failed(name, fmt.Errorf("serve health checks of Service %s: %w", name, err))
	}
	due := changed.Insert(w.backoff.Due(now)...)
	if moved || !now.Before(w.readAt.Add(addressPeriod)) {
		if w.readAddresses(node, now) {
			n.mu.Lock()
			due.Insert(slices.Collect(maps.Keys(n.checks))...)
			n.mu.Unlock()
		}
	}
	return slices.SortedFunc(maps.Keys(due), services.CompareNames)
}

// readAddresses updates the addresses to listen on, and returns whether they changed.
func (w *portWorker) readAddresses(node services.Node, now time.Time) bool {
	w.readAt = now
	fresh := map[hnslb.Family][]netip.Addr{}
	allowed := w.ports.cfg.Addresses.For(node)
	for f, unspecified := range map[hnslb.Family]netip.Addr{hnslb.IPv4: netip.IPv4Unspecified(), hnslb.IPv6: netip.IPv6Unspecified()} {
		if allowed.All(f) && !w.ports.cfg.EachAddress {
			fresh[f] = []netip.Addr{unspecified}
			continue
		}
		all, err := HostAddresses(w.ports.cfg.Network, f)
		if err != nil {
			w.ports.cfg.Logger.Error(err, "Cannot update health-check node ports; existing listeners left in place")
			fresh[f] = w.addresses[f]
			continue
		}
		fresh[f] = slices.DeleteFunc(all, func(ip netip.Addr) bool { return !allowed.Contains(ip) })
	}
	same := maps.EqualFunc(w.addresses, fresh, slices.Equal)
	w.addresses = fresh
	return !same
}

// HostAddresses returns the addresses of this host in one family, in order. Link-local addresses
// are left out: no load balancer uses them, and those of IPv6 need a zone.
func HostAddresses(n Network, f hnslb.Family) ([]netip.Addr, error) {
	all, err := n.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	var out []netip.Addr
	for _, a := range all {
		ip, ok := addrOf(a)
		if ok && hnslb.FamilyOf(ip) == f && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified() {
			out = append(out, ip)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}

// addrOf returns the address of an interface, which has either type on Windows.
func addrOf(a net.Addr) (netip.Addr, bool) {
	var raw net.IP
	switch a := a.(type) {
	case *net.IPNet:
		raw = a.IP
	case *net.IPAddr:
		raw = a.IP
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ip.Unmap(), ok
}

// wanted returns the addresses on which the ports of a Service should be open.
func (w *portWorker) wanted(name services.Name) map[netip.AddrPort]hnslb.Family {
	out := map[netip.AddrPort]hnslb.Family{}
	for _, c := range w.checksOf(name) {
		for _, ip := range w.addresses[c.Family] {
			out[netip.AddrPortFrom(ip, c.Port)] = c.Family
		}
	}
	return out
}

func (w *portWorker) checksOf(name services.Name) []desired.HealthCheckPort {
	w.ports.mu.Lock()
	defer w.ports.mu.Unlock()
	return w.ports.checks[name]
}

func (w *portWorker) closeUnwanted(name services.Name) {
	want := w.wanted(name)
	for at, o := range w.open[name] {
		if _, ok := want[at]; ok && o.alive() {
			continue
		}
		o.close()
		delete(w.open[name], at)
		w.ports.cfg.Logger.V(2).Info("Health-check node port closed", "service", name.String(), "address", at.String())
	}
	if len(w.open[name]) == 0 {
		delete(w.open, name)
	}
}

// openMissing opens ports that should be open. A port that cannot be opened is retried with
// backoff, without affecting others (law 9).
func (w *portWorker) openMissing(ctx context.Context, name services.Name) {
	want := w.wanted(name)
	var errs []error
	for _, at := range slices.SortedFunc(maps.Keys(want), netip.AddrPort.Compare) {
		if w.open[name][at] != nil {
			continue
		}
		if err := w.listen(ctx, name, at, want[at]); err != nil {
			errs = append(errs, err)
		}
	}
	for _, c := range w.checksOf(name) {
		if len(w.addresses[c.Family]) == 0 {
			errs = append(errs, fmt.Errorf("listen on port %d: no %s address of this host is in --nodeport-addresses", c.Port, c.Family))
		}
	}
	if len(errs) == 0 || ctx.Err() != nil {
		w.backoff.Succeeded(name)
		return
	}
	w.failed(name, fmt.Errorf("open health-check node port of Service %s: %w", name, errors.Join(errs...)))
}

// failed starts the backoff of a Service, and reports the first failure.
func (w *portWorker) failed(name services.Name, err error) {
	cfg := &w.ports.cfg
	known := w.backoff.Err(name) != nil
	w.backoff.Failed(name, err, cfg.Clock.Now())
	checks := w.checksOf(name)
	if known || len(checks) == 0 {
		return
	}
	port := checks[0].Port // the families of a Service share it
	cfg.Logger.Error(err, "Cannot open health-check node port; load balancers will not send traffic for this Service to this node; retrying", "service", name.String(), "port", port)
	if cfg.OnListenFailed != nil {
		cfg.OnListenFailed(name, port, err)
	}
}

func (w *portWorker) listen(ctx context.Context, name services.Name, at netip.AddrPort, f hnslb.Family) error {
	n := w.ports
	network := "tcp4"
	if f == hnslb.IPv6 {
		network = "tcp6"
	}
	listener, err := n.cfg.Network.Listen(ctx, network, at.String())
	if err != nil {
		return err
	}
	o := &openPort{server: newHTTPServer(ctx, n.handler(name, f), n.conns), done: make(chan struct{})}
	if w.open[name] == nil {
		w.open[name] = map[netip.AddrPort]*openPort{}
	}
	w.open[name][at] = o
	go func() {
		err := o.server.Serve(listener)
		close(o.done)
		if !errors.Is(err, http.ErrServerClosed) {
			n.listenerFailed(name, err)
		}
	}()
	n.cfg.Logger.V(2).Info("Health-check node port opened", "service", name.String(), "address", at.String())
	return nil
}

// listenerFailed queues a Service whose listener has failed.
func (n *NodePorts) listenerFailed(name services.Name, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken[name] = err
	n.wake()
}

// untilNext returns the time until something is due.
func (w *portWorker) untilNext() time.Duration {
	next := w.readAt.Add(addressPeriod)
	if t := w.backoff.Next(); !t.IsZero() && t.Before(next) {
		next = t
	}
	return max(next.Sub(w.ports.cfg.Clock.Now()), 0)
}

func (w *portWorker) closeAll() {
	for _, ports := range w.open {
		for _, o := range ports {
			o.close()
		}
	}
}
