// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// checkHNS compares what HNS holds with a section.
func checkHNS(w *world, section string) error {
	w.settle()
	w.golden(section, w.hns.Text())
	w.checkLaws()
	return nil
}

// checkStatus compares the state of each frontend, with the reason, with a section.
func checkStatus(w *world, section string) error {
	w.settle()
	if w.proxy == nil {
		return fmt.Errorf("the proxy is stopped")
	}
	w.golden(section, StatusText(w.proxy.Table().Rows()))
	return nil
}

// checkTrace checks one way inline, "SOURCE FRONTEND -> RESULT", or all lines of a section.
func checkTrace(w *world, args []string) error {
	w.settle()
	want, got, err := w.hns.Trace(w.script.Script, args)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		w.golden(args[0], got)
	} else if want != got {
		w.t.Errorf("%s\n got %s", w.at, got)
	}
	return nil
}

// checkFlow sends a packet of a flow that VFP remembers from one such line to the next.
func checkFlow(w *world, args []string) error {
	w.settle()
	if len(args) < 4 || args[2] != "->" {
		return fmt.Errorf("want SOURCE FRONTEND -> RESULT")
	}
	p, err := ParsePacket(args[0], args[1])
	if err != nil {
		return err
	}
	f := w.flows[p]
	if f == nil {
		f = w.hns.Flow(p)
		w.flows[p] = f
	}
	if got, want := f.Send().String(), strings.Join(args[3:], " "); got != want {
		w.t.Errorf("%s\n got %s", w.at, got)
	}
	return nil
}

// checkCalls compares the calls that reached HNS since the last reset or check of calls.
func checkCalls(w *world, args []string) error {
	w.settle()
	counts := w.hns.Counts()
	var got []string
	for _, v := range hnslb.Verbs() {
		if counts[v] > 0 {
			got = append(got, fmt.Sprintf("%s=%d", v, counts[v]))
		}
	}
	if len(got) == 0 {
		got = []string{"none"}
	}
	if !slices.Equal(got, args) {
		w.t.Errorf("%s\n got calls %s", w.at, strings.Join(got, " "))
	}
	w.hns.ResetCounts()
	return nil
}

// checkDark compares for how long a frontend served nobody since the last reset: the
// longest time, and how often when it was more than once.
func checkDark(w *world, args []string) error {
	w.settle()
	if len(args) < 2 {
		return fmt.Errorf("want a frontend and a duration")
	}
	key, err := ParseKey(args[0])
	if err != nil {
		return err
	}
	d, served := w.hns.Dark()[key]
	got := d.Longest.String()
	if d.Times > 1 {
		got += fmt.Sprintf(" x%d", d.Times)
	}
	if _, still := w.hns.StillDark()[key]; still {
		got = "still"
	}
	if !served {
		got = "never served"
	}
	if want := strings.Join(args[1:], " "); got != want {
		w.t.Errorf("%s\n got dark %s %s", w.at, args[0], got)
	}
	return nil
}

// checkEvents compares the Events since the last check, sorted.
func checkEvents(w *world, section string) error {
	w.settle()
	w.telling.Lock()
	defer w.telling.Unlock()
	slices.Sort(w.events)
	var out strings.Builder
	for _, e := range w.events {
		out.WriteString(WithoutIDs(e) + "\n")
	}
	w.events = nil
	w.golden(section, out.String())
	return nil
}

// reset begins the counts, dark times and events anew.
func reset(w *world, _ []string) error {
	w.settle()
	w.hns.ResetCounts()
	w.hns.ResetDark()
	w.telling.Lock()
	defer w.telling.Unlock()
	w.events = nil
	return nil
}
