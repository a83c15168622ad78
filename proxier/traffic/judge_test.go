// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// judge holds all that can become of a packet against what may. The error says what is
// wrong.
func (s *situation) judge(outcomes []emulator.Verdict) error {
	if len(s.answer.endpoints) == 0 || s.answer.denied {
		return s.judgeRefused(outcomes)
	}
	reached, drops, err := s.arrivals(outcomes)
	if err != nil {
		return err
	}
	groups := s.servedGroups()
	for i, group := range groups {
		err = s.judgeGroup(group, reached, drops)
		if err == nil || i == len(groups)-1 {
			break
		}
	}
	if err == nil {
		s.noteOutcome(reached)
	}
	return err
}

// judgeRefused: nobody may get it. Windows drops it without a word, where the proxies of
// Linux reject it; and what nobody rewrites goes to whoever owns the address.
func (s *situation) judgeRefused(outcomes []emulator.Verdict) error {
	for _, v := range outcomes {
		if v.Reached() && !s.untouched(v) {
			return fmt.Errorf("nobody may get it, but %s does", v)
		}
	}
	return nil
}

// untouched tells whether a packet arrives as it was sent.
func (s *situation) untouched(v emulator.Verdict) bool {
	return v.Backend == s.packet.to && v.SourceIP == s.packet.from.addr(s.packet.to.Addr()) && v.DestinationKept
}

// arrivals sorts the outcomes: each arrival is at an endpoint that may get it, from a
// source that may be seen.
func (s *situation) arrivals(outcomes []emulator.Verdict) (reached []endpoint, drops []string, err error) {
	mixed := s.Overlay && slices.ContainsFunc(s.answer.endpoints, outsideOfPods)
	allowed := map[netip.AddrPort][]endpoint{}
	for _, e := range s.answer.endpoints {
		allowed[s.at(e)] = append(allowed[s.at(e)], e)
	}
	for _, v := range outcomes {
		if !v.Reached() || s.untouched(v) {
			drops = append(drops, v.String())
			continue
		}
		found := allowed[v.Backend]
		switch {
		case len(found) == 0:
			return nil, nil, fmt.Errorf("%s is not among those who may get it", v.Backend)
		case v.DestinationKept != s.keepsDestination:
			return nil, nil, fmt.Errorf("%s: destination kept is %v, want %v", v.Backend, v.DestinationKept, s.keepsDestination)
		case !slices.Contains(s.sources(found[0], mixed), v.SourceIP):
			return nil, nil, fmt.Errorf("%s sees source %s, want one of %v", v.Backend, v.SourceIP, s.sources(found[0], mixed))
		}
		reached = append(reached, found...)
	}
	return reached, drops, nil
}

// at is where a packet for an endpoint arrives: nothing is rewritten where the destination
// is kept.
func (s *situation) at(e endpoint) netip.AddrPort {
	if s.keepsDestination {
		return netip.AddrPortFrom(e.addr.Addr(), s.packet.to.Port())
	}
	return e.addr
}

// servedGroups: HNS has one target port per load balancer, so of endpoints that disagree a
// largest group that shares one is served (docs/hns.md, What a load balancer can express).
func (s *situation) servedGroups() [][]endpoint {
	byPort := map[uint16][]endpoint{}
	largest := 0
	for _, e := range s.answer.endpoints {
		port := e.addr.Port()
		byPort[port] = append(byPort[port], e)
		largest = max(largest, len(byPort[port]))
	}
	var out [][]endpoint
	for _, group := range byPort {
		if len(group) == largest {
			out = append(out, group)
		}
	}
	slices.SortFunc(out, func(a, b []endpoint) int { return a[0].addr.Compare(b[0].addr) })
	return out
}

// judgeGroup: of one group all get packets, but those that a limit excuses; and packets
// are lost only where one does.
func (s *situation) judgeGroup(group, reached []endpoint, drops []string) error {
	gets, member := set(reached), set(group)
	for _, e := range reached {
		if !member[e.addr] && !s.keepsDestination {
			return fmt.Errorf("%s gets packets, but %s and others that share a port are more", e.addr, group[0].addr)
		}
	}
	var missing []netip.AddrPort
	mayDrop := false
	for _, e := range group {
		if gets[e.addr] {
			continue
		}
		if s.droppedAt[e.addr] != "" {
			mayDrop = true
		} else if s.leftOut[e.addr] == "" {
			missing = append(missing, e.addr)
		}
	}
	switch {
	case len(reached) > s.backends && !s.keepsDestination:
		return fmt.Errorf("%d endpoints get packets, a load balancer takes %d", len(reached), s.backends)
	case s.lost != "" || !s.answer.promised:
		return nil
	case len(group) > s.backends && len(reached)+len(s.leftOut)+len(s.droppedAt) >= s.backends:
		return nil
	case len(missing) > 0:
		return fmt.Errorf("%d of %d endpoints get no packets, the first is %s; lost: %q", len(missing), len(group), missing[0], drops)
	case len(drops) > 0 && len(reached) > 0 && !mayDrop:
		return fmt.Errorf("some packets are lost: %q", drops)
	}
	return nil
}

func set(eps []endpoint) map[netip.AddrPort]bool {
	out := make(map[netip.AddrPort]bool, len(eps))
	for _, e := range eps {
		out[e.addr] = true
	}
	return out
}

// noteOutcome counts the rules that an outcome rests on.
func (s *situation) noteOutcome(reached []endpoint) {
	if len(reached) == 0 && s.lost != "" {
		s.used.note(s.lost)
		return
	}
	if len(reached) == len(s.answer.endpoints) {
		s.used.note(delivered)
	}
	if len(reached) > 0 && s.answer.keepsSource && s.viaDSR {
		s.used.note(sourceKept)
	}
	if len(reached) > 0 && s.answer.keepsSource && !s.viaDSR {
		s.used.note(sourceNAT)
	}
	gets := set(reached)
	for _, e := range s.answer.endpoints {
		switch {
		case gets[e.addr]:
		case s.droppedAt[e.addr] != "":
			s.used.note(s.droppedAt[e.addr])
		case s.leftOut[e.addr] != "":
			s.used.note(s.leftOut[e.addr])
		case len(s.answer.endpoints) > s.backends:
			s.used.note(fewBackends)
		case len(reached) > 0 && reached[0].addr.Port() != e.addr.Port():
			s.used.note(oneTargetPort)
		}
	}
}
