// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
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
			set: func(p *profiles.Profile, found string) {
				p.Faults.DeleteFailsOnce = strings.HasPrefix(found, failsOnce)
			},
		},
		{
			name: "delete of a remote endpoint", row: "Delete of a remote endpoint succeeds", find: findEndpointDelete,
			sets: "Faults.EndpointDeleteLies",
			set:  func(p *profiles.Profile, found string) { p.Faults.EndpointDeleteLies = found == stays },
		},
		{name: "delete of an endpoint that a load balancer names", row: "An endpoint that a load balancer names is deleted", find: findDangling},
		{
			name: "what a refused create leaves", row: "A failed create leaves a load balancer", find: findHalfMade,
			sets: "Faults.HalfMade",
			set:  func(p *profiles.Profile, found string) { p.Faults.HalfMade = found != nobody },
		},
		{
			name: "frontend of a create that was refused", row: "It holds the frontend until it is deleted", find: findHalfMadeHolds,
			sets: "Quirks.HalfMadeHolds",
			set: func(p *profiles.Profile, found string) {
				p.Quirks.HalfMadeHolds = codeOf(found) == hnslb.ResultPortAlreadyExists
			},
		},
		{name: "MAC given in lower case", row: "MACs come back in upper case", find: findMAC},
		unnamedFact("as the answer shows it (V2)", "Quirks.DefaultNameV2", func(made, _ hnslb.Endpoint) string { return made.Name },
			func(p *profiles.Profile, named bool) { p.Quirks.DefaultNameV2 = named }),
		unnamedFact("as a list shows it (V1)", "Quirks.DefaultNameV1", func(_, listed hnslb.Endpoint) string { return listed.Name },
			func(p *profiles.Profile, named bool) { p.Quirks.DefaultNameV1 = named }),
		{name: "name of an endpoint that is made with one", find: findNamed},
		{name: "delete of a load balancer that is gone", find: func(ctx context.Context, b *bench) (string, error) {
			return resultText(b.Driver.DeleteLoadBalancer(ctx, nobodyID))
		}},
		{name: "delete of an endpoint that is gone", find: func(ctx context.Context, b *bench) (string, error) {
			return resultText(b.Driver.DeleteEndpoint(ctx, nobodyID))
		}},
	}
}

// nobodyID is an ID that no object has.
const nobodyID hnslb.ID = "6d2fd3b2-7ad0-4c2f-8d1c-0f7c4c9d5a11"

const failsOnce = "works the second time, first "

func findDelete(ctx context.Context, b *bench) (string, error) {
	lb, err := b.createLoadBalancer(ctx, nil)
	if err != nil {
		return "", err
	}
	first, err := resultText(b.Driver.DeleteLoadBalancer(ctx, lb.ID))
	if err != nil {
		return "", err
	}
	if first == accepted {
		_, there, err := b.listedLoadBalancer(ctx, lb.ID)
		if err != nil || !there {
			return gone, err
		}
		return stays, nil
	}
	second, err := resultText(b.Driver.DeleteLoadBalancer(ctx, lb.ID))
	if second == accepted {
		return failsOnce + first, nil
	}
	return fmt.Sprintf("%s, then %s", first, second), err
}

func findEndpointDelete(ctx context.Context, b *bench) (string, error) {
	e, err := b.createEndpoint(ctx)
	if err != nil {
		return "", err
	}
	found, err := resultText(b.Driver.DeleteEndpoint(ctx, e.ID))
	if err != nil || found != accepted {
		return found, err
	}
	_, there, err := b.listedEndpoint(ctx, e.ID)
	if err != nil || !there {
		return gone, err
	}
	return stays, nil
}

