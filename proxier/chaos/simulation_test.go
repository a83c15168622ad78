// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// simulation is one node with its HNS, its network plugin, its proxy, and the cluster around it.
// All of it happens on the goroutine that made it, except for what the proxy does.
type simulation struct {
	script script
	hns    *emulator.Emulator
	// old tells that HNS gets one call at a time.
	old   bool
	host  *host
	clock *jumpClock
	watch watch
	// truth is the cluster, sent is what the proxy was told of it; both by key.
	truth, sent map[string]*object
	// uids of pods, by what they are called.
	uids   map[string]string
	issued int
	zone   string

	// proxy is nil while it is down, until due.
	proxy *proxy
	due   time.Time
	// past are the earlier starts of the proxy.
	past []*proxy

	active []running
	// shadows are the times in which faults excuse darkness.
	shadows []span
	dark    *outageLog
	// offs end the faults of the emulator, by the names of their entries.
	offs map[string]func()
	// retry asks the host to try again.
	retry bool

	// flipped is when the node's address changed, unseen tells that it changed back before
	// anybody could look.
	flipped time.Time
	unseen  bool

	injected map[string]int
	failures []failure
}

// running is a fault that has begun.
type running struct {
	action action
	entry  *entry
	ends   time.Time // the zero time: at the end of all faults
	shadow int       // index into shadows
}

// failure is what is wrong with a history: a word for the kind, and what exactly.
type failure struct{ kind, text string }

func (f failure) String() string { return f.kind + ": " + f.text }

// How long things take that the world waits for.
const (
	retryPeriod = time.Second
	// settling is longer than the longest wait between two tries of the proxy, a few times.
	settling = 6 * time.Minute
	// aftermath is how long a fault that is over excuses darkness: for the longest wait
	// between two tries, and for an audit.
	aftermath = 75*time.Second + auditPeriod
)

// newSimulation makes a node on which nothing has happened yet, and starts the proxy.
func newSimulation(s script) *simulation {
	w := &simulation{
		script: s, host: newHost(), clock: newJumpClock(), dark: newOutageLog(),
		truth: map[string]*object{}, sent: map[string]*object{}, uids: map[string]string{}, injected: map[string]int{}, offs: map[string]func(){},
	}
	w.begin()
	return w
}

// begin makes the node's HNS and starts the proxy.
func (w *simulation) begin() {
	s := w.script
	profile, err := profiles.ByName(s.profile)
	if err != nil {
		w.fail("script", "%v", err)
	}
	for _, a := range s.actions {
		if e := entryOf(a.name); e.quirk != nil {
			e.quirk(&profile.Quirks)
			w.injected[a.name]++
		}
	}
	w.old = profile.Version.Major < 11
	w.hns = emulator.New(emulator.Config{Profile: profile, Seed: s.seed, Watch: w.dark.watch,
		Latency: emulator.Latency{Read: s.latency / 80, Write: s.latency}})
	w.reconcile()
	w.startProxy()
}

func (w *simulation) fail(kind, format string, args ...any) {
	w.failures = append(w.failures, failure{kind, fmt.Sprintf(format, args...)})
}

func (w *simulation) must(err error) {
	if err != nil {
		w.fail("script", "the proxy does not understand what the script says: %v", err)
	}
}

// next returns the number of something that is re-created.
func (w *simulation) next() int {
	w.issued++
	return w.issued
}

// startProxy starts the proxy with the cluster as it is: its informers list first.
func (w *simulation) startProxy() {
	w.due = time.Time{}
	g := newGate(hnslb.WithTimeout(w.hns, callTimeout), w.host.name)
	w.proxy = newProxy(g, w.script.network, w.script.seed+uint64(len(w.past)), w.clock)
	clear(w.sent)
	w.watch.queue = nil
	for _, key := range slices.Sorted(maps.Keys(w.truth)) {
		w.deliver(key, w.truth[key])
	}
	if w.zone != "" {
		w.proxy.setZone(w.zone)
	}
	w.proxy.start()
}

// stopProxy ends the proxy: killed, or asked to. It starts again after down.
func (w *simulation) stopProxy(kill bool, down time.Duration) {
	p := w.proxy
	if p == nil {
		return
	}
	if kill {
		p.gate.cut()
	}
	p.cancel()
	if !kill {
		began := time.Now()
		<-p.ended
		if took := time.Since(began); took > 10*time.Second {
			w.fail("stop", "asked to stop, the proxy took %v", took)
		}
		p.gate.cut()
	}
	w.past, w.proxy = append(w.past, p), nil
	w.due = time.Now().Add(down)
	if p.gate.spins {
		w.fail("spins", "the proxy made %d calls in no time", maxCallsAtOnce)
		w.due = time.Now().Add(1000 * time.Hour) // it would do so again
	}
}

