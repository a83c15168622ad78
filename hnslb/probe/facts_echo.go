// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// echoFacts are about what HNS shows of a load balancer that it was given.
func echoFacts() []fact {
	all := []fact{
		echoFact("flag DSR", "", func(lb *hnslb.LoadBalancer) { lb.Flags = hnslb.DSR }),
		{name: "echo of no flags on a node port", find: func(ctx context.Context, b *bench) (string, error) {
			lb, err := b.nodePortSpec(ctx)
			if err != nil {
				return "", err
			}
			return b.echoOf(ctx, lb)
		}},
		echoFact("distribution by source IP", "DistributionType is dropped", func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Distribution = hnslb.SourceIP }),
		{name: "echo of a source VIP that no endpoint has", find: func(ctx context.Context, b *bench) (string, error) {
			return b.echo(ctx, func(lb *hnslb.LoadBalancer) { lb.SourceVIP = b.vip(vipsPerPort + 2) })
		}},
	}
	for _, f := range []struct {
		name string
		flag hnslb.MappingFlags
	}{
		{"ILB", hnslb.ILB}, {"LocalRoutedVIP", hnslb.LocalRoutedVIP}, {"UseMux", hnslb.UseMux},
		{"PreserveDIP", hnslb.PreserveDIP}, {"VIPExternal", hnslb.VIPExternal},
	} {
		all = append(all, echoFact("mapping flag "+f.name, "", func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Flags = f.flag }))
	}
	return append(all, bitFacts()...)
}

// bitFacts are about the bits of flags that HNS hides or adds, whatever was asked for.
func bitFacts() []fact {
	const every = hnslb.ILB | hnslb.LocalRoutedVIP | hnslb.UseMux | hnslb.PreserveDIP | hnslb.VIPExternal
	bits := func(name, row, sets string, asked hnslb.MappingFlags, read func(lb hnslb.LoadBalancer) uint32, set func(*profiles.Quirks, uint32)) fact {
		return fact{
			name: name, row: row, sets: sets,
			find: func(ctx context.Context, b *bench) (string, error) {
				made, err := b.createLoadBalancer(ctx, func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Flags = asked })
				if err != nil {
					return "", err
				}
				defer b.deleteLoadBalancer(ctx, made)
				if len(made.Mappings) != 1 {
					return "", unknown("HNS shows %d mappings", len(made.Mappings))
				}
				return fmt.Sprintf("0x%02x", read(made)), nil
			},
			set: func(p *profiles.Profile, found string) { set(&p.Quirks, uint32(codeOf(found))) },
		}
	}
	const hidden, added = "A flag of a mapping is kept and not shown", "A flag is shown that nobody asked for"
	return []fact{
		bits("mapping flags that HNS does not show", hidden, "Quirks.EchoHides", every,
			func(lb hnslb.LoadBalancer) uint32 { return uint32(every &^ lb.Mappings[0].Flags) },
			func(q *profiles.Quirks, bits uint32) { q.EchoHides = hnslb.MappingFlags(bits) }),
		bits("mapping flags that nobody asked for", added, "Quirks.EchoAdds", 0,
			func(lb hnslb.LoadBalancer) uint32 { return uint32(lb.Mappings[0].Flags) },
			func(q *profiles.Quirks, bits uint32) { q.EchoAdds = hnslb.MappingFlags(bits) }),
		bits("flags that nobody asked for", added, "Quirks.EchoAddsFlags", 0,
			func(lb hnslb.LoadBalancer) uint32 { return uint32(lb.Flags) },
			func(q *profiles.Quirks, bits uint32) { q.EchoAddsFlags = hnslb.LoadBalancerFlags(bits) }),
	}
}

func echoFact(name, row string, change func(*hnslb.LoadBalancer)) fact {
	return fact{name: "echo of " + name, row: row, find: func(ctx context.Context, b *bench) (string, error) {
		return b.echo(ctx, change)
	}}
}

// echo says how HNS shows a load balancer that differs from what is planned by change.
func (b *bench) echo(ctx context.Context, change func(*hnslb.LoadBalancer)) (string, error) {
	want, err := b.loadBalancerSpec(ctx)
	if err != nil {
		return "", err
	}
	change(&want)
	return b.echoOf(ctx, want)
}

// echoOf makes a load balancer and says how HNS shows it: in the answer, and in a list, which
// may come from another interface of HNS.
func (b *bench) echoOf(ctx context.Context, want hnslb.LoadBalancer) (string, error) {
	made, err := b.Driver.CreateLoadBalancer(ctx, want)
	if found, err := resultText(err); err != nil || found != accepted {
		return found, err
	}
	defer b.deleteLoadBalancer(ctx, made)
	now, there, err := b.listedLoadBalancer(ctx, made.ID)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "not listed", nil
	}
	answer, listed := describeEcho(want, made), describeEcho(want, now)
	if answer == listed {
		return answer, nil
	}
	return fmt.Sprintf("%s; in a list %s", answer, listed), nil
}

// describeEcho tells how a load balancer differs from what was asked for.
func describeEcho(want, got hnslb.LoadBalancer) string {
	if len(got.Mappings) != 1 {
		return fmt.Sprintf("with %d mappings", len(got.Mappings))
	}
	text := ""
	note := func(what string, want, got any) {
		if fmt.Sprint(want) == fmt.Sprint(got) {
			return
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %v for %v", what, got, want)
	}
	w, g := want.Mappings[0], got.Mappings[0]
	note("flags", want.Flags, got.Flags)
	note("mapping flags", w.Flags, g.Flags)
	note("distribution", w.Distribution, g.Distribution)
	note("source VIP", want.SourceVIP, got.SourceVIP)
	note("protocol", w.Protocol, g.Protocol)
	note("internal port", w.InternalPort, g.InternalPort)
	note("number of VIPs", len(want.VIPs), len(got.VIPs))
	if text == "" {
		return shown
	}
	return text
}
