// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const (
	changed = "changed"
	ignored = "ignored"
)

// field is one field of a load balancer: how the probe changes it, and how it reads.
type field struct {
	name   string
	change func(b *bench, lb *hnslb.LoadBalancer)
	read   func(lb hnslb.LoadBalancer) string
}

// modifyFacts are about what a modify changes, one fact for each field.
func modifyFacts() []fact {
	scope := "Only endpoints, source VIP and internal port are known to change"
	all := []fact{modifyFact("endpoints", "Modify says yes and changes nothing", field{
		change: func(b *bench, lb *hnslb.LoadBalancer) { lb.Endpoints = slices.Clone(b.shared[1:3]) },
		read: func(lb hnslb.LoadBalancer) string {
			ids := slices.Sorted(slices.Values(lb.Endpoints))
			return fmt.Sprint(ids)
		},
	})}
	all[0].sets = "Quirks.ModifyLies"
	all[0].set = func(p *profiles.Profile, found string) { p.Quirks.ModifyLies = found == ignored }
	mapping := func(change func(*hnslb.PortMapping)) func(*bench, *hnslb.LoadBalancer) {
		return func(_ *bench, lb *hnslb.LoadBalancer) {
			lb.Mappings = slices.Clone(lb.Mappings)
			change(&lb.Mappings[0])
		}
	}
	mapped := func(read func(hnslb.PortMapping) any) func(hnslb.LoadBalancer) string {
		return func(lb hnslb.LoadBalancer) string {
			if len(lb.Mappings) != 1 {
				return fmt.Sprintf("%d mappings", len(lb.Mappings))
			}
			return fmt.Sprint(read(lb.Mappings[0]))
		}
	}
	for _, f := range []field{
		{"source VIP", func(b *bench, lb *hnslb.LoadBalancer) { lb.SourceVIP = b.vip(vipsPerPort + 2) },
			func(lb hnslb.LoadBalancer) string { return lb.SourceVIP.String() }},
		{"internal port", mapping(func(m *hnslb.PortMapping) { m.InternalPort++ }), mapped(func(m hnslb.PortMapping) any { return m.InternalPort })},
		{"VIP", func(b *bench, lb *hnslb.LoadBalancer) { lb.VIPs = []netip.Addr{b.vip(vipsPerPort + 3)} },
			func(lb hnslb.LoadBalancer) string { return fmt.Sprint(lb.VIPs) }},
		{"external port", func(b *bench, lb *hnslb.LoadBalancer) {
			lb.Mappings = slices.Clone(lb.Mappings)
			lb.Mappings[0].ExternalPort = b.scratch.FirstPort + portCount - 1
		}, mapped(func(m hnslb.PortMapping) any { return m.ExternalPort })},
		{"distribution", mapping(func(m *hnslb.PortMapping) { m.Distribution = hnslb.SourceIP }), mapped(func(m hnslb.PortMapping) any { return m.Distribution })},
		{"flags", func(_ *bench, lb *hnslb.LoadBalancer) { lb.Flags ^= hnslb.DSR }, func(lb hnslb.LoadBalancer) string { return fmt.Sprint(lb.Flags & hnslb.DSR) }},
		{"flags of the mapping", mapping(func(m *hnslb.PortMapping) { m.Flags ^= hnslb.LocalRoutedVIP }),
			mapped(func(m hnslb.PortMapping) any { return m.Flags & hnslb.LocalRoutedVIP })},
	} {
		one := modifyFact(f.name, scope, f)
		for _, s := range modifySwitches() {
			if s.field == f.name {
				one.row, one.sets = s.row, s.sets
				one.set = func(p *profiles.Profile, found string) { s.set(&p.Quirks, found == ignored && !p.Quirks.ModifyLies) }
			}
		}
		all = append(all, one)
	}
	return append(all, fact{name: "modify of a load balancer that is gone", find: func(ctx context.Context, b *bench) (string, error) {
		lb, err := b.loadBalancerSpec(ctx)
		if err != nil {
			return "", err
		}
		lb.ID = nobodyID
		return resultText(errorOf(b.Driver.UpdateLoadBalancer(ctx, lb)))
	}})
}

// modifySwitch is a switch that says that a modify ignores one field and not others.
type modifySwitch struct {
	field, row, sets string
	set              func(q *profiles.Quirks, ignores bool)
}

func modifySwitches() []modifySwitch {
	const keeps, flags = "A modify changes the endpoints and keeps", "A modify with other flags says yes"
	return []modifySwitch{
		{"source VIP", keeps, "Quirks.ModifyIgnoresSourceVIP", func(q *profiles.Quirks, ignores bool) { q.ModifyIgnoresSourceVIP = ignores }},
		{"internal port", keeps, "Quirks.ModifyIgnoresPort", func(q *profiles.Quirks, ignores bool) { q.ModifyIgnoresPort = ignores }},
		{"flags", flags, "Quirks.ModifyIgnoresFlags", func(q *profiles.Quirks, ignores bool) { q.ModifyIgnoresFlags = ignores }},
	}
}

// modifyFact changes one field in place, and looks at what the answer and the next list show.
func modifyFact(name, row string, f field) fact {
	return fact{name: "modify of the " + name, row: row, find: func(ctx context.Context, b *bench) (string, error) {
		if _, err := b.backends(ctx, 3); err != nil {
			return "", err
		}
		want, err := b.loadBalancerSpec(ctx)
		if err != nil {
			return "", err
		}
		had, err := b.Driver.CreateLoadBalancer(ctx, want)
		if err != nil {
			return "", err
		}
		defer b.deleteLoadBalancer(ctx, had)
		want.ID = had.ID // but for the change as it was asked for, not as HNS shows it
		f.change(b, &want)
		answer, err := b.Driver.UpdateLoadBalancer(ctx, want)
		if found, err := resultText(err); err != nil || found != accepted {
			return found, err
		}
		now, there, err := b.listedLoadBalancer(ctx, had.ID)
		switch {
		case err != nil:
			return "", err
		case !there:
			return "the load balancer is gone", nil
		}
		return describeChange(f.read(had), f.read(want), f.read(now), f.read(answer)), nil
	}}
}

func describeChange(had, want, now, answer string) string {
	of := func(value string) string {
		switch value {
		case want:
			return changed
		case had:
			return ignored
		}
		return "something else"
	}
	if now == answer {
		return of(now)
	}
	return strings.Join([]string{of(now), "the answer says", of(answer)}, ", ")
}
