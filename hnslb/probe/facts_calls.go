// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	gone   = "gone"
	stays  = "stays"
	shown  = "as given"
	nobody = "nothing"
)

// callFacts are about what a call does.
func callFacts() []fact {
	return []fact{
		{
			name: "delete of a load balancer", row: "A delete fails, the second try works", find: findDelete,
			sets: "Faults.DeleteFailsOnce",
			set: func(p *emulator.Profile, found string) {
				p.Faults.DeleteFailsOnce = strings.HasPrefix(found, failsOnce)
			},
		},
		{
			name: "delete of a remote endpoint", row: "Delete of a remote endpoint succeeds", find: findEndpointDelete,
			sets: "Faults.EndpointDeleteLies",
			set:  func(p *emulator.Profile, found string) { p.Faults.EndpointDeleteLies = found == stays },
		},
		{name: "delete of an endpoint that a load balancer names", row: "An endpoint that a load balancer names is deleted", find: findDangling},
		{
			name: "what a refused create leaves", row: "A failed create leaves a load balancer", find: findHalfMade,
			sets: "Faults.HalfMade",
			set:  func(p *emulator.Profile, found string) { p.Faults.HalfMade = found != nobody },
		},
		{name: "MAC given in lower case", row: "MACs come back in upper case", find: findMAC},
		{name: "name of an endpoint that is made without one", find: findUnnamed},
		{name: "name of an endpoint that is made with one", find: findNamed},
		{name: "delete of a load balancer that is gone", find: func(ctx context.Context, b *bench) (string, error) {
			return verdict(b.Driver.DeleteLoadBalancer(ctx, nobodyID))
		}},
		{name: "delete of an endpoint that is gone", find: func(ctx context.Context, b *bench) (string, error) {
			return verdict(b.Driver.DeleteEndpoint(ctx, nobodyID))
		}},
	}
}

// nobodyID is an ID that no object has.
const nobodyID hnslb.ID = "6d2fd3b2-7ad0-4c2f-8d1c-0f7c4c9d5a11"

const failsOnce = "works the second time, first "

func findDelete(ctx context.Context, b *bench) (string, error) {
	lb, err := b.balancer(ctx, nil)
	if err != nil {
		return "", err
	}
	first, err := verdict(b.Driver.DeleteLoadBalancer(ctx, lb.ID))
	if err != nil {
		return "", err
	}
	if first == accepted {
		_, there, err := b.held(ctx, lb.ID)
		if err != nil || !there {
			return gone, err
		}
		return stays, nil
	}
	second, err := verdict(b.Driver.DeleteLoadBalancer(ctx, lb.ID))
	if second == accepted {
		return failsOnce + first, nil
	}
	return fmt.Sprintf("%s, then %s", first, second), err
}

func findEndpointDelete(ctx context.Context, b *bench) (string, error) {
	e, err := b.endpoint(ctx)
	if err != nil {
		return "", err
	}
	found, err := verdict(b.Driver.DeleteEndpoint(ctx, e.ID))
	if err != nil || found != accepted {
		return found, err
	}
	_, there, err := b.heldEndpoint(ctx, e.ID)
	if err != nil || !there {
		return gone, err
	}
	return stays, nil
}

func findDangling(ctx context.Context, b *bench) (string, error) {
	e, err := b.endpoint(ctx)
	if err != nil {
		return "", err
	}
	lb, err := b.balancer(ctx, func(lb *hnslb.LoadBalancer) { lb.Endpoints = append(lb.Endpoints, e.ID) })
	if err != nil {
		return "", err
	}
	defer b.drop(ctx, lb)
	found, err := verdict(b.Driver.DeleteEndpoint(ctx, e.ID))
	if err != nil || found != accepted {
		return found, err
	}
	if _, there, err := b.heldEndpoint(ctx, e.ID); err != nil || there {
		return stays, err
	}
	now, there, err := b.held(ctx, lb.ID)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "the load balancer goes, too", nil
	case len(now.Endpoints) == len(lb.Endpoints):
		return "the load balancer dangles", nil
	}
	return "the load balancer loses it", nil
}

// findHalfMade has a create refused and looks for what was not there before.
func findHalfMade(ctx context.Context, b *bench) (string, error) {
	lb, err := b.balancer(ctx, nil)
	if err != nil {
		return "", err
	}
	defer b.drop(ctx, lb)
	had, err := b.Driver.LoadBalancers(ctx)
	if err != nil {
		return "", err
	}
	twin := lb
	twin.ID = ""
	if found, err := verdict(drop2(b.Driver.CreateLoadBalancer(ctx, twin))); err != nil {
		return "", err
	} else if found == accepted {
		return "", unknown("HNS refuses no twin")
	}
	now, err := list(ctx, b.Driver)
	if err != nil {
		return "", err
	}
	known := map[hnslb.ID]bool{}
	for _, lb := range had {
		known[lb.ID] = true
	}
	for _, left := range now.ours(&b.scratch).balancers {
		if !known[left.ID] {
			b.drop(ctx, left)
			return fmt.Sprintf("a load balancer with %d port mappings", len(left.Mappings)), nil
		}
	}
	return nobody, nil
}

// drop2 returns the error of a call and leaves its value.
func drop2[T any](_ T, err error) error { return err }

func findMAC(ctx context.Context, b *bench) (string, error) {
	ip, err := b.address()
	if err != nil {
		return "", err
	}
	spec := b.spec(ip)
	spec.MAC = "02-13-aa-bb-cc-0" + fmt.Sprint(ip.As4()[3]%10)
	e, err := b.Driver.CreateEndpoint(ctx, spec)
	if err != nil {
		return "", err
	}
	defer b.dropEndpoint(ctx, e.ID)
	now, there, err := b.heldEndpoint(ctx, e.ID)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "", unknown("HNS does not list the endpoint")
	case now.MAC == spec.MAC:
		return shown, nil
	case now.MAC == strings.ToUpper(spec.MAC):
		return "upper case", nil
	case now.MAC == "":
		return "none", nil
	}
	return "another one", nil
}

func findUnnamed(ctx context.Context, b *bench) (string, error) {
	spec := b.spec(b.scratch.Unnamed)
	spec.Name = ""
	return b.findName(ctx, spec)
}

func findNamed(ctx context.Context, b *bench) (string, error) {
	ip, err := b.address()
	if err != nil {
		return "", err
	}
	spec := b.spec(ip)
	name, err := b.findName(ctx, spec)
	if name == fmt.Sprintf("%q", spec.Name) {
		name = shown
	}
	return name, err
}

// findName makes an endpoint and returns the name that HNS lists.
func (b *bench) findName(ctx context.Context, spec hnslb.Endpoint) (string, error) {
	e, err := b.Driver.CreateEndpoint(ctx, spec)
	if err != nil {
		return "", err
	}
	defer b.dropEndpoint(ctx, e.ID)
	now, there, err := b.heldEndpoint(ctx, e.ID)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "", unknown("HNS does not list the endpoint")
	case now.Name == "":
		return "none", nil
	case now.Name != e.Name:
		return fmt.Sprintf("%q, when made %q", now.Name, e.Name), nil
	}
	return fmt.Sprintf("%q", now.Name), nil
}
