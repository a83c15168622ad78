// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// bench is where facts are found out: a driver, and scratch objects to use it on. Each
// frontend and each address is given out once, so that what one try left does not disturb
// the next.
type bench struct {
	Config
	network  hnslb.Network
	features hnslb.Features
	scratch  scratch
	// skip are addresses in the scratch ranges that an earlier run could not free.
	skip map[netip.Addr]bool

	frontends, freePorts int
	lastIP               netip.Addr
	// shared are endpoints that facts use and leave as they are.
	shared []hnslb.ID
	// grown are load balancers that are there for their number.
	grown []hnslb.LoadBalancer
}

// unknownError is the reason why a fact cannot be found out; trying again is of no use.
type unknownError struct{ reason string }

// Error returns the reason.
func (e *unknownError) Error() string { return e.reason }

func unknown(format string, args ...any) error {
	return &unknownError{reason: fmt.Sprintf(format, args...)}
}

// accepted is what HNS did with a value that it took.
const accepted = "accepted"

// verdict turns what a call returned into a value: accepted, or the code of the refusal. An
// error that leaves open what became of the call is no verdict.
func verdict(err error) (string, error) {
	if err == nil {
		return accepted, nil
	}
	e, ok := errors.AsType[*hnslb.Error](err)
	switch {
	case !ok || hnslb.OutcomeUnknown(err):
		return "", err
	case e.Code != 0:
		return e.Code.String(), nil
	}
	return string(e.Class), nil
}

// address returns an address that no endpoint has had in this run.
func (b *bench) address() (netip.Addr, error) {
	ip := b.lastIP
	if !ip.IsValid() {
		ip = b.scratch.Unnamed
	}
	for i, block := range b.scratch.Addresses {
		if !block.Contains(ip) {
			continue
		}
		for ip = ip.Next(); block.Contains(ip); ip = ip.Next() {
			last := ip.As4()[3]
			if last != 0 && last != 255 && !b.skip[ip] {
				b.lastIP = ip
				return ip, nil
			}
		}
		if i+1 < len(b.scratch.Addresses) {
			ip = b.scratch.Addresses[i+1].Addr()
		}
	}
	return netip.Addr{}, unknown("there are no more addresses to use")
}

// spec describes a scratch endpoint.
func (b *bench) spec(ip netip.Addr) hnslb.Endpoint {
	four := ip.As4()
	e := hnslb.Endpoint{
		Network: b.network.ID, Name: NamePrefix + ip.String(), IPs: []netip.Addr{ip}, Remote: true,
		// Not hnslb.RemoteMAC, by which hnsproxy knows its own.
		MAC: fmt.Sprintf("02-13-%02x-%02x-%02x-%02x", four[0], four[1], four[2], four[3]),
	}
	if b.network.IsOverlay() {
		e.ProviderAddress = b.vip(vipsPerPort + 1)
	}
	return e
}

// endpoint makes a scratch endpoint.
func (b *bench) endpoint(ctx context.Context) (hnslb.Endpoint, error) {
	ip, err := b.address()
	if err != nil {
		return hnslb.Endpoint{}, err
	}
	return b.Driver.CreateEndpoint(ctx, b.spec(ip))
}

// backends returns n endpoints that the facts share.
func (b *bench) backends(ctx context.Context, n int) ([]hnslb.ID, error) {
	for failed := 0; len(b.shared) < n; {
		e, err := b.endpoint(ctx)
		if err == nil {
			b.shared = append(b.shared, e.ID)
			continue
		}
		if failed++; failed == tries || ctx.Err() != nil {
			return nil, fmt.Errorf("make endpoint %d of %d: %w", len(b.shared)+1, n, err)
		}
	}
	return slices.Clone(b.shared[:n]), nil
}

func (b *bench) vip(n int) netip.Addr {
	base := b.scratch.VIPs.Addr().As4()
	base[3] = byte(n)
	return netip.AddrFrom4(base)
}

// plan describes a load balancer on a frontend that none has had in this run, with one
// backend.
func (b *bench) plan(ctx context.Context) (hnslb.LoadBalancer, error) {
	backends, err := b.backends(ctx, 1)
	if err != nil {
		return hnslb.LoadBalancer{}, err
	}
	n := b.frontends
	if n >= vipPorts*vipsPerPort {
		return hnslb.LoadBalancer{}, unknown("there are no more frontends to use")
	}
	b.frontends++
	return hnslb.LoadBalancer{
		Endpoints: backends,
		VIPs:      []netip.Addr{b.vip(1 + n%vipsPerPort)},
		Mappings:  []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: b.scratch.FirstPort + uint16(n/vipsPerPort)}},
	}, nil
}

