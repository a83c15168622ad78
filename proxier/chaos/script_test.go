// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a history as data: the node on which it happens, and what happens, in order.
type script struct {
	network string // L2Bridge or Overlay
	profile string // see profiles.ByName
	seed    uint64 // of the emulator and of the jitter of retries
	latency time.Duration
	actions []action
}

// action is one thing that happens.
type action struct {
	name string
	args args
}

// args are the parameters of an action, by name.
type args map[string]string

// set returns args from names and values in turn.
func set(pairs ...any) args {
	out := args{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := fmt.Sprint(pairs[i+1]); v != "" {
			out[fmt.Sprint(pairs[i])] = v
		}
	}
	return out
}

// number returns a parameter that is a number, 0 when it is missing.
func (a action) number(name string) int {
	n, _ := strconv.Atoi(a.args[name]) // check has parsed it before
	return n
}

// duration returns a parameter that is a duration, 0 when it is missing.
func (a action) duration(name string) time.Duration {
	d, _ := time.ParseDuration(a.args[name])
	return d
}

// list returns a parameter that is a list.
func (a action) list(name string) []string {
	if a.args[name] == "" {
		return nil
	}
	return strings.Split(a.args[name], ",")
}

// String prints the line of an action: "hang calls=2 for=30s verb=CreateEndpoint".
func (a action) String() string {
	words := []string{a.name}
	for _, k := range slices.Sorted(maps.Keys(a.args)) {
		words = append(words, k+"="+a.args[k])
	}
	return strings.Join(words, " ")
}

// String prints a script as parse reads it.
func (s script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "node latency=%s network=%s profile=%s seed=%d\n", s.latency, s.network, s.profile, s.seed)
	for _, a := range s.actions {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}

// parse reads a script. Empty lines, and lines that begin with #, say nothing.
func parse(text string) (script, error) {
	var s script
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		a, err := parseAction(line)
		if err == nil && a.name == "node" {
			s, err = s.on(a)
		} else if err == nil {
			err = a.check()
			s.actions = append(s.actions, a)
		}
		if err != nil {
			return script{}, fmt.Errorf("line %d: %q: %w", i+1, line, err)
		}
	}
	if s.network == "" {
		return script{}, fmt.Errorf("no line tells the node")
	}
	return s, nil
}

func parseAction(line string) (action, error) {
	words := strings.Fields(line)
	a := action{name: words[0], args: args{}}
	for _, w := range words[1:] {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" || v == "" {
			return action{}, fmt.Errorf("%q is no parameter, want name=value", w)
		}
		a.args[k] = v
	}
	return a, nil
}

// on reads the line of the node.
func (s script) on(a action) (script, error) {
	seed, err := strconv.ParseUint(a.args["seed"], 10, 64)
	if err != nil {
		return s, err
	}
	latency, err := time.ParseDuration(a.args["latency"])
	if err != nil {
		return s, err
	}
	s.network, s.profile, s.seed, s.latency = a.args["network"], a.args["profile"], seed, latency
	return s, nil
}

// check tells whether an action can happen: it has an entry in a table, and the parameters
// that are numbers and durations for all actions are such.
func (a action) check() error {
	if entryOf(a.name) == nil {
		return fmt.Errorf("nothing is called %q", a.name)
	}
	for k, v := range a.args {
		var err error
		switch k {
		case "n", "calls", "slice", "port", "age", "every":
			_, err = strconv.Atoi(v)
		case "for", "take", "late", "down", "by":
			_, err = time.ParseDuration(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestScript: what is printed is read back the same, for the scripts of many seeds.
func TestScript(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		want := generate(seed, chosen("all"))
		got, err := parse("# a comment\n\n" + want.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Fatalf("seed %d (-printed +read):\n%s", seed, diff)
		}
		if again := generate(seed, chosen("all")); again.String() != want.String() {
			t.Fatalf("seed %d makes two scripts", seed)
		}
		for _, a := range want.actions {
			seen[a.name] = true
		}
	}
	for name, e := range entries() {
		if !seen[name] {
			t.Errorf("no script of 200 has %s", name)
		}
		if (e.start == nil) == (e.quirk == nil) || e.end != nil && e.lingers {
			t.Errorf("%s: want a start or a quirk, and an end or nothing that lingers", name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const node = "node latency=0s network=L2Bridge profile=ws2022 seed=1\n"
	for text, want := range map[string]string{
		"pass for=1s":                    "no line tells the node",
		node + "vanish n=two":            "line 2",
		node + "\npass for=2":            "line 3",
		node + "pass 2s":                 "is no parameter",
		node + "earthquake":              "nothing is called",
		"node latency=0s seed=-1":        "line 1",
		"node latency=fast seed=1":       "line 1",
		node + "refuse-one of= code=one": "is no parameter",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}
