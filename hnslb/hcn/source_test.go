// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// fakeHNS is a store with two views of it, and counts what HNS would be asked.
type fakeHNS struct {
	endpoints []hnslb.Endpoint
	balancers []hnslb.LoadBalancer
	// v1Endpoint and v1Balancer change what V1 shows, V1Without what it hides.
	v1Endpoint func(hnslb.Endpoint) hnslb.Endpoint
	v1Balancer func(v1LoadBalancer) v1LoadBalancer
	v1Without  hnslb.ID
	v1Extra    []v1LoadBalancer
	v1Err      error
	// between runs after each V1 list, before a call of V2.
	between func()
	// v2Errs are the errors of the next V2 lists.
	v2Errs []error

	calls, v1Lists, v2Lists, v2Objects int
}

func (f *fakeHNS) afterV1() {
	if f.between != nil {
		f.between()
	}
}

func (f *fakeHNS) v1Endpoints() ([]hnslb.Endpoint, error) {
	f.calls++
	f.v1Lists++
	defer f.afterV1()
	var all []hnslb.Endpoint
	for _, e := range f.endpoints {
		if f.v1Endpoint != nil {
			e = f.v1Endpoint(e)
		}
		if e.ID != f.v1Without {
			all = append(all, e)
		}
	}
	return all, f.v1Err
}

func (f *fakeHNS) v1LoadBalancers() ([]v1LoadBalancer, error) {
	f.calls++
	f.v1Lists++
	defer f.afterV1()
	var all []v1LoadBalancer
	for _, lb := range f.balancers {
		lb.Flags = 0
		if lb.Mappings = slices.Clone(lb.Mappings); len(lb.Mappings) == 1 {
			lb.Mappings[0].Flags, lb.Mappings[0].Distribution = 0, 0
		}
		v1 := v1LoadBalancer{LoadBalancer: lb, Whole: len(lb.Mappings) == 1}
		if f.v1Balancer != nil {
			v1 = f.v1Balancer(v1)
		}
		if lb.ID != f.v1Without {
			all = append(all, v1)
		}
	}
	return append(all, f.v1Extra...), f.v1Err
}

func (f *fakeHNS) v2List(n int) error {
	f.v2Lists++
	if len(f.v2Errs) > 0 {
		f.calls++
		err := f.v2Errs[0]
		f.v2Errs = f.v2Errs[1:]
		return err
	}
	f.calls += 1 + 3*n
	return nil
}

func (f *fakeHNS) v2Endpoints() ([]hnslb.Endpoint, error) {
	if err := f.v2List(len(f.endpoints)); err != nil {
		return nil, err
	}
	return slices.Clone(f.endpoints), nil
}

func (f *fakeHNS) v2LoadBalancers() ([]hnslb.LoadBalancer, error) {
	if err := f.v2List(len(f.balancers)); err != nil {
		return nil, err
	}
	return slices.Clone(f.balancers), nil
}

func (f *fakeHNS) v2Endpoint(id hnslb.ID) (hnslb.Endpoint, error) {
	return v2Object(f, f.endpoints, id, endpointID)
}

func (f *fakeHNS) v2LoadBalancer(id hnslb.ID) (hnslb.LoadBalancer, error) {
	return v2Object(f, f.balancers, id, balancerID)
}

func v2Object[T any](f *fakeHNS, all []T, id hnslb.ID, idOf func(T) hnslb.ID) (T, error) {
	f.v2Objects++
	i := slices.IndexFunc(all, func(o T) bool { return idOf(o) == id })
	if i < 0 {
		f.calls++
		var zero T
		return zero, vanished
	}
	f.calls += 4
	return all[i], nil
}

// asked resets the counts and returns them.
func (f *fakeHNS) asked() int {
	n := f.calls
	f.calls, f.v1Lists, f.v2Lists, f.v2Objects = 0, 0, 0, 0
	return n
}

var (
	vanished = hnslb.NewError("", "", hnslb.ResultElementNotFound, "Element not found. ")
	away     = hnslb.NewError("", "", hnslb.ResultServerUnavailable, "The RPC server is unavailable. ")
)

// someEndpoints are of five shapes.
func someEndpoints(n int) []hnslb.Endpoint {
	var all []hnslb.Endpoint
	for i := range n {
		e := hnslb.Endpoint{
			ID: hnslb.ID(fmt.Sprintf("e%d", i)), Network: "n", Name: "pod", MAC: "00-15-5d-00-00-01",
			IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})},
		}
		switch i % 5 {
		case 1:
			e.Remote = true
		case 2:
			e.Network, e.Remote, e.ProviderAddress = "overlay", true, netip.MustParseAddr("192.168.0.2")
		case 3:
			e.IPs = append(e.IPs, netip.MustParseAddr("fd00::1"))
		case 4:
			e.IPs = nil
		}
		all = append(all, e)
	}
	return all
}

// someBalancers have everything that V1 hides.
func someBalancers(n int) []hnslb.LoadBalancer {
	var all []hnslb.LoadBalancer
	for i := range n {
		all = append(all, hnslb.LoadBalancer{
			ID:        hnslb.ID(fmt.Sprintf("l%d", i)),
			Endpoints: []hnslb.ID{"e1", "e2"},
			VIPs:      []netip.Addr{netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})},
			Flags:     hnslb.DSR,
			Mappings: []hnslb.PortMapping{{
				Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80,
				Distribution: hnslb.SourceIP, Flags: hnslb.VIPExternal | hnslb.PreserveDIP,
			}},
		})
	}
	return all
}
