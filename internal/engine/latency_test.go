// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

func key(port uint16) hnslb.FrontendKey { return numbered(port).key }

func frontends(ports ...uint16) []*desired.Frontend {
	var out []*desired.Frontend
	for _, p := range ports {
		out = append(out, &desired.Frontend{Key: key(p)})
	}
	return out
}

// TestLatency: a change is in force when the last of its frontends is written.
func TestLatency(t *testing.T) {
	zero := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return zero.Add(time.Duration(seconds) * time.Second) }
	in := func(triggers ...time.Time) services.Input {
		return services.Input{Name: services.Name{Name: "a"}, Triggers: triggers}
	}
	type keys = []hnslb.FrontendKey
	for _, tc := range []struct {
		name  string
		start func(latencyTracker)
		land  []uint16
		// want are the latencies at 10 s, after the last landing.
		want []time.Duration
	}{
		{"one frontend", func(l latencyTracker) { l.start(in(at(0)), keys{key(1)}, frontends(1)) }, []uint16{1}, []time.Duration{10 * time.Second}},
		{"one of two is left", func(l latencyTracker) { l.start(in(at(0)), keys{key(1), key(2)}, frontends(1, 2)) }, []uint16{1, 1}, nil},
		{"both of two", func(l latencyTracker) { l.start(in(at(0)), keys{key(1), key(2)}, frontends(1, 2)) }, []uint16{2, 1}, []time.Duration{10 * time.Second}},
		{"two changes together", func(l latencyTracker) {
			l.start(in(at(0)), keys{key(1)}, frontends(1))
			l.start(in(at(4)), keys{key(1)}, frontends(1))
		}, []uint16{1}, []time.Duration{10 * time.Second, 6 * time.Second}},
		{"no trigger", func(l latencyTracker) { l.start(in(), keys{key(1)}, frontends(1)) }, []uint16{1}, nil},
		{"nothing to write", func(l latencyTracker) { l.start(in(at(0)), nil, frontends(1)) }, []uint16{1}, nil},
		{"a frontend that is gone is not waited for", func(l latencyTracker) {
			l.start(in(at(0)), keys{key(1), key(2)}, frontends(1, 2))
			l.start(in(), keys{key(2)}, frontends(1))
		}, []uint16{1}, []time.Duration{10 * time.Second}},
		{"all frontends are gone", func(l latencyTracker) {
			l.start(in(at(0)), keys{key(1)}, frontends(1))
			l.start(in(), keys{key(1)}, nil)
		}, []uint16{1}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := latencyTracker{}
			tc.start(l)
			var got []time.Duration
			for i, p := range tc.land {
				if got = l.programmed(services.Name{Name: "a"}, key(p), at(10)); i < len(tc.land)-1 && len(got) > 0 {
					t.Errorf("in force when %d is written: %v", p, got)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if again := l.programmed(services.Name{Name: "a"}, key(tc.land[0]), at(11)); len(again) > 0 {
				t.Errorf("told twice: %v", again)
			}
		})
	}
}

// TestMaxTriggers: while HNS is away the changes of one Service do not pile up; the latest
// are kept.
func TestMaxTriggers(t *testing.T) {
	zero := time.Unix(1000, 0)
	l := latencyTracker{}
	for i := range 3 * maxTriggers {
		l.start(services.Input{Triggers: []time.Time{zero.Add(time.Duration(i) * time.Second)}}, []hnslb.FrontendKey{key(1)}, frontends(1))
	}
	got := l.programmed(services.Name{}, key(1), zero.Add(3*maxTriggers*time.Second))
	if len(got) != maxTriggers || got[0] != maxTriggers*time.Second || got[len(got)-1] != time.Second {
		t.Errorf("%d changes, from %s to %s ago", len(got), got[0], got[len(got)-1])
	}
}

// TestChangeProgrammed: the engine tells of a change when HNS has it, not before.
func TestChangeProgrammed(t *testing.T) {
	b := atRest(t)
	in := several(1)[0]
	in.Triggers = []time.Time{b.clock.Add(-time.Second)}
	b.SetServices([]services.Input{in})
	b.succeed(b.one(b.ready(), "CreateEndpoint 10.244.2.1"))
	c := b.one(b.after(100*time.Millisecond), "CreateLoadBalancer 10.96.0.1:80/TCP")
	b.after(100 * time.Millisecond)
	if got := only[ChangeProgrammed](b.transitions); len(got) > 0 {
		t.Errorf("told before it is written: %v", got)
	}
	b.succeed(c)
	b.ready()
	if got := only[ChangeProgrammed](b.transitions); len(got) != 1 || got[0].After != 1200*time.Millisecond {
		t.Errorf("told: %v, want 1.2 s", got)
	}
}
