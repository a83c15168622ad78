// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	_ "embed" // documented.json
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Config says what to probe, and how far to go.
type Config struct {
	// Driver of the HNS. Its calls should be bounded, see hnslb.WithTimeout.
	Driver hnslb.Driver
	// Viewer shows an object through both interfaces of HNS; nil where there is one.
	Viewer hnslb.Viewer
	// Network is the name of the network that carries the node's pods.
	Network string
	// Journal is the file that tells the next run what this one uses.
	Journal string
	// Sizes are numbers of endpoints and of load balancers, ascending, at which calls are
	// timed; nil for 0, 100 and 1,000, or with Quick the first two.
	Sizes []int
	// Rounds is how often each write is timed at each size; 0 for 100, or with Quick 20.
	Rounds int
	// Quick leaves out what needs more than 100 objects.
	Quick bool
	// ExhaustPorts finds out how many load balancers without DSR there can be. No program on
	// the node can open a connection for as long as that takes.
	ExhaustPorts bool
	// Budget is how long it may take to make the objects of one size; 0 means 10 minutes.
	Budget time.Duration
	// Listen makes a program of the host listen on a port of the any-address, until the
	// function that it returns is called. Nil where that cannot be done.
	Listen func(protocol hnslb.Protocol, port uint16) (stop func(), err error)
	// Build of Windows, for the report.
	Build string
	// Progress hears what is being done; nil for nobody.
	Progress func(text string)
	// Clock measures calls; nil for the machine's.
	Clock clock.PassiveClock
}

func (c *Config) complete() {
	if c.Sizes == nil {
		c.Sizes = []int{0, 100, 1000}
		if c.Quick {
			c.Sizes = c.Sizes[:2]
		}
	}
	if c.Rounds == 0 {
		c.Rounds = 100
		if c.Quick {
			c.Rounds = 20
		}
	}
	if c.Budget == 0 {
		c.Budget = 10 * time.Minute
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
}

// LeftError tells that scratch objects could not be removed.
type LeftError struct {
	// Objects that are left, for people.
	Objects []string
	// Err is why HNS could not be looked through at the last, nil if it could.
	Err error
}

// Error lists the objects.
func (e *LeftError) Error() string {
	text := "scratch objects remain, which the next run will try to remove: " + strings.Join(e.Objects, ", ")
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *LeftError) Unwrap() error { return e.Err }

// cleanupTime is how long the removal of scratch objects may take after the run was stopped.
const cleanupTime = 10 * time.Minute

// Run probes an HNS. It removes what an earlier run left, and at the end, also when ctx ends,
// what it made itself. The error is a *LeftError when the report is complete and something
// could not be removed; a run that was stopped returns the report as far as it went, and ctx's
// error.
func Run(ctx context.Context, c Config) (report *Report, err error) {
	c.complete()
	b := &bench{Config: c, skip: map[netip.Addr]bool{}}
	if b.features, err = c.Driver.Features(ctx); err != nil {
		return nil, fmt.Errorf("get the HNS version: %w", err)
	}
	if b.network, err = c.Driver.Network(ctx, c.Network); err != nil {
		return nil, fmt.Errorf("get the network: %w", err)
	}
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if left := b.end(ctx); left != nil {
			err = errors.Join(err, left)
		}
	}()
	doc, err := documented(b)
	if err != nil {
		return nil, err
	}
	r := newReport(b)
	b.run(ctx, r, doc)
	return r, ctx.Err()
}

// Clean removes what an earlier run left, and makes nothing.
func Clean(ctx context.Context, c Config) error {
	c.complete()
	journal, err := readJournal(c.Journal)
	if err != nil {
		return err
	}
	left, err := sweep(ctx, c.Driver, journal)
	if err != nil || len(left.describe()) > 0 {
		return &LeftError{left.describe(), err}
	}
	return removeJournal(c.Journal)
}

// begin removes what an earlier run left and writes what this one will use into the journal.
func (b *bench) begin(ctx context.Context) error {
	b.Progress("Looking for objects left behind by an earlier run")
	if err := Clean(ctx, b.Config); err != nil {
		left, ok := errors.AsType[*LeftError](err)
		if !ok || left.Err != nil {
			return err
		}
		b.Progress(left.Error()) // HNS will not let them go; they stand in nobody's way
	}
	h, err := list(ctx, b.Driver)
	if err != nil {
		return fmt.Errorf("list HNS objects: %w", err)
	}
	for _, e := range h.ours(nil).endpoints {
		for _, ip := range e.IPs {
			b.skip[ip] = true
		}
	}
	if b.scratch, err = choose(b.network, h); err != nil {
		return err
	}
	return writeJournal(b.Journal, b.scratch)
}

// end removes what the run made, also when ctx has ended.
func (b *bench) end(ctx context.Context) error {
	b.Progress("Removing the scratch objects")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	return Clean(ctx, b.Config)
}

// run finds out everything; doc is what is documented.
func (b *bench) run(ctx context.Context, r *Report, doc map[string]string) {
	for _, f := range facts() {
		if !f.large {
			r.add(f, b.find(ctx, f), doc[f.name])
		}
	}
	b.measure(ctx, r)
	for _, f := range facts() {
		if f.large {
			r.add(f, b.find(ctx, f), doc[f.name])
		}
	}
}

// found is what came out of looking for a fact.
type found struct {
	value string
	err   error
}

func (b *bench) find(ctx context.Context, f fact) found {
	b.Progress("Finding out: " + f.name)
	if ctx.Err() != nil {
		return found{err: unknown("the probe was stopped")}
	}
	value, err := f.determine(ctx, b)
	return found{value, err}
}

// measure times the calls at each size.
func (b *bench) measure(ctx context.Context, r *Report) {
	defer b.shrink(ctx)
	for _, size := range b.Sizes {
		b.Progress(fmt.Sprintf("Timing calls with %d endpoints and load balancers of the probe", size))
		err := b.grow(ctx, size, r.Profile.Timings)
		var timings []profiles.Timing
		if err == nil {
			timings, err = b.sample(ctx)
		}
		if err != nil {
			r.Untimed = append(r.Untimed, fmt.Sprintf("with %d objects: %v", size, err))
			return
		}
		r.Profile.Timings = append(r.Profile.Timings, timings...)
	}
}

//go:embed documented.json
var documentedJSON []byte

// everyProfile is the key of answers that are the same for all profiles.
const everyProfile = "every"

// documented returns what our documents say about facts, empty where they say nothing. It is
// what the emulator does, which does as they say: TestDocumented asked it, so that the emulator
// is no part of a program that probes.
func documented(b *bench) (map[string]string, error) {
	var said map[string]map[string]string
	if err := json.Unmarshal(documentedJSON, &said); err != nil {
		return nil, fmt.Errorf("read what is documented: %w", err)
	}
	out := map[string]string{}
	if b.network.CarriesServices() {
		maps.Copy(out, said[everyProfile])
		maps.Copy(out, said[profiles.Of(b.features.Version).Name])
	}
	for _, f := range facts() {
		if f.doc != "" {
			out[f.name] = f.doc
		}
	}
	return out, nil
}
