// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/prometheus/client_golang/prometheus"
)

// logBook keeps the lines of a log; those of errors begin with "error".
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logBook) add(_, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.HasPrefix(line, `"level"=`) {
		line = "error " + line
	}
	l.lines = append(l.lines, line)
}

// take returns the lines since the last take that have a text in them.
func (l *logBook) take(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	l.lines = nil
	return out
}

// logged starts the proxy of a world anew, with a log.
func (w *world) logged() *logBook {
	book := &logBook{}
	w.stop()
	w.logger = funcr.New(book.add, funcr.Options{})
	w.start()
	return book
}

// TestDriftIsTold: what somebody deleted behind the proxy's back, and an audit found, is
// counted, and told in one line. Lists take their time, as they do on a machine.
func TestDriftIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const drift = "HNS objects were changed outside hnsproxy"
		w := newWorld(t, "L2Bridge", profiles.WS2022(), 30*time.Second, 1)
		book := w.logged()
		for i := range 4 {
			w.do(action{Kind: "service", Service: i})
			w.do(action{Kind: "slice", Service: i, Backends: []backend{{Host: 11 + i}}})
		}
		w.hns.SetFaults(profiles.Faults{ListsTake: 100 * time.Millisecond})
		pass(time.Minute)
		before := w.hns.Dump()
		book.take(drift)
		lbs, err := w.hns.LoadBalancers(context.Background())
		if err != nil || len(lbs) != 4 {
			t.Fatalf("%d load balancers: %v", len(lbs), err)
		}
		for _, lb := range lbs[:3] {
			if err := w.hns.DeleteBehind(lb.ID); err != nil {
				t.Fatal(err)
			}
		}
		pass(5 * time.Minute)
		synctest.Wait()
		if got := w.metric("hnsproxy_drift_total", "frontend"); got != 3 {
			t.Errorf("hnsproxy_drift_total is %v for frontends, want 3", got)
		}
		if told := book.take(drift); len(told) != 1 || !strings.Contains(told[0], `"frontends"=3`) {
			t.Errorf("told: %q, want one line of 3 frontends", told)
		}
		if after := w.hns.Dump(); after != before {
			t.Errorf("not repaired, HNS holds:\n%s", after)
		}
	})
}

// TestFailingListIsTold: a list that fails forever is tried again seldom, although HNS and
// its network answer all the time, and told once a minute.
func TestFailingListIsTold(t *testing.T) {
	const tries, lines = 12, 1
	for name, tc := range map[string]struct {
		verb hnslb.Verb
		code hnslb.HRESULT
	}{
		"endpoints refused":        {hnslb.VerbEndpoints, 0x80004005},
		"endpoints away":           {hnslb.VerbEndpoints, hnslb.ResultServerUnavailable},
		"load balancers refused":   {hnslb.VerbLoadBalancers, 0x80004005},
		"load balancers away":      {hnslb.VerbLoadBalancers, hnslb.ResultServerUnavailable},
		"endpoints on no network":  {hnslb.VerbEndpoints, hnslb.ResultElementNotFound},
		"endpoints without answer": {hnslb.VerbEndpoints, hnslb.ResultCallFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "L2Bridge", profiles.WS2022(), 30*time.Second, 1)
				book := w.logged()
				w.do(action{Kind: "service", Number: 1})
				w.do(action{Kind: "slice", Number: 1, Backends: []backend{{Host: 11}}})
				w.hns.FailNext(tc.verb, 1_000_000, tc.code)
				pass(2 * time.Minute)
				for minute := range 5 {
					w.hns.ResetCounts()
					book.take("")
					pass(time.Minute)
					for verb, n := range w.hns.Counts() {
						if n > tries {
							t.Errorf("minute %d: %d calls of %s, want %d at most", minute, n, verb, tries)
						}
					}
					if told := book.take("error "); len(told) != lines {
						t.Errorf("minute %d: told %q, want %d line", minute, told, lines)
					}
				}
				w.hns.ClearFaults()
				pass(time.Minute)
				synctest.Wait()
				if !w.proxy.Idle() {
					t.Error("the proxy is not idle after HNS could be listed again")
				}
			})
		})
	}
}

