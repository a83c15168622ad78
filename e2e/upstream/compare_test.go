// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// expected returns what hnsproxy has to make of a case, one line per frontend and per
// health-check node port: upstream's answer, changed by the rules.
func expected(c *testCase, rules []rule, count tally) string {
	var b strings.Builder
	shown := c
	for _, r := range rules {
		shown = count.applied(r.name, r.input, shown)
	}
	fs := faces(shown, func(ch choice) { count.choice(shown, ch) })
	for _, f := range fs {
		count.face(f)
	}
	for _, r := range rules {
		if r.output != nil {
			hits := 0
			fs, hits = r.output(c, fs)
			count[r.name] += hits
		}
	}
	for _, f := range fs {
		f.write(&b)
	}
	if c.service.Spec.HealthCheckNodePort == 0 {
		return b.String()
	}
	for _, r := range rules {
		c = count.applied(r.name, r.health, c)
	}
	writeHealth(&b, theirHealth(c, count))
	return b.String()
}

// applied returns the case as a rule shows it to upstream.
func (t tally) applied(name string, input func(*testCase) *testCase, c *testCase) *testCase {
	if input == nil {
		return c
	}
	if changed := input(c); changed != nil {
		t[name]++
		return changed
	}
	return c
}

func writeHealth(b *strings.Builder, checks []desired.HealthCheckPort) {
	for _, h := range checks {
		fmt.Fprintf(b, "healthcheck %s :%d -> %d local\n", h.Family, h.Port, h.LocalEndpoints)
	}
}

// line is one frontend in words.
type line struct {
	kind     desired.Kind
	key      fmt.Stringer
	blocked  desired.Reason
	port     int
	backends []backend
	limits   []desired.Reason
}

type backend struct {
	ip    netip.Addr
	local bool
}

func (l line) write(b *strings.Builder) {
	b.WriteString(l.kind.String() + " " + l.key.String())
	if l.blocked != "" {
		b.WriteString(" blocked " + string(l.blocked) + "\n")
		return
	}
	fmt.Fprintf(b, " -> %d", l.port)
	for _, x := range l.backends {
		b.WriteString(" " + x.ip.String())
		if x.local {
			b.WriteString("(local)")
		}
	}
	for _, r := range l.limits {
		b.WriteString(" limit " + string(r))
	}
	b.WriteByte('\n')
}

func (f *face) write(b *strings.Builder) {
	l := line{kind: f.kind, key: f.key, blocked: f.blocked, limits: f.limits}
	for _, e := range f.endpoints {
		l.port = e.Port()
		l.backends = append(l.backends, backend{netip.MustParseAddr(e.IP()), e.IsLocal()})
	}
	slices.SortFunc(l.backends, func(a, b backend) int { return a.ip.Compare(b.ip) })
	l.write(b)
}

// actual returns what hnsproxy makes of a case.
func actual(c *testCase) string {
	var b strings.Builder
	frontends, checks := c.ours()
	for _, f := range frontends {
		l := line{kind: f.Kind, key: f.Key, blocked: f.Blocked.Reason, port: int(f.InternalPort)}
		for _, x := range f.Backends {
			l.backends = append(l.backends, backend{x.IP, x.Local})
		}
		for _, n := range f.Limits {
			if aboutChoice(n.Reason) {
				l.limits = append(l.limits, n.Reason)
			}
		}
		l.write(&b)
	}
	writeHealth(&b, checks)
	return b.String()
}

// aboutChoice tells whether a limit speaks of which endpoints are used: no other belongs
// to this comparison.
func aboutChoice(r desired.Reason) bool {
	switch r {
	case desired.NoLocalPolicy, desired.NoSourceRanges, desired.MixedPorts, desired.TooManyEndpoints:
		return true
	}
	return false
}

// compare returns where hnsproxy differs from what the rules make of upstream's answer.
func compare(c *testCase, rules []rule, count tally) string {
	want, got := expected(c, rules, count), actual(c)
	if want == got {
		return ""
	}
	return cmp.Diff(want, got)
}
