// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/events"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// told is a Reporter that runs, and what it told: "<time> <type> <Service> <reason>: <message>".
type told struct {
	*events.Reporter
	t     *testing.T
	start time.Time
	mu    sync.Mutex // guards all below; the test holds it but for the time that it lets pass
	sent  []string
	uids  []types.UID
	// logged are the Services of the lines logged, loggedAt the times of all lines, summaries
	// the lines about what waits.
	logged    []string
	loggedAt  []time.Duration
	summaries []string
	delayed   int
	// looks counts how often it looked for what is due.
	looks int
}

// run starts a Reporter in a bubble. With silent there is nobody to send to.
func run(t *testing.T, silent bool, play func(*told)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &told{t: t, start: time.Now()}
		cfg := events.Config{
			Clock:   clock.RealClock{},
			Delayed: func(n int) { w.locked(func() { w.delayed, w.looks = n, w.looks+1 }) },
			Logger:  funcr.New(func(_, line string) { w.locked(func() { w.log(line) }) }, funcr.Options{}),
		}
		if !silent {
			cfg.Send = func(e events.Event) {
				w.locked(func() {
					w.uids = append(w.uids, e.UID)
					w.sent = append(w.sent, fmt.Sprintf("%v %s %s %s: %s", time.Since(w.start), e.Type(), e.Service.Name, e.Reason, e.Message))
				})
			}
		}
		w.Reporter = events.New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx)
		}()
		w.locked(func() { play(w) })
		cancel()
		<-ended
	})
}

