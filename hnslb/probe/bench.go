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

// resultText turns what a call returned into a value: accepted, or the code of the refusal. An
// error that leaves open what became of the call is no verdict.
func resultText(err error) (string, error) {
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

// endpointSpec describes a scratch endpoint.
func (b *bench) endpointSpec(ip netip.Addr) hnslb.Endpoint {
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

// createEndpoint makes a scratch endpoint.
func (b *bench) createEndpoint(ctx context.Context) (hnslb.Endpoint, error) {
	ip, err := b.address()
	if err != nil {
		return hnslb.Endpoint{}, err
	}
	return b.Driver.CreateEndpoint(ctx, b.endpointSpec(ip))
}

// backends returns n endpoints that the facts share.
func (b *bench) backends(ctx context.Context, n int) ([]hnslb.ID, error) {
	for failed := 0; len(b.shared) < n; {
		e, err := b.createEndpoint(ctx)
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

// loadBalancerSpec describes a load balancer on a frontend that none has had in this run, with one
// backend.
func (b *bench) loadBalancerSpec(ctx context.Context) (hnslb.LoadBalancer, error) {
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

// nodePortSpec is plan for a node port.
func (b *bench) nodePortSpec(ctx context.Context) (hnslb.LoadBalancer, error) {
	lb, err := b.loadBalancerSpec(ctx)
	if err != nil {
		return hnslb.LoadBalancer{}, err
	}
	lb.VIPs = nil
	lb.Mappings[0].ExternalPort, err = b.freePort()
	return lb, err
}

// createLoadBalancer makes what plan describes, changed by change.
func (b *bench) createLoadBalancer(ctx context.Context, change func(*hnslb.LoadBalancer)) (hnslb.LoadBalancer, error) {
	lb, err := b.loadBalancerSpec(ctx)
	if err != nil {
		return hnslb.LoadBalancer{}, err
	}
	if change != nil {
		change(&lb)
	}
	return b.Driver.CreateLoadBalancer(ctx, lb)
}

// deleteLoadBalancer removes a load balancer as well as it can; at the end of the run all are removed.
func (b *bench) deleteLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) {
	deleteWithRetries(ctx, func() error { return b.Driver.DeleteLoadBalancer(ctx, lb.ID) })
}

// deleteWithRetries deletes an object, in a few tries.
func deleteWithRetries(ctx context.Context, remove func() error) {
	for range tries {
		if err := remove(); err == nil || hnslb.ErrorClass(err) == hnslb.NotFound || ctx.Err() != nil {
			return
		}
	}
}

// tryCreate makes a load balancer, removes it if it was made, and returns the verdict.
func (b *bench) tryCreate(ctx context.Context, change func(*hnslb.LoadBalancer)) (string, error) {
	lb, err := b.loadBalancerSpec(ctx)
	if err != nil {
		return "", err
	}
	change(&lb)
	return b.tryCreateSpec(ctx, lb)
}

// tryCreateSpec is tried for a load balancer that is planned.
func (b *bench) tryCreateSpec(ctx context.Context, lb hnslb.LoadBalancer) (string, error) {
	made, err := b.Driver.CreateLoadBalancer(ctx, lb)
	if err == nil {
		b.deleteLoadBalancer(ctx, made)
	}
	return resultText(err)
}

// deleteEndpoint is drop for an endpoint.
func (b *bench) deleteEndpoint(ctx context.Context, id hnslb.ID) {
	deleteWithRetries(ctx, func() error { return b.Driver.DeleteEndpoint(ctx, id) })
}

// listedLoadBalancer returns a load balancer as HNS lists it, false when it lists none of that ID.
func (b *bench) listedLoadBalancer(ctx context.Context, id hnslb.ID) (hnslb.LoadBalancer, bool, error) {
	all, err := b.Driver.LoadBalancers(ctx)
	lb, there := find(all, func(lb hnslb.LoadBalancer) bool { return lb.ID == id })
	return lb, there, err
}

// listedEndpoint is held for an endpoint.
func (b *bench) listedEndpoint(ctx context.Context, id hnslb.ID) (hnslb.Endpoint, bool, error) {
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
func list(ctx context.Context, d hnslb.Driver) (hnsObjects, error) {
	var h hnsObjects
	var err error
	if h.endpoints, err = d.Endpoints(ctx); err != nil {
		return hnsObjects{}, err
	}
	h.loadBalancers, err = d.LoadBalancers(ctx)
	return h, err
}

// sweeps is how often HNS is looked through for what is left, before it counts as stuck.
const sweeps = 8

// sweep removes the scratch objects, load balancers first, and returns what is left.
func sweep(ctx context.Context, d hnslb.Driver, journal *scratch) (left hnsObjects, err error) {
	for pass := range sweeps {
		var all hnsObjects
		if all, err = list(ctx, d); err != nil {
			if ctx.Err() != nil {
				break
			}
			continue
		}
		left = all.ours(journal)
		if len(left.endpoints)+len(left.loadBalancers) == 0 {
			return hnsObjects{}, nil
		}
		if pass == sweeps-1 {
			break
		}
		// A delete that fails is tried again with what the next list shows.
		for _, lb := range left.loadBalancers {
			_ = d.DeleteLoadBalancer(ctx, lb.ID)
		}
		if len(left.loadBalancers) > 0 {
			continue // they are known by their endpoints
		}
		for _, e := range left.endpoints {
			_ = d.DeleteEndpoint(ctx, e.ID)
		}
	}
	return left, err
}
