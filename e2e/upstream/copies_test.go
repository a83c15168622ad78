// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// target is what upstream keeps one endpoint for: an address and port of a Service port.
type target struct {
	name     string
	protocol corev1.Protocol
	ip       netip.Addr
	port     int32
}

// sighting is one endpoint as one slice shows it for one of its ports.
type sighting struct {
	slice, port, endpoint int
	state
}

// state is what of an endpoint decides whether it is chosen.
type state struct {
	local, ready, serving, terminating bool
	zones, nodes                       string
}

func stateOf(e *discoveryv1.Endpoint) state {
	c := e.Conditions
	out := state{
		local:       e.NodeName != nil && *e.NodeName == thisNode,
		ready:       c.Ready == nil || *c.Ready,
		serving:     c.Serving == nil || *c.Serving,
		terminating: c.Terminating != nil && *c.Terminating,
	}
	if e.Hints != nil {
		out.zones, out.nodes = fmt.Sprint(e.Hints.ForZones), fmt.Sprint(e.Hints.ForNodes)
	}
	return out
}

// sightings gathers where each target is seen, in order of slices, ports and endpoints.
func sightings(in []*discoveryv1.EndpointSlice) map[target][]sighting {
	out := map[target][]sighting{}
	for si, s := range in {
		if !ofService(s) {
			continue
		}
		for pi, p := range s.Ports {
			if p.Port == nil {
				continue
			}
			for ei := range s.Endpoints {
				e := &s.Endpoints[ei]
				ip, err := netip.ParseAddr(e.Addresses[0])
				if err != nil {
					continue
				}
				t := target{*p.Name, *p.Protocol, ip, *p.Port}
				out[t] = append(out[t], sighting{si, pi, ei, stateOf(e)})
			}
		}
	}
	return out
}

func ofService(s *discoveryv1.EndpointSlice) bool {
	return s.Labels[discoveryv1.LabelServiceName] == service && s.AddressType != discoveryv1.AddressTypeFQDN
}

// equals returns the sightings that upstream may choose from: those that do not
// terminate, else all. Which of them it takes depends on the order in which it happens to
// look.
func equals(all []sighting) []sighting {
	alive := slices.DeleteFunc(slices.Clone(all), func(s sighting) bool { return s.terminating })
	if len(alive) == 0 {
		return all
	}
	return alive
}

// ambiguous tells whether it matters which of the sightings upstream takes.
func ambiguous(all []sighting) bool {
	return slices.ContainsFunc(all, func(s sighting) bool { return s.state != all[0].state })
}

// better orders sightings of one target: ready, else serving, local first.
func better(a, b sighting) int {
	score := func(s sighting) int {
		score := 0
		switch {
		case s.ready:
			score = 4
		case s.serving && s.terminating:
			score = 2
		}
		if s.local {
			score++
		}
		return score
	}
	return cmp.Compare(score(b), score(a))
}

// bestCopy leaves upstream one of the sightings among which it would take any.
func bestCopy(c *testCase) *testCase { return onlyBest(c, equals) }

// anyCopy leaves upstream the best of all sightings, terminating or not.
func anyCopy(c *testCase) *testCase {
	return onlyBest(c, func(all []sighting) []sighting { return all })
}

// onlyBest leaves one of each group of sightings. A slice that shows another is split,
// since it may show the endpoint for other ports too.
func onlyBest(c *testCase, group func([]sighting) []sighting) *testCase {
	in := c.slices()
	losers := map[[3]int]bool{}
	for _, all := range sightings(in) {
		candidates := slices.Clone(group(all))
		if len(candidates) < 2 || !ambiguous(candidates) {
			continue
		}
		slices.SortStableFunc(candidates, better)
		for _, s := range candidates[1:] {
			losers[[3]int{s.slice, s.port, s.endpoint}] = true
		}
	}
	if len(losers) == 0 {
		return nil
	}
	out := *c
	out.history = slices.Clone(c.history)
	for si, s := range in {
		if ofService(s) {
			out.history = append(out.history, change{s, true})
			for _, part := range split(s, func(port, endpoint int) bool { return losers[[3]int{si, port, endpoint}] }) {
				out.history = append(out.history, change{part, false})
			}
		}
	}
	return &out
}

// split makes one slice of each port, without the endpoints that are gone.
func split(s *discoveryv1.EndpointSlice, gone func(port, endpoint int) bool) []*discoveryv1.EndpointSlice {
	var out []*discoveryv1.EndpointSlice
	for pi, p := range s.Ports {
		part := s.DeepCopy()
		part.Name = strings.Join([]string{s.Name, *p.Name, string(*p.Protocol)}, "-")
		part.Ports = part.Ports[pi : pi+1]
		part.Endpoints = nil
		for ei, e := range s.Endpoints {
			if !gone(pi, ei) {
				part.Endpoints = append(part.Endpoints, e)
			}
		}
		out = append(out, part)
	}
	return out
}
