// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	pollInterval = 10 * time.Millisecond
	// patience is for the slowest step there is: a client that has backed off while the API server was away.
	patience = 60 * time.Second
)

// Eventually waits until done is true. When it does not become so the test ends with what was waited for and a report.
func (w *World) Eventually(what string, done func() bool) {
	w.tb.Helper()
	w.await(what, func(context.Context) error {
		if done() {
			return nil
		}
		return errors.New("it did not happen")
	})
}

// Converge waits until the EndpointSlices say what the Pods are, HNS holds exactly what the oracle derives from them, and
// hnsproxy has nothing left to do. It cannot tell a change that hnsproxy has not seen yet from one that makes no difference to
// HNS: after such a change call Fence before.
func (w *World) Converge() {
	w.tb.Helper()
	w.await("converge", w.differs)
}

// await polls until check returns nil.
func (w *World) await(what string, check func(context.Context) error) {
	w.tb.Helper()
	w.awaitFor(patience, what, check)
}

func (w *World) awaitFor(patience time.Duration, what string, check func(context.Context) error) {
	w.tb.Helper()
	var last error
	err := wait.PollUntilContextTimeout(w.tb.Context(), pollInterval, patience, true, func(ctx context.Context) (bool, error) {
		now := check(ctx)
		if ctx.Err() == nil {
			last = now // else it may say no more than that the time is up
		}
		return now == nil, nil
	})
	if err != nil {
		w.tb.Fatalf("%s: %v: %v\n%s", what, err, last, w.report())
	}
}

// differs tells in how far HNS is not as it must be.
func (w *World) differs(ctx context.Context) error {
	want, err := w.Wanted(ctx)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, w.Held()); diff != "" {
		return fmt.Errorf("HNS differs (-wanted +held):\n%s", diff)
	}
	if w.proxy == nil || !w.proxy.idle() {
		return errors.New("HNS is as it must be, but hnsproxy is not idle")
	}
	return nil
}

// Wanted returns what HNS must hold by the objects of the API server. It is an error while the EndpointSlices lag behind.
func (w *World) Wanted(ctx context.Context) ([]string, error) {
	now, err := read(ctx, w.Plane.Admin)
	if err != nil {
		return nil, err
	}
	if lag := now.lag(); lag != "" {
		return nil, errors.New(lag)
	}
	o := &oracle{snapshot: now, overlay: w.setup.Overlay, dsr: w.setup.DSR, affinity: w.setup.Profile.Version.Major >= 12, locals: map[string]bool{}}
	for i := range now.nodes {
		if now.nodes[i].Name == w.Node {
			o.node = &now.nodes[i]
		}
	}
	if o.node == nil {
		return nil, fmt.Errorf("there is no Node %s", w.Node)
	}
	var lines []string
	for _, pod := range w.network.endpoints() {
		lines = append(lines, endpointLine(joined(pod), "", false))
		for _, ip := range pod {
			o.locals[ip.String()] = true
		}
	}
	if w.setup.Overlay {
		lines = append(lines, endpointLine(SourceVIP, "", false))
	}
	lines = append(lines, o.lines()...)
	slices.Sort(lines)
	return lines, nil
}

// Held returns what HNS holds: a line for each load balancer and endpoint, in order.
func (w *World) Held() []string { return Held(w.HNS.State()) }

// Writes returns how many writes HNS was asked for since World.HNS.ResetCounts.
func (w *World) Writes() int {
	writes := 0
	for verb, count := range w.HNS.Counts() {
		if verb.IsWrite() {
			writes += count
		}
	}
	return writes
}

// Called returns how many calls into HNS's library hnsproxy has made: since it was started if it is hnsproxy.exe, else what the
// calls since World.HNS.ResetCounts would have cost there.
func (w *World) Called() int {
	if e, ok := w.proxy.instance.(*exe); ok {
		return e.called()
	}
	return sum(w.HNS.HCNCalls())
}

func sum[K comparable](counts map[K]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// NeverDark fails the test if a frontend that served somebody ceased to, since World.HNS.ResetDark, for any time at all: one of
// those to which these packets go, or any if none is given.
func (w *World) NeverDark(to ...emulator.Packet) {
	w.tb.Helper()
	meant := func(key hnslb.FrontendKey) bool {
		return len(to) == 0 || slices.ContainsFunc(to, func(p emulator.Packet) bool {
			return key.VIP == p.To.Addr() && key.Port == p.To.Port() && key.Protocol == p.Protocol
		})
	}
	for key, dark := range w.HNS.Dark() {
		if dark.Times > 0 && meant(key) {
			w.tb.Errorf("%s was dark %d times, for %v at worst", key, dark.Times, dark.Longest)
		}
	}
	for key, since := range w.HNS.StillDark() {
		if meant(key) {
			w.tb.Errorf("%s has been dark for %v", key, since)
		}
	}
}

// report is what a person needs to see of a test that failed.
func (w *World) report() string {
	if w.proxy == nil {
		return "hnsproxy was not started\n" + w.HNS.Dump()
	}
	text := fmt.Sprintf("== HNS\n%s== calls of HNS\n%v\n", w.HNS.Dump(), w.HNS.Counts())
	if errs := w.HNS.Errors(); len(errs) > 0 {
		text += fmt.Sprintf("of which failed %v\n", errs)
	}
	return text + fmt.Sprintf("== hnsproxy's frontends\n%s\n== hnsproxy logged last\n%s\n", w.proxy.Table(), w.proxy.Log.Tail(40))
}

// Calls counts what HNS was asked for since World.HNS.ResetCounts, but for the network, which the heartbeat asks for at any time.
func (w *World) Calls() map[hnslb.Verb]int {
	calls := w.HNS.Counts()
	delete(calls, hnslb.VerbNetwork)
	return calls
}

// ReadCalls are the calls of HNS with which hnsproxy starts, as Calls counts them: who HNS is, and one list of each kind.
// hnsproxy.exe has two lists of load balancers to begin with: package hcn asks through V1 and V2 and compares.
func (w *World) ReadCalls() map[hnslb.Verb]int {
	calls := map[hnslb.Verb]int{hnslb.VerbFeatures: 1, hnslb.VerbEndpoints: 1, hnslb.VerbLoadBalancers: 1}
	if w.setup.Exe != nil {
		calls[hnslb.VerbLoadBalancers]++
	}
	return calls
}