// TestLyingDeletionsAreTold: endpoints that HNS reports as deleted and keeps are tried again
// with increasing intervals. No Service uses them, so the Node is told of.
func TestLyingDeletionsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "L2Bridge", profiles.WS2022(), 30*time.Second, 1)
		for i := range 4 {
			w.do(action{Kind: "service", Service: i})
			w.do(action{Kind: "slice", Service: i, Backends: []backend{{Host: 11 + i}}})
		}
		pass(time.Minute)
		if len(w.toldNode) > 0 {
			t.Fatalf("told before anything went wrong: %q", w.toldNode)
		}
		w.hns.SetFaults(profiles.Faults{EndpointDeleteLies: true})
		for i := range 4 {
			w.do(action{Kind: "delete-service", Service: i})
			w.do(action{Kind: "delete-slice", Service: i})
		}
		pass(time.Hour)
		synctest.Wait()
		if len(w.toldNode) == 0 || w.toldNode[0] != "HNSKeepsDeletedObjects" {
			t.Errorf("the Node was told of %q", w.toldNode)
		}
		if n := w.hns.Counts()[hnslb.VerbDeleteEndpoint]; n > 4*70 {
			t.Errorf("%d deletions in an hour, want fewer and fewer", n)
		}
	})
}

// TestFirstSyncCounts: a proxy that finds HNS as it should be has synced, and says so in the
// metric that dashboards look at.
func TestFirstSyncCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "L2Bridge", profiles.WS2022(), 30*time.Second, 1)
		w.do(action{Kind: "service", Service: 1})
		w.do(action{Kind: "slice", Service: 1, Backends: []backend{{Host: 11}}})
		pass(time.Minute)
		w.stop()
		w.registry = prometheus.NewRegistry()
		w.start()
		pass(time.Second)
		synctest.Wait()
		families, err := w.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "kubeproxy_sync_proxy_rules_duration_seconds" {
				if n := f.GetMetric()[0].GetHistogram().GetSampleCount(); n != 1 {
					t.Errorf("%d syncs, want 1", n)
				}
				return
			}
		}
		t.Error("no sync was counted")
	})
}

// TestBackendsAreTold: at --v=2 each frontend tells how its backends changed once HNS has them,
// and that it is gone; and that most frontends went is told at --v=0.
func TestBackendsAreTold(t *testing.T) {
	for _, level := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			const most = "More than half of all frontends were deleted"
			w := newWorld(t, "L2Bridge", profiles.WS2022(), 30*time.Second, 1)
			book := w.logged()
			w.stop()
			w.logger = funcr.New(book.add, funcr.Options{Verbosity: level})
			w.start()
			for i := range 24 {
				w.do(action{Kind: "service", Service: i})
				w.do(action{Kind: "slice", Service: i, Backends: []backend{{Host: 11 + i}}})
			}
			pass(time.Minute)
			book.take("")
			w.do(action{Kind: "slice", Service: 3, Backends: []backend{{Host: 14}, {Host: 15}}})
			pass(time.Minute)
			changed := book.take(`"msg"="Frontend" `)
			for i := range 13 {
				w.do(action{Kind: "delete-service", Service: i})
			}
			pass(2 * time.Second)
			synctest.Wait()
			told := book.take("")
			gone := slices.DeleteFunc(slices.Clone(told), func(line string) bool { return !strings.Contains(line, `"Frontend gone"`) })
			lost := slices.DeleteFunc(told, func(line string) bool { return !strings.Contains(line, most) })
			if len(lost) != 1 || !strings.Contains(lost[0], `"deleted"=13 "of"=24`) {
				t.Errorf("--v=%d: most are gone: %q", level, lost)
			}
			switch {
			case level == 0 && len(changed)+len(gone) > 0:
				t.Errorf("--v=0: %q %q", changed, gone)
			case level == 2 && (len(changed) != 1 || !strings.Contains(changed[0], `"state"="programmed" "backends"="`) || !strings.Contains(changed[0], " -> ")):
				t.Errorf("backends changed: %q", changed)
			case level == 2 && (len(gone) != 13 || !strings.Contains(gone[0], " -> none")):
				t.Errorf("frontends are gone: %q", gone)
			}
		})
	}
}