func findDangling(ctx context.Context, b *bench) (string, error) {
	e, err := b.createEndpoint(ctx)
	if err != nil {
		return "", err
	}
	lb, err := b.createLoadBalancer(ctx, func(lb *hnslb.LoadBalancer) { lb.Endpoints = append(lb.Endpoints, e.ID) })
	if err != nil {
		return "", err
	}
	defer b.deleteLoadBalancer(ctx, lb)
	found, err := resultText(b.Driver.DeleteEndpoint(ctx, e.ID))
	if err != nil || found != accepted {
		return found, err
	}
	if _, there, err := b.listedEndpoint(ctx, e.ID); err != nil || there {
		return stays, err
	}
	now, there, err := b.listedLoadBalancer(ctx, lb.ID)
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
	lb, err := b.createLoadBalancer(ctx, nil)
	if err != nil {
		return "", err
	}
	defer b.deleteLoadBalancer(ctx, lb)
	had, err := b.Driver.LoadBalancers(ctx)
	if err != nil {
		return "", err
	}
	twin := lb
	twin.ID = ""
	if found, err := resultText(errorOf(b.Driver.CreateLoadBalancer(ctx, twin))); err != nil {
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
	for _, left := range now.ours(&b.scratch).loadBalancers {
		if !known[left.ID] {
			b.deleteLoadBalancer(ctx, left)
			return fmt.Sprintf("a load balancer with %d port mappings", len(left.Mappings)), nil
		}
	}
	return nobody, nil
}

// findHalfMadeHolds has a create refused for its endpoints and tries again with right ones.
func findHalfMadeHolds(ctx context.Context, b *bench) (string, error) {
	lb, err := b.loadBalancerSpec(ctx)
	if err != nil {
		return "", err
	}
	wrong := lb
	wrong.Endpoints = append(slices.Clone(lb.Endpoints), nobodyID)
	made, err := b.Driver.CreateLoadBalancer(ctx, wrong)
	if err == nil {
		b.deleteLoadBalancer(ctx, made)
		return "", unknown("HNS takes an endpoint that it does not have")
	}
	if _, err := resultText(err); err != nil {
		return "", err
	}
	return b.tryCreateSpec(ctx, lb)
}

// errorOf returns the error of a call and leaves its value.
func errorOf[T any](_ T, err error) error { return err }

func findMAC(ctx context.Context, b *bench) (string, error) {
	ip, err := b.address()
	if err != nil {
		return "", err
	}
	spec := b.endpointSpec(ip)
	spec.MAC = "02-13-aa-bb-cc-0" + fmt.Sprint(ip.As4()[3]%10)
	e, err := b.Driver.CreateEndpoint(ctx, spec)
	if err != nil {
		return "", err
	}
	defer b.deleteEndpoint(ctx, e.ID)
	now, there, err := b.listedEndpoint(ctx, e.ID)
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

// unnamedFact is about the name of an endpoint that is made without one.
func unnamedFact(where, sets string, read func(made, listed hnslb.Endpoint) string, set func(*profiles.Profile, bool)) fact {
	return fact{
		name: "name of an endpoint that is made without one, " + where, row: "An endpoint that was made without a name", sets: sets,
		find: func(ctx context.Context, b *bench) (string, error) {
			spec := b.endpointSpec(b.scratch.Unnamed)
			spec.Name = ""
			made, listed, err := b.makeAndList(ctx, spec)
			if err != nil {
				return "", err
			}
			return nameText(read(made, listed)), nil
		},
		set: func(p *profiles.Profile, found string) { set(p, found == nameText(hnslb.DefaultEndpointName)) },
	}
}

func nameText(name string) string {
	if name == "" {
		return "none"
	}
	return fmt.Sprintf("%q", name)
}

func findNamed(ctx context.Context, b *bench) (string, error) {
	ip, err := b.address()
	if err != nil {
		return "", err
	}
	spec := b.endpointSpec(ip)
	made, listed, err := b.makeAndList(ctx, spec)
	switch {
	case err != nil:
		return "", err
	case made.Name == spec.Name && listed.Name == spec.Name:
		return shown, nil
	}
	return fmt.Sprintf("%s, in a list %s", nameText(made.Name), nameText(listed.Name)), nil
}

// makeAndList makes an endpoint, looks at how HNS lists it, and removes it.
func (b *bench) makeAndList(ctx context.Context, spec hnslb.Endpoint) (made, listed hnslb.Endpoint, err error) {
	if made, err = b.Driver.CreateEndpoint(ctx, spec); err != nil {
		return made, listed, err
	}
	defer b.deleteEndpoint(ctx, made.ID)
	listed, there, err := b.listedEndpoint(ctx, made.ID)
	if err == nil && !there {
		err = unknown("HNS does not list the endpoint")
	}
	return made, listed, err
}
