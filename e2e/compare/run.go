// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/fineclock"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	pollInterval = 20 * time.Millisecond
	// quietFor is how long HNS must not be called to count as quiet: more than the second for which kube-proxy gathers changes.
	quietFor = 2500 * time.Millisecond
	// idlePeriod is the period of both programs' own syncs.
	idlePeriod = 30 * time.Second
	// lookEvery is how often everything that HNS holds is looked at, which takes the machine some time.
	lookEvery = 250 * time.Millisecond
	// maxErrors bounds the log lines in a result.
	maxErrors = 5
)

// run is one program on one emulator.
type run struct {
	*lab
	options  options
	program  program.Program
	tracker  *bulk.Tracker
	hns      *winlab.Service
	host     program.Host
	services []*bulk.Service // cluster DNS first
	running  *program.Running
	say      *progress
	result   Result
}

// runOne takes one program through everything. Something that the program does not manage is part of the result; an error is of
// the lab.
func (l *lab) runOne(ctx context.Context, o options, r Result, say *progress) (result Result, err error) {
	name := fmt.Sprintf("%s %d %s", r.Program, r.Services, r.Latency)
	say.begin(name)
	u := &run{lab: l, options: o, program: l.programs[r.Program], tracker: bulk.NewTracker(), say: say, result: r}
	u.result.LoadBefore = load()
	if err := u.prepare(ctx, name); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	defer func() { err = errors.Join(err, u.hns.Close()) }()
	for _, phase := range []func(context.Context) error{u.coldStart, u.idle, u.churn, u.restart, u.deleteAll} {
		if err := phase(ctx); err != nil {
			return r, fmt.Errorf("%s: %w", name, errors.Join(err, u.abandon()))
		}
	}
	u.result.LoadAfter = load()
	return u.result, nil
}

// abandon clears the cluster for the next run.
func (u *run) abandon() error {
	if u.running != nil {
		u.running.Kill()
	}
	return u.cluster.Delete(context.Background(), u.cluster.Services()...)
}

// prepare makes the Services and an HNS that knows none of them.
func (u *run) prepare(ctx context.Context, name string) error {
	var err error
	if u.host.Dir, err = u.logDir(name); err != nil {
		return err
	}
	if u.services, err = u.fill(ctx, u.result.Services, u.options.endpoints); err != nil {
		return errors.Join(err, u.abandon())
	}
	u.tracker.Want(u.kubernetes)
	u.tracker.Want(u.services...)
	e := emulator.New(emulator.Config{
		Profile: u.options.profile, Latency: latency(u.result.Latency), Watch: u.tracker.Hear, Clock: fineclock.Clock{},
	})
	if _, err := e.AddNetwork(u.network); err != nil {
		return err
	}
	if u.hns, err = winlab.Serve(e); err != nil {
		return err
	}
	u.host.HNS, u.host.Kubeconfig, u.host.Node, u.host.Network = u.hns, u.kubeconfig, nodeName, networkName
	return nil
}

func (u *run) start(ctx context.Context) error {
	var err error
	u.running, err = u.program.Start(ctx, u.host)
	return err
}

// reset starts counts and dark times anew.
func (u *run) reset() {
	u.hns.Server.ResetCalls()
	u.hns.ResetCounts()
	u.hns.ResetDark()
}

// calls are those since reset.
func (u *run) calls() Calls {
	c := Calls{Functions: u.hns.Server.Calls(), Verbs: u.hns.Counts(), Writing: seconds(u.hns.WriteTime())}
	for _, n := range c.Functions {
		c.Total += n
	}
	for v, n := range c.Verbs {
		if v.IsWrite() {
			c.Writes += n
		}
	}
	return c
}

// await polls until done is true, and tells whether that happened in time. It is an error when the program has ended.
func (u *run) await(ctx context.Context, limit time.Duration, doing func() string, done func(context.Context) (bool, error)) (bool, error) {
	err := wait.PollUntilContextTimeout(ctx, pollInterval, limit, true, func(ctx context.Context) (bool, error) {
		select {
		case <-u.running.Done():
			return false, fmt.Errorf("%s has ended: %w; its log ends with:\n%s", u.program.Name, u.running.Err(), u.running.Tail(20))
		default:
		}
		u.say.now(doing)
		return done(ctx)
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// quiet waits until HNS is not called any more. A program that lists everything at each turn may never be quiet for that long.
func (u *run) quiet(ctx context.Context, limit time.Duration) error {
	total, since := -1, time.Now()
	_, err := u.await(ctx, limit, func() string { return "waiting until HNS is quiet" }, func(context.Context) (bool, error) {
		if now := u.calls().Total; now != total {
			total, since = now, time.Now()
		}
		return time.Since(since) >= quietFor, nil
	})
	return err
}

// usage fills in what the first process took.
func (u *run) usage() (program.Usage, error) {
	usage, err := u.running.Usage()
	u.result.CPU, u.result.PeakMemory = seconds(usage.CPU), float64(usage.PeakMemory)/(1<<20)
	return usage, err
}

// noteErrors keeps some of the lines that the program logged as errors.
func (u *run) noteErrors() error {
	lines, err := u.running.Errors()
	for _, line := range lines {
		if len(u.result.Errors) < maxErrors {
			u.result.Errors = append(u.result.Errors, line)
		}
	}
	return err
}
