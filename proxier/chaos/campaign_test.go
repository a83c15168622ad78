// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds    = flag.Int("seeds", 300, "TestChaos: how many histories")
	from     = flag.Uint64("from", 1, "TestChaos: the first seed")
	seed     = flag.Uint64("seed", 0, "TestReplay: the seed to replay")
	scripts  = flag.String("script", "", "TestReplay: the file of the script to replay, or a pattern of files")
	only     = flag.String("faults", "", "the faults to draw from, separated by commas, or all; empty for those that are on")
	shorten  = flag.Duration("shrink", 20*time.Second, "how long one failing script may be shortened")
	reported = flag.Int("reports", 3, "how many failing scripts are shortened and printed")
)

// campaign is a run over many seeds.
type campaign struct {
	faults []*entry
	began  time.Time
	next   atomic.Uint64

	mu       sync.Mutex // guards what follows
	played   int
	injected map[string]int
	failed   map[string][]uint64 // seeds by kind of failure
	reports  int
}

// TestChaos: whatever goes wrong, and however much of it at once, the node ends as it should.
func TestChaos(t *testing.T) {
	c := &campaign{faults: chosen(*only), began: time.Now(), injected: map[string]int{}, failed: map[string][]uint64{}}
	c.next.Store(*from)
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				c.work(t, *from+uint64(*seeds))
			})
		}
	})
	t.Log(c.summary())
}

// work plays seeds until there are no more.
func (c *campaign) work(t *testing.T, end uint64) {
	t.Helper()
	told := time.Now()
	for n := c.next.Add(1) - 1; n < end; n = c.next.Add(1) - 1 {
		s := generate(n, c.faults)
		out := play(t, s)
		if c.note(n, out) {
			t.Errorf("seed %d: %s", n, report(t, s, out))
		} else if len(out.failures) > 0 {
			t.Errorf("seed %d: %s", n, strings.SplitN(out.failures[0].String(), "\n", 2)[0])
		}
		if testing.Verbose() && time.Since(told) > 5*time.Second {
			told = time.Now()
			t.Logf("seed %d after %v", n, time.Since(c.began).Round(time.Second))
		}
	}
}

// note counts a history, and tells whether it is to be reported.
func (c *campaign) note(n uint64, out outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.played++
	for name, n := range out.injected {
		c.injected[name] += n
	}
	if len(out.failures) == 0 {
		return false
	}
	kind := out.failures[0].kind
	c.failed[kind] = append(c.failed[kind], n)
	c.reports++
	return c.reports <= *reported
}

// summary says what was injected, and how it ended.
func (c *campaign) summary() string {
	var b strings.Builder
	total := 0
	for _, n := range c.injected {
		total += n
	}
	fmt.Fprintf(&b, "%d histories from seed %d in %v, %d faults:\n", c.played, *from, time.Since(c.began).Round(time.Millisecond), total)
	for _, e := range c.faults {
		fmt.Fprintf(&b, "  %-26s %d\n", e.name, c.injected[e.name])
	}
	for _, name := range slices.Sorted(maps.Keys(entries())) {
		if why := entryOf(name).off; why != "" {
			fmt.Fprintf(&b, "  %-26s off: %s\n", name, why)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(c.failed)) {
		fmt.Fprintf(&b, "  FAILED %-10s %d: seeds %v\n", kind, len(c.failed[kind]), c.failed[kind])
	}
	return b.String()
}

// report shortens a failing script, saves it and says how to replay it.
func report(t *testing.T, s script, out outcome) string {
	t.Helper()
	kind := out.failures[0].kind
	fails := func(s script) bool {
		return slices.ContainsFunc(play(t, s).failures, func(f failure) bool { return f.kind == kind })
	}
	short := shrink(s, fails, time.Now().Add(*shorten))
	if again := play(t, short); len(again.failures) > 0 {
		out = again
	}
	var b strings.Builder
	for _, f := range out.failures {
		fmt.Fprintln(&b, f)
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("chaos-%d.txt", s.seed))
	if err := os.WriteFile(file, []byte(short.String()), 0o600); err != nil {
		fmt.Fprintln(&b, err)
	}
	fmt.Fprintf(&b, "%d of %d actions are left:\n%s\nreplay: go test ./proxier/chaos -run TestReplay -script=%s\n   or:  go test ./proxier/chaos -run TestReplay -seed=%d",
		len(short.actions), len(s.actions), short, file, s.seed)
	return b.String()
}

// TestReplay plays the scripts that once failed, or what -script or -seed name.
func TestReplay(t *testing.T) {
	if *seed != 0 {
		s := generate(*seed, chosen(*only))
		t.Logf("the script of seed %d:\n%s", *seed, s)
		if out := play(t, s); len(out.failures) > 0 {
			t.Error(report(t, s, out))
		}
		return
	}
	pattern := *scripts
	if pattern == "" {
		pattern = "testdata/*.txt"
	} else if _, err := os.Stat("../../" + pattern); err == nil {
		pattern = "../../" + pattern // tests run in the folder of their package
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no script matches %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, f := range play(t, s).failures {
		t.Error(f)
	}
}
