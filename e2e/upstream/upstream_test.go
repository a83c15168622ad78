// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"pgregory.net/rapid"
)

// The cases of one run, and over how many parallel tests they are spread.
const (
	cases   = 200_000
	workers = 4
)

func TestMain(m *testing.M) {
	// Upstream logs each odd object.
	klog.SetLogger(logr.Discard())
	flag.Parse()
	// rapid knows no other way to say how many cases to draw.
	if err := flag.Set("rapid.checks", strconv.Itoa(cases/workers)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// TestEndpointChoice: for every Service port, family and address, hnsproxy programs the
// endpoints that upstream's proxies choose, but for the listed rules.
func TestEndpointChoice(t *testing.T) {
	counts := make([]tally, workers)
	t.Run("cases", func(t *testing.T) {
		for i := range counts {
			counts[i] = tally{}
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(t *rapid.T) {
					c := drawCase(t)
					counts[i].input(c)
					if diff := compare(c, rules(), counts[i]); diff != "" {
						t.Fatalf("frontends (-upstream +hnsproxy):\n%s\n%s", diff, c)
					}
				})
			})
		}
	})
	if t.Failed() {
		// The counts include what was tried to find a smaller case.
		return
	}
	total := tally{}
	for _, c := range counts {
		total.add(c)
	}
	text, seldom := total.report()
	t.Logf("%d cases agree with upstream; they met\n%s", cases, text)
	for _, name := range seldom {
		t.Errorf("met %d times, at least %d are asked for: %s", total[name], leastHits, name)
	}
}