// locked runs what the Reporter calls.
func (w *told) locked(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

func (w *told) pass(d time.Duration) {
	w.mu.Unlock()
	defer w.mu.Lock()
	<-time.After(d)
	synctest.Wait()
}

// log takes a line in.
func (w *told) log(line string) {
	w.loggedAt = append(w.loggedAt, time.Since(w.start))
	if _, rest, ok := strings.Cut(line, `"service"="default/`); ok {
		service, _, _ := strings.Cut(rest, `"`)
		w.logged = append(w.logged, service)
	} else {
		w.summaries = append(w.summaries, line)
	}
}

// worstMinute returns how many lines were logged within a minute at most.
func (w *told) worstMinute() int {
	most := 0
	for i, from := range w.loggedAt {
		n := 0
		for _, at := range w.loggedAt[i:] {
			if at < from+time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// expect compares what was told since the last call.
func (w *told) expect(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.sent); diff != "" {
		w.t.Errorf("after %v (-want +told):\n%s", time.Since(w.start), diff)
	}
	w.sent = nil
}

// frontend makes one: a VIP and port, or "node:30080" for a node port.
func frontend(service, at string, limits ...desired.Note) *desired.Frontend {
	f := &desired.Frontend{
		Service: services.Name{Namespace: "default", Name: service}, UID: types.UID("uid-" + service), Limits: limits,
		Key: hnslb.FrontendKey{Family: hnslb.IPv4, Protocol: hnslb.TCP},
	}
	if port, ok := strings.CutPrefix(at, "node:"); ok {
		at = "0.0.0.0:" + port
	}
	to := netip.MustParseAddrPort(at)
	f.Key.Port = to.Port()
	if !to.Addr().IsUnspecified() {
		f.Key.VIP, f.Key.Family = to.Addr(), hnslb.FamilyOf(to.Addr())
	}
	return f
}

func note(r desired.Reason, message string) desired.Note {
	return desired.Note{Reason: r, Message: message}
}

// TestOncePerService: one cause is one Event, with all frontends that it concerns, and is
// not told again while it lasts, whatever is computed or tried again.
func TestOncePerService(t *testing.T) {
	run(t, false, func(w *told) {
		affinity := note(desired.NoAffinity, "no affinity")
		set := func(final bool) {
			for _, at := range []string{"10.96.0.5:80", "node:30080", "[fd00::5]:80"} {
				w.Set(frontend("web", at, affinity), desired.Note{}, final)
			}
		}
		set(false)
		w.pass(400 * time.Millisecond)
		set(true)
		w.pass(time.Second)
		w.expect("1s Warning web SessionAffinityUnsupported: node port 30080/TCP, 10.96.0.5:80/TCP, [fd00::5]:80/TCP: no affinity")
		for range 20 {
			set(false)
			w.pass(20 * time.Second)
			set(true)
		}
		w.Set(frontend("web", "10.96.0.6:80", affinity), desired.Note{}, true)
		w.Remove(services.Name{Namespace: "default", Name: "web"}, frontend("web", "10.96.0.5:80").Key)
		w.pass(time.Hour)
		w.expect()
	})
}

// TestEachCause: a frontend may have several limits and a reason beside them; each is told.
func TestEachCause(t *testing.T) {
	run(t, false, func(w *told) {
		f := frontend("web", "10.96.0.5:80", note(desired.NoAffinity, "no affinity"), note(desired.MixedPorts, "1 left out"))
		w.Set(f, note(desired.HNSPortInUse, "taken"), true)
		w.pass(time.Minute)
		w.expect(
			"1s Warning web MixedTargetPorts: 10.96.0.5:80/TCP: 1 left out",
			"1s Warning web SessionAffinityUnsupported: 10.96.0.5:80/TCP: no affinity",
			"10s Warning web HNSPortInUse: 10.96.0.5:80/TCP: taken",
		)
		if len(w.logged) != 3 || w.uids[0] != "uid-web" {
			t.Errorf("logged %q, UIDs %v", w.logged, w.uids)
		}
	})
}

// TestHostileText: words of HNS are escaped, and then cut.
func TestHostileText(t *testing.T) {
	run(t, false, func(w *told) {
		w.Set(frontend("web", "10.96.0.5:80", note(desired.NoAffinity, "\x1b[2J \u202e\u009b31m\r\nI1124 forged \xff")), desired.Note{}, true)
		w.pass(time.Minute)
		w.expect(`1s Warning web SessionAffinityUnsupported: 10.96.0.5:80/TCP: \x1b[2J \u202e\u009b31m\r\nI1124 forged \xff`)
		w.Set(frontend("api", "10.96.0.6:80", note(desired.NoAffinity, strings.Repeat("\x1b", 500))), desired.Note{}, true)
		w.pass(time.Minute)
		_, message, _ := strings.Cut(w.sent[0], "10.96.0.6:80/TCP: ")
		if n := len("10.96.0.6:80/TCP: ") + len(message); n != 1024 || !strings.HasPrefix(message, `\x1b\x1b`) {
			t.Errorf("a message of %d bytes: %s", n, message)
		}
	})
}

// TestWhatPasses: a cause that is gone before its time is told to nobody, and one that is
// told, gone and back is told again.
func TestWhatPasses(t *testing.T) {
	run(t, false, func(w *told) {
		f, no := frontend("web", "10.96.0.5:80"), note(desired.NoEndpoints, "no endpoint")
		const text = " Normal web NoEndpoints: 10.96.0.5:80/TCP: no endpoint; on Windows, connections time out instead of being refused"
		w.Set(f, no, true)
		w.pass(29 * time.Second)
		w.Set(f, desired.Note{}, true)
		w.pass(time.Minute)
		w.expect()
		w.Set(f, no, true) // at 89 s
		w.pass(time.Hour)
		w.expect("1m59s" + text)
		w.Set(f, desired.Note{}, true)
		w.Set(f, no, true)
		w.pass(29 * time.Second)
		w.expect()
		w.pass(time.Second)
		w.expect("1h1m59s" + text)
		w.Set(f, desired.Note{}, true)
		w.Set(f, no, true)
		w.Remove(f.Service, f.Key)
		w.pass(time.Hour)
		w.expect()
	})
}

// TestWorkedOn: while HNS is tried again the outcome of the last try stays true.
func TestWorkedOn(t *testing.T) {
	run(t, false, func(w *told) {
		f := frontend("web", "node:30080")
		for range 10 {
			w.Set(f, note(desired.HNSPortInUse, "taken"), true)
			w.pass(3 * time.Second)
			w.Set(f, desired.Note{}, false)
		}
		w.pass(time.Hour)
		w.expect("10s Warning web HNSPortInUse: node port 30080/TCP: taken")
		w.Set(f, note(desired.HNSTimeout, "slow"), true) // another class of error is another cause
		w.pass(time.Minute)
		if len(w.sent) != 1 || !strings.Contains(w.sent[0], "HNSTimeout") {
			t.Errorf("told %q", w.sent)
		}
	})
}

// TestSameNameAgain: a Service that was deleted and made again is another Service.
func TestSameNameAgain(t *testing.T) {
	run(t, false, func(w *told) {
		sctp := note(desired.NoProtocol, "no SCTP")
		w.Set(frontend("web", "10.96.0.5:80"), sctp, true)
		w.pass(time.Minute)
		again := frontend("web", "10.96.0.5:80")
		again.UID = "another"
		w.Set(again, desired.Note{}, false)
		w.Set(again, sctp, true)
		w.pass(time.Minute)
		if diff := cmp.Diff([]types.UID{"uid-web", "another"}, w.uids); diff != "" {
			t.Error(diff)
		}
	})
}

// TestLocalPolicy: that a node without endpoints drops packets under policy Local is no
// news; other reasons are.
func TestLocalPolicy(t *testing.T) {
	run(t, false, func(w *told) {
		f := frontend("web", "node:30080")
		f.Local = true
		w.Set(f, note(desired.NoEndpoints, "no endpoint"), true)
		w.pass(time.Hour)
		w.expect()
		w.Set(f, note(desired.Conflict, "taken"), true)
		w.pass(time.Second)
		w.expect("1h0m1s Warning web FrontendConflict: node port 30080/TCP: taken")
	})
}

// TestRateLimit: a storm is spread out and counted, warnings overtake the rest, and
// nothing is lost or told after it is gone.
func TestRateLimit(t *testing.T) {
	run(t, false, func(w *told) {
		const storm = 100
		for i := range storm {
			w.Set(frontend(fmt.Sprintf("web-%02d", i), "10.96.0.5:80"), note(desired.NoEndpoints, "none"), true)
		}
		w.pass(31 * time.Second)
		// The bucket holds 25, and what came into it in 30 s does not make it overflow.
		if len(w.sent) != 25 || w.delayed != storm-25 || len(w.logged) != 20 {
			t.Fatalf("%d sent, %d delayed, %d logged", len(w.sent), w.delayed, len(w.logged))
		}
		w.sent = nil
		w.Set(frontend("conflict", "10.96.0.6:80"), note(desired.Conflict, "taken"), true)
		w.Set(frontend("web-25", "10.96.0.5:80"), desired.Note{}, true)
		w.pass(12 * time.Second)
		var services []string
		for _, line := range w.sent {
			services = append(services, strings.Fields(line)[2])
		}
		if diff := cmp.Diff([]string{"conflict", "web-26"}, services); diff != "" {
			t.Errorf("next (-want +told):\n%s", diff)
		}
		w.pass(10 * time.Minute)
		if len(w.sent) != storm-25-1+1 || w.delayed != 0 || len(w.logged) != storm-1+1 {
			t.Errorf("%d sent in the end, %d delayed, %d logged", len(w.sent), w.delayed, len(w.logged))
		}
	})
}

// TestNobodyToSendTo: without an API server everything is logged, a few lines at a time.
func TestNobodyToSendTo(t *testing.T) {
	run(t, true, func(w *told) {
		for i := range 100 {
			w.Set(frontend(fmt.Sprintf("web-%d", i), "10.96.0.5:80"), note(desired.NoProtocol, "no SCTP"), true)
		}
		w.pass(time.Hour)
		slices.Sort(w.logged)
		if n := len(slices.Compact(w.logged)); n != 100 || len(w.logged) != 100 || w.delayed != 0 {
			t.Errorf("%d Services logged in %d lines, %d delayed", n, len(w.logged), w.delayed)
		}
		if n := w.worstMinute(); n > 52 {
			t.Errorf("%d lines in a minute", n)
		}
	})
}

// TestLogLimit: hundreds of Services do not flood the log. What has no room is counted once a
// minute and logged later if it is still true, and what is new comes first.
func TestLogLimit(t *testing.T) {
	run(t, false, func(w *told) {
		const storm = 500
		for i := range storm {
			w.Set(frontend(fmt.Sprintf("web-%03d", i), "10.96.0.5:80"), note(desired.HNSPortInUse, "taken"), true)
		}
		w.Set(frontend("web-499", "10.96.0.5:81"), note(desired.NoAffinity, "no affinity"), true)
		w.pass(10 * time.Second)
		if len(w.logged) != 21 || len(w.summaries) != 1 ||
			!strings.Contains(w.summaries[0], `"services"=480 "reasons"="HNSPortInUse=480"`) {
			t.Errorf("logged %q and %q", w.logged, w.summaries)
		}
		for i := range 100 {
			w.Set(frontend(fmt.Sprintf("web-%03d", 100+i), "10.96.0.5:80"), desired.Note{}, true)
		}
		for minute := range 10 {
			w.pass(30 * time.Second)
			name := fmt.Sprint("healthy-", minute)
			before := len(w.logged)
			w.Set(frontend(name, "10.96.0.6:80"), note(desired.HNSPortInUse, "taken"), true)
			w.pass(11 * time.Second)
			if !slices.Contains(w.logged[before:], name) {
				t.Errorf("minute %d: a Service that begins to fail is not logged, but %q", minute, w.logged[before:])
			}
			w.pass(19 * time.Second)
		}
		if n := w.worstMinute(); n > 52 {
			t.Errorf("%d lines in the worst minute", n)
		}
		if n := len(w.summaries); n < 8 || n > 11 {
			t.Errorf("%d lines about what waits in 10 minutes: %q", n, w.summaries)
		}
		w.pass(10 * time.Minute)
		slices.Sort(w.logged)
		if n := len(slices.Compact(w.logged)); n != storm-100+10 || len(w.logged) != storm-100+10+1 {
			t.Errorf("%d Services in %d lines in the end", n, len(w.logged))
		}
		last := w.summaries[len(w.summaries)-1]
		w.pass(time.Hour)
		if again := w.summaries[len(w.summaries)-1]; again != last {
			t.Errorf("nothing waits, and yet %q", again)
		}
	})
}

// TestSteadyNews: news that keep coming do not put off what is due, and do not let all that
// waits be looked at each time.
func TestSteadyNews(t *testing.T) {
	run(t, false, func(w *told) {
		for i := range 100 {
			w.Set(frontend(fmt.Sprintf("web-%d", i), "10.96.0.5:80"), note(desired.NoEndpoints, "none"), true)
			w.Set(frontend("first", "10.96.0.6:80"), note(desired.NoProtocol, "no SCTP"), true)
			w.pass(100 * time.Millisecond)
		}
		w.expect("1s Warning first ProtocolUnsupported: 10.96.0.6:80/TCP: no SCTP")
		if w.looks > 12 {
			t.Errorf("looked %d times in 10 s", w.looks)
		}
	})
}

// TestText: messages are grouped, long lists shortened, and the API's limit kept.
func TestText(t *testing.T) {
	many := func(n int, message func(int) string) (out []*desired.Frontend, notes []desired.Note) {
		for i := range n {
			out = append(out, frontend("web", fmt.Sprintf("10.96.0.%d:80", i+1)))
			notes = append(notes, note(desired.NoProtocol, message(i)))
		}
		return out, notes
	}
	for _, tc := range []struct {
		name    string
		n       int
		message func(int) string
		want    string
	}{
		{"two messages", 3, func(i int) string { return []string{"odd", "even"}[i%2] },
			"10.96.0.1:80/TCP, 10.96.0.3:80/TCP: odd; 10.96.0.2:80/TCP: even"},
		{"many frontends", 8, func(int) string { return "no" },
			"10.96.0.1:80/TCP, 10.96.0.2:80/TCP, 10.96.0.3:80/TCP, 10.96.0.4:80/TCP, 10.96.0.5:80/TCP and 3 more: no"},
		{"many messages", 7, func(i int) string { return fmt.Sprint("no ", i) },
			"10.96.0.1:80/TCP: no 0; 10.96.0.2:80/TCP: no 1; 10.96.0.3:80/TCP: no 2; 10.96.0.4:80/TCP: no 3; 10.96.0.5:80/TCP: no 4 and 2 more"},
		{"long", 1, func(int) string { return "x" + strings.Repeat("ä", 600) },
			"10.96.0.1:80/TCP: x" + strings.Repeat("ä", 501) + "..."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, false, func(w *told) {
				frontends, notes := many(tc.n, tc.message)
				for i, f := range slices.Backward(frontends) {
					w.Set(f, notes[i], true)
				}
				w.pass(time.Second)
				w.expect("1s Warning web ProtocolUnsupported: " + tc.want)
			})
		})
	}
}