// run lets the whole script happen.
func (w *simulation) run() {
	for _, a := range w.script.actions {
		w.do(a)
		w.turn()
	}
}

// do lets one action happen.
func (w *simulation) do(a action) {
	e := entryOf(a.name)
	if e.start == nil {
		return // a quirk of the machine
	}
	if e.unannounced {
		w.shadows = append(w.shadows, span{from: time.Now(), to: time.Now().Add(aftermath)})
	}
	if e.change {
		e.start(w, a)
		return
	}
	if e.end != nil && slices.ContainsFunc(w.active, func(r running) bool { return r.entry == e }) {
		return // it is going on
	}
	w.injected[a.name]++
	shadow := span{from: time.Now()}
	if e.narrow {
		shadow.of = a.list("of")
	}
	if a.name == "hang-object" && w.old {
		w.dark.allowed = excused + heldUp
	}
	w.shadows = append(w.shadows, shadow)
	r := running{action: a, entry: e, shadow: len(w.shadows) - 1}
	if d := a.duration("for"); d > 0 {
		r.ends = time.Now().Add(d)
	}
	e.start(w, a)
	switch {
	case e.end != nil:
		w.active = append(w.active, r)
	case !e.lingers:
		w.over(r)
	}
}

// over notes that a fault has ended.
func (w *simulation) over(r running) { w.shadows[r.shadow].to = time.Now().Add(aftermath) }

// turn does what is due now, and lets all others do it.
func (w *simulation) turn() {
	for _, r := range slices.Clone(w.active) {
		if !r.ends.IsZero() && !r.ends.After(time.Now()) {
			w.endFault(r)
		}
	}
	if w.proxy == nil && !w.due.After(time.Now()) {
		w.startProxy()
	}
	w.arrive()
	w.retry = !w.reconcile()
	w.dark.want(w.wanted())
}

func (w *simulation) endFault(r running) {
	w.active = slices.DeleteFunc(w.active, func(o running) bool { return o.entry == r.entry })
	r.entry.end(w, r.action)
	w.over(r)
}

// pass lets virtual time go by, and all happen that is due meanwhile.
func (w *simulation) pass(d time.Duration) {
	until := time.Now().Add(d)
	for w.turn(); time.Now().Before(until); w.turn() {
		timer := time.NewTimer(time.Until(w.wake(until)))
		var dead chan struct{}
		if w.proxy != nil {
			dead = w.proxy.gate.dead
		}
		select {
		case <-timer.C:
		case <-dead:
			w.stopProxy(true, w.downtime())
		}
		timer.Stop()
	}
	synctest.Wait()
}

// downtime is how long a proxy that was killed at a call stays away.
func (w *simulation) downtime() time.Duration {
	for _, r := range w.active {
		if r.entry.name == "kill" {
			return r.action.duration("down")
		}
	}
	return 0
}

// wake returns when something is due, until at the latest.
func (w *simulation) wake(until time.Time) time.Time {
	next := until
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	for _, r := range w.active {
		earlier(r.ends)
	}
	if w.proxy == nil {
		earlier(w.due)
	}
	if len(w.watch.queue) > 0 {
		earlier(w.watch.queue[0].due)
	}
	if w.retry {
		earlier(time.Now().Add(retryPeriod))
	}
	return next
}

// calm ends all faults.
func (w *simulation) calm() {
	for len(w.active) > 0 {
		w.endFault(w.active[0])
	}
	w.hns.ClearFaults()
	for i, s := range w.shadows {
		if s.open() {
			w.shadows[i].to = time.Now().Add(aftermath)
		}
	}
	w.turn()
}

// finishPods lets the slices say where every pod is, and drops those that are gone.
func (w *simulation) finishPods() {
	pods := w.pods()
	for _, key := range slices.Sorted(maps.Keys(w.truth)) {
		o := w.truth[key]
		if o.slice == nil {
			continue
		}
		a := o.said.without(func(word string) bool {
			t := parseTarget(word)
			return strings.HasPrefix(t.word, "l") && !t.moved && pods[t.word] == ""
		})
		words := a.list("to")
		for i, word := range words {
			if t := parseTarget(word); t.moved && pods[t.word] != "" {
				words[i] = t.word
			}
		}
		if len(words) > 0 {
			a.args["to"] = strings.Join(words, ",")
		}
		w.publish(key, newSlice(a, pods))
	}
}

// close ends everything that runs.
func (w *simulation) close() {
	w.hns.ClearFaults()
	w.stopProxy(false, 0)
	for _, p := range w.past {
		<-p.ended
		if p.crash != "" {
			w.fail("crash", "%s", p.crash)
		}
	}
}