// freePort returns a port that none has had in this run and no program of the host listens on.
// It stays free until it is used, but for programs that come in that moment.
func (b *bench) freePort() (uint16, error) {
	for b.freePorts < portCount-vipPorts-1 {
		port := b.scratch.FirstPort + vipPorts + uint16(b.freePorts)
		b.freePorts++
		if b.Listen == nil {
			return port, nil
		}
		if stop, err := b.Listen(hnslb.TCP, port); err == nil {
			stop()
			return port, nil
		}
	}
	return 0, unknown("there are no more ports to use")
}

// nodePort is plan for a node port.
func (b *bench) nodePort(ctx context.Context) (hnslb.LoadBalancer, error) {
	lb, err := b.plan(ctx)
	if err != nil {
		return hnslb.LoadBalancer{}, err
	}
	lb.VIPs = nil
	lb.Mappings[0].ExternalPort, err = b.freePort()
	return lb, err
}

// balancer makes what plan describes, changed by change.
func (b *bench) balancer(ctx context.Context, change func(*hnslb.LoadBalancer)) (hnslb.LoadBalancer, error) {
	lb, err := b.plan(ctx)
	if err != nil {
		return hnslb.LoadBalancer{}, err
	}
	if change != nil {
		change(&lb)
	}
	return b.Driver.CreateLoadBalancer(ctx, lb)
}

// drop removes a load balancer as well as it can; at the end of the run all are removed.
func (b *bench) drop(ctx context.Context, lb hnslb.LoadBalancer) {
	insist(ctx, func() error { return b.Driver.DeleteLoadBalancer(ctx, lb.ID) })
}

// insist deletes an object, in a few tries.
func insist(ctx context.Context, remove func() error) {
	for range tries {
		if err := remove(); err == nil || hnslb.ErrorClass(err) == hnslb.NotFound || ctx.Err() != nil {
			return
		}
	}
}

// tried makes a load balancer, removes it if it was made, and returns the verdict.
func (b *bench) tried(ctx context.Context, change func(*hnslb.LoadBalancer)) (string, error) {
	lb, err := b.plan(ctx)
	if err != nil {
		return "", err
	}
	change(&lb)
	return b.triedOf(ctx, lb)
}

// triedOf is tried for a load balancer that is planned.
func (b *bench) triedOf(ctx context.Context, lb hnslb.LoadBalancer) (string, error) {
	made, err := b.Driver.CreateLoadBalancer(ctx, lb)
	if err == nil {
		b.drop(ctx, made)
	}
	return verdict(err)
}

// dropEndpoint is drop for an endpoint.
func (b *bench) dropEndpoint(ctx context.Context, id hnslb.ID) {
	insist(ctx, func() error { return b.Driver.DeleteEndpoint(ctx, id) })
}

// held returns a load balancer as HNS lists it, false when it lists none of that ID.
func (b *bench) held(ctx context.Context, id hnslb.ID) (hnslb.LoadBalancer, bool, error) {
	all, err := b.Driver.LoadBalancers(ctx)
	lb, there := find(all, func(lb hnslb.LoadBalancer) bool { return lb.ID == id })
	return lb, there, err
}

// heldEndpoint is held for an endpoint.
func (b *bench) heldEndpoint(ctx context.Context, id hnslb.ID) (hnslb.Endpoint, bool, error) {
	all, err := b.Driver.Endpoints(ctx)
	e, there := find(all, func(e hnslb.Endpoint) bool { return e.ID == id })
	return e, there, err
}

// find returns the first object that is the one, false when there is none.
func find[T any](all []T, is func(T) bool) (found T, there bool) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	return found, false
}

// list returns what HNS holds.
func list(ctx context.Context, d hnslb.Driver) (holdings, error) {
	var h holdings
	var err error
	if h.endpoints, err = d.Endpoints(ctx); err != nil {
		return holdings{}, err
	}
	h.balancers, err = d.LoadBalancers(ctx)
	return h, err
}

// sweeps is how often HNS is looked through for what is left, before it counts as stuck.
const sweeps = 8

// sweep removes the scratch objects, load balancers first, and returns what is left.
func sweep(ctx context.Context, d hnslb.Driver, journal *scratch) (left holdings, err error) {
	for pass := range sweeps {
		var all holdings
		if all, err = list(ctx, d); err != nil {
			if ctx.Err() != nil {
				break
			}
			continue
		}
		left = all.ours(journal)
		if len(left.endpoints)+len(left.balancers) == 0 {
			return holdings{}, nil
		}
		if pass == sweeps-1 {
			break
		}
		// A delete that fails is tried again with what the next list shows.
		for _, lb := range left.balancers {
			_ = d.DeleteLoadBalancer(ctx, lb.ID)
		}
		if len(left.balancers) > 0 {
			continue // they are known by their endpoints
		}
		for _, e := range left.endpoints {
			_ = d.DeleteEndpoint(ctx, e.ID)
		}
	}
	return left, err
}
