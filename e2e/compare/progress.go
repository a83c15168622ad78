// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"
)

// sayEvery is how often a line of progress is printed.
const sayEvery = 5 * time.Second

// progress tells people how far the comparison is. It is for one goroutine.
type progress struct {
	out         io.Writer
	start, last time.Time
	run         string
}

func newProgress(out io.Writer) *progress { return &progress{out: out, start: time.Now()} }

func (p *progress) begin(run string) { p.run, p.last = run, time.Time{} }

// now prints what goes on, unless something was printed a moment ago. Nothing depends on its being read.
func (p *progress) now(doing func() string) {
	if time.Since(p.last) < sayEvery {
		return
	}
	p.last = time.Now()
	_, _ = fmt.Fprintf(p.out, "%6.0f s  %-28s %s\n", time.Since(p.start).Seconds(), p.run, doing())
}
