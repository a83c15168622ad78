// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// entry is something that can happen.
type entry struct {
	name   string
	weight int
	// off says why it is left out of campaigns; empty when it is not.
	off string
	// draw makes parameters; nil for none.
	draw func(dice) args
	// start lets it happen.
	start func(*simulation, action)
	// end ends a fault that lasts, after its parameter "for" or with all others; nil for what
	// happens in an instant.
	end func(*simulation, action)
	// lingers: it happens in an instant and strikes later, at the latest when all faults end.
	lingers bool
	// quirk is for what a machine always has; then start is nil.
	quirk func(*profiles.Quirks)
	// change is for what happens to every cluster, and excuses nothing.
	change bool
	// unannounced: nobody tells the proxy of a change, so that it may go unseen to the audit.
	unannounced bool
	// narrow: a fault of the objects in the parameter "of" excuses them only.
	narrow bool
}

// entries returns all that can happen, by name.
var entries = sync.OnceValue(func() map[string]*entry {
	all := map[string]*entry{}
	for _, list := range [][]entry{changes(), faults(), slowness(), quirks()} {
		for _, e := range list {
			if all[e.name] != nil {
				panic("two entries are called " + e.name)
			}
			all[e.name] = &e
		}
	}
	return all
})

// entryOf returns the entry of a name, nil if there is none.
func entryOf(name string) *entry { return entries()[name] }

// chosen returns the faults that a campaign draws from: those that are on, or those of a
// list of names. "all" stands for every one.
func chosen(names string) []*entry {
	want := strings.Split(names, ",")
	var out []*entry
	for _, e := range entries() {
		if e.change {
			continue
		}
		if names == "" && e.off == "" || names == "all" || slices.Contains(want, e.name) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return out
}

// dice draw what is random in a script.
type dice struct{ *rand.Rand }

func (d dice) oneOf(of ...string) string { return of[d.IntN(len(of))] }

// some returns up to most of the words, in random order.
func (d dice) some(most int, of ...string) []string {
	of = slices.Clone(of)
	d.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:d.IntN(min(most, len(of))+1)]
}

// span draws a duration between two, the short ones more often.
func (d dice) span(from, to time.Duration) time.Duration {
	x := d.Float64()
	return (from + time.Duration(x*x*float64(to-from))).Round(10 * time.Millisecond)
}

func (d dice) verb() string {
	verbs := hnslb.Verbs()[1:]
	return string(verbs[d.IntN(len(verbs))])
}

// weighted draws one of the entries.
func (d dice) weighted(of []*entry) *entry {
	sum := 0
	for _, e := range of {
		sum += e.weight
	}
	n := d.IntN(sum)
	for _, e := range of {
		if n -= e.weight; n < 0 {
			return e
		}
	}
	return of[0]
}

// generate makes the script of a seed from the faults of a campaign: up to three storms, in
// which faults and changes mix, each followed by a calm with changes only.
func generate(seed uint64, from []*entry) script {
	d := dice{rand.New(rand.NewPCG(seed, 0x63686173))}
	s := script{seed: seed, network: d.oneOf("L2Bridge", "Overlay"), latency: time.Duration(d.IntN(4)/3*8) * time.Millisecond}
	profiles := profiles.All()
	s.profile = profiles[d.IntN(len(profiles))].Name
	if s.latency = 8 * time.Millisecond; d.IntN(4) == 0 {
		s.latency = 0
	}
	var happens, always []*entry
	for _, e := range from {
		if e.quirk != nil {
			always = append(always, e)
		} else {
			happens = append(happens, e)
		}
	}
	// Several kinds of faults at once, but seldom all: with all of them, each excuses others.
	d.Shuffle(len(happens), func(i, j int) { happens[i], happens[j] = happens[j], happens[i] })
	happens = happens[:min(len(happens), 1+d.IntN(10))]
	for _, e := range always {
		if d.IntN(8) == 0 {
			s.actions = append(s.actions, action{e.name, args{}})
		}
	}
	d.populate(&s)
	for range 1 + d.IntN(4) {
		d.storm(&s, 8+d.IntN(24), happens)
		if d.IntN(3) == 0 {
			s.actions = append(s.actions, action{"calm", args{}})
			d.calm(&s, 1+d.IntN(5), 5*time.Second)
		}
	}
	return s
}

// populate appends Services with their slices, and pods.
func (d dice) populate(s *script) {
	for n := range 4 {
		for _, name := range []string{"pod", "service", "slice", "slice"} {
			a := d.action(entryOf(name))
			if name != "pod" {
				a.args["n"], a.args["name"] = fmt.Sprint(n), "a"
			}
			s.actions = append(s.actions, a)
		}
	}
	d.pause(s, 2*time.Second)
}

// pause lets time pass, or not.
func (d dice) pause(s *script, most time.Duration) {
	if d.IntN(2) == 0 {
		s.actions = append(s.actions, action{"pass", set("for", d.span(0, most))})
	}
}

// calm appends changes.
func (d dice) calm(s *script, n int, most time.Duration) {
	for range n {
		s.actions = append(s.actions, d.action(d.weighted(changeEntries())))
		d.pause(s, most)
	}
}

// storm appends faults and changes.
func (d dice) storm(s *script, n int, faults []*entry) {
	for range n {
		if len(faults) > 0 && d.IntN(2) == 0 {
			s.actions = append(s.actions, d.action(d.weighted(faults)))
		} else {
			s.actions = append(s.actions, d.action(d.weighted(changeEntries())))
		}
		d.pause(s, 10*time.Second)
	}
}

func changeEntries() []*entry {
	var out []*entry
	for _, e := range entries() {
		if e.change && e.weight > 0 {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return out
}

// action draws the parameters of an entry. A fault that lasts ends by itself most of the time.
func (d dice) action(e *entry) action {
	a := action{e.name, args{}}
	if e.draw != nil {
		a.args = e.draw(d)
	}
	if e.end != nil && a.args["for"] == "" && d.IntN(4) > 0 {
		a.args["for"] = fmt.Sprint(d.span(100*time.Millisecond, time.Minute))
	}
	return a
}
