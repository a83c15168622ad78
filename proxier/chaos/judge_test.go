// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// outcome is what came of a history.
type outcome struct {
	injected map[string]int
	failures []failure
}

// play lets a history happen and judges it.
func play(t *testing.T, s script) outcome {
	t.Helper()
	var out outcome
	synctest.Test(t, func(*testing.T) {
		w := newSimulation(s)
		w.run()
		w.calm()
		w.release(false)
		w.finishPods()
		w.pass(settling)
		calls := w.hns.Counts()
		w.pass(time.Minute)
		w.judge(calls)
		w.close()
		out = outcome{w.injected, w.failures}
	})
	return out
}

// judge judges the end of a history. before are the calls of HNS up to the last minute.
func (w *simulation) judge(before map[hnslb.Verb]int) {
	w.judgeTouch()
	if w.proxy == nil {
		return // it spins
	}
	w.judgeQuiet(before)
	w.judgeRows()
	fresh := w.fresh()
	if diff := cmp.Diff(lines(fresh.hns.Dump()), w.dump()); diff != "" {
		w.fail("differs", "HNS is not as on a fresh node (-fresh +this):\n%s", diff)
	}
	if diff := cmp.Diff(texts(fresh.proxy.rows()), texts(w.proxy.rows())); diff != "" {
		w.fail("table", "the table is not as on a fresh node (-fresh +this):\n%s", diff)
	}
	fresh.close()
	for _, f := range fresh.failures {
		w.fail(f.kind, "on the fresh node: %s", f.text)
	}
	for _, text := range w.dark.unexcused(w.shadows, time.Now()) {
		w.fail("dark", "%s", text)
	}
}

// dump returns what HNS holds. Which address a node port has in its rules is left out when the
// node's own changed and the proxy could not see that: HNS does not show it.
func (w *simulation) dump() []string {
	dump := w.hns.Dump()
	if w.unseen || w.injected["management-ip"] > 0 && len(w.injected) > 1 {
		dump = regexp.MustCompile(` (node-ip=\S+|no-node-ip)`).ReplaceAllString(dump, "")
	}
	return lines(dump)
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

func texts(rows []row) []string {
	out := make([]string, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.String())
	}
	return out
}

// judgeTouch: what belongs to others was left alone at any time.
func (w *simulation) judgeTouch() {
	for _, p := range append(slices.Clone(w.past), w.proxy) {
		if p == nil {
			continue
		}
		for _, text := range p.gate.broken() {
			w.fail("touched", "%s", text)
		}
		for _, text := range p.broken() {
			w.fail("law", "%s", text)
		}
		if p.gate.busiest > mostPerMinute {
			w.fail("busy", "%d calls in a minute, want %d at most", p.gate.busiest, mostPerMinute)
		}
	}
}

// quiet is how many calls of each verb a quiet minute may have: those of the audits, and a
// heartbeat each second.
func quiet() map[hnslb.Verb]int {
	audits := int(time.Minute/auditPeriod) + 1
	return map[hnslb.Verb]int{
		hnslb.VerbFeatures: 60, hnslb.VerbNetwork: 60 + audits,
		hnslb.VerbEndpoints: audits, hnslb.VerbLoadBalancers: audits,
	}
}

// judgeQuiet: nothing is done that need not be.
func (w *simulation) judgeQuiet(before map[hnslb.Verb]int) {
	now := w.hns.Counts()
	for _, v := range hnslb.Verbs() {
		if n, most := now[v]-before[v], quiet()[v]; n > most {
			w.fail("quiet", "%d calls of %s in a quiet minute, want %d at most", n, v, most)
		}
	}
	for range 3 {
		if !w.proxy.idle() {
			w.pass(time.Second) // it may be in the middle of an audit
		}
	}
	if !w.proxy.idle() {
		w.fail("quiet", "the proxy is not idle")
	}
}

// judgeRows: every frontend is in force, or blocked for a reason that is right; and what the
// cluster asks for has a row.
func (w *simulation) judgeRows() {
	rows := map[string]row{}
	for _, r := range w.proxy.rows() {
		rows[r.service+" "+r.key.String()] = r
		if why := w.wrong(r); why != "" {
			w.fail("status", "%s: %s (%s)", r, why, r.message)
		}
	}
	for _, o := range w.truth {
		if o.service == nil {
			continue
		}
		for _, k := range o.frontends() {
			if name := fmt.Sprintf("ns/%s %s", o.service.Name, k); rows[name].state == "" {
				w.fail("status", "%s: nothing is said of it", name)
			}
		}
	}
}

// wrong returns why a row cannot be right, "" if it can.
func (w *simulation) wrong(r row) string {
	holder := w.holder(r.key)
	switch {
	case r.state == programmed:
		return w.wrongBackends(holder)
	case r.state == pending && r.reason == localAwaited && w.namesNode(r.service):
		return ""
	case r.state != blocked:
		return "nothing keeps it from being in force"
	}
	right := true
	switch r.reason {
	case heldByForeign:
		right = holder != nil && w.host.name(holder.ID) != ""
	case conflict:
		right = slices.ContainsFunc(w.proxy.rows(), func(o row) bool { return o.key == r.key && o.service != r.service })
	case noEndpoints:
		right = !w.dark.served[r.key]
	case localMissing:
		right = w.namesNode(r.service)
	case addressTaken:
		right = !w.dark.served[r.key] // all that its slices name is another's, or the network plugin's to bring
	case noLocalPolicy, noRoot:
	default:
		return "a reason that nobody expects"
	}
	if !right {
		return "the reason is not right"
	}
	return ""
}

// holder returns the load balancer that holds a frontend, nil if there is none.
func (w *simulation) holder(key hnslb.FrontendKey) *emulator.LoadBalancerState {
	for _, lb := range w.hns.State().LoadBalancers {
		if k, ok := lb.Key(); ok && k == key {
			return &lb
		}
	}
	return nil
}

// wrongBackends tells what is wrong with the load balancer of a programmed frontend.
func (w *simulation) wrongBackends(lb *emulator.LoadBalancerState) string {
	if lb == nil {
		return "HNS has no load balancer for it"
	}
	if w.host.name(lb.ID) != "" {
		return "the load balancer is somebody else's"
	}
	exists := map[hnslb.ID]bool{}
	for _, ep := range w.hns.State().Endpoints {
		exists[ep.ID] = true
	}
	for _, id := range lb.Endpoints {
		if !exists[id] {
			return "the load balancer names an endpoint that is gone"
		}
	}
	return ""
}

// namesNode tells whether a Service has a backend on the node's own address, for which many
// network plugins never make an endpoint.
func (w *simulation) namesNode(service string) bool {
	for _, o := range w.truth {
		if o.slice != nil && "ns/"+serviceName(o.said) == service &&
			slices.ContainsFunc(o.targets, func(t target) bool { return t.word == "node" || t.word == "l0" }) {
			return true
		}
	}
	return false
}

// fresh is the same node with a new HNS, on which nothing ever went wrong: it sees only the
// last state of the cluster.
func (w *simulation) fresh() *simulation {
	s := w.script
	s.actions = slices.DeleteFunc(slices.Clone(s.actions), func(a action) bool { return entryOf(a.name).quirk == nil })
	o := &simulation{
		script: s, host: newHost(), clock: newJumpClock(), dark: newOutageLog(), offs: map[string]func(){},
		truth: w.truth, sent: map[string]*object{}, uids: w.uids, zone: w.zone, injected: map[string]int{},
	}
	o.host.router = w.host.router
	maps.Copy(o.host.things, w.host.things)
	o.begin()
	o.pass(2*auditPeriod + time.Second)
	return o
}
