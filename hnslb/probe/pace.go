// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// soonest is how long a call must take for it to be told whether another one waits for it.
const soonest = 4 * time.Millisecond

// paceFacts are about what a second call at once does.
func paceFacts() []fact {
	return []fact{
		{name: "a second write at once", row: "Writes are carried out one at a time", doc: waits, find: findSecondWrite},
		{name: "a list during a write", row: "Writes are carried out one at a time", doc: besides, find: findListDuringWrite},
	}
}

const (
	waits   = "waits for the first"
	besides = "does not wait"
)

// span is how long f takes.
func (b *bench) span(f func() error) (time.Duration, error) {
	start := b.Clock.Now()
	err := f()
	return b.Clock.Since(start), err
}

// writeAlone is how long one create takes; the load balancer is removed.
func (b *bench) writeAlone(ctx context.Context) (time.Duration, error) {
	lb, err := b.loadBalancerSpec(ctx)
	if err != nil {
		return 0, err
	}
	var made hnslb.LoadBalancer
	took, err := b.span(func() error {
		made, err = b.Driver.CreateLoadBalancer(ctx, lb)
		return err
	})
	if err == nil {
		b.deleteLoadBalancer(ctx, made)
	}
	return took, err
}

// beforehand returns how long a write takes, if that is long enough to tell anything.
func (b *bench) beforehand(ctx context.Context) (time.Duration, error) {
	var all []time.Duration
	for range 3 {
		took, err := b.writeAlone(ctx)
		if err != nil {
			return 0, err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	if all[1] < soonest {
		return 0, unknown("calls end too soon to tell (%v)", all[1])
	}
	return all[1], nil
}

func findSecondWrite(ctx context.Context, b *bench) (string, error) {
	alone, err := b.beforehand(ctx)
	if err != nil {
		return "", err
	}
	type end struct {
		took time.Duration
		err  error
		made hnslb.LoadBalancer
	}
	ends := make(chan end, 2)
	start := b.Clock.Now()
	for range 2 {
		lb, err := b.loadBalancerSpec(ctx)
		if err != nil {
			return "", err
		}
		go func() {
			made, err := b.Driver.CreateLoadBalancer(ctx, lb)
			ends <- end{b.Clock.Since(start), err, made}
		}()
	}
	both := []end{<-ends, <-ends}
	for _, e := range both {
		if e.err == nil {
			b.deleteLoadBalancer(ctx, e.made)
		}
	}
	for _, e := range both {
		if found, err := resultText(e.err); err != nil || found != accepted {
			return found, err
		}
	}
	switch later := max(both[0].took, both[1].took); {
	case later >= alone*7/4:
		return waits, nil
	case later <= alone*5/4:
		return besides, nil
	default:
		return "", fmt.Errorf("one write takes %v, two at once %v", alone, later)
	}
}

func findListDuringWrite(ctx context.Context, b *bench) (string, error) {
	alone, err := b.beforehand(ctx)
	if err != nil {
		return "", err
	}
	list := func() error { return errorOf(b.Driver.LoadBalancers(ctx)) }
	took, err := b.span(list)
	if err != nil {
		return "", err
	}
	if took > alone/3 {
		return "", unknown("a list takes %v and a write %v, too near to tell", took, alone)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.writeAlone(ctx)
		done <- err
	}()
	during, err := b.span(list)
	if written := <-done; err != nil || written != nil {
		return "", fmt.Errorf("list: %w, write: %w", err, written)
	}
	return map[bool]string{true: besides, false: waits}[during < alone*2/3], nil
}

// sample measures the verbs while HNS holds what it holds now.
func (b *bench) sample(ctx context.Context) ([]profiles.Timing, error) {
	h, err := list(ctx, b.Driver)
	if err != nil {
		return nil, err
	}
	objects := max(len(h.endpoints), len(h.loadBalancers))
	took := map[hnslb.Verb][]time.Duration{}
	for range b.Rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b.round(ctx, took)
	}
	var out []profiles.Timing
	for _, v := range hnslb.Verbs() {
		all := took[v]
		if len(all)*2 < min(b.Rounds, listRounds) {
			continue // it fails more often than not
		}
		slices.Sort(all)
		out = append(out, profiles.Timing{
			Verb: v, Objects: objects, Median: all[(len(all)-1)/2],
			P99: all[int(math.Ceil(float64(len(all))*0.99))-1],
		})
	}
	return out, nil
}

// listRounds is how often each read is measured: lists are dear.
const listRounds = 10

// round makes each call once and notes how long those take that succeed.
func (b *bench) round(ctx context.Context, took map[hnslb.Verb][]time.Duration) {
	note := func(v hnslb.Verb, f func() error) bool {
		d, err := b.span(f)
		if err == nil {
			took[v] = append(took[v], d)
		}
		return err == nil
	}
	if len(took[hnslb.VerbEndpoints]) < listRounds {
		note(hnslb.VerbNetwork, func() error { return errorOf(b.Driver.Network(ctx, b.network.Name)) })
		note(hnslb.VerbEndpoints, func() error { return errorOf(b.Driver.Endpoints(ctx)) })
		note(hnslb.VerbLoadBalancers, func() error { return errorOf(b.Driver.LoadBalancers(ctx)) })
	}
	ip, err := b.address()
	if err != nil {
		return
	}
	var e hnslb.Endpoint
	if !note(hnslb.VerbCreateEndpoint, func() error { e, err = b.Driver.CreateEndpoint(ctx, b.endpointSpec(ip)); return err }) {
		return
	}
	defer note(hnslb.VerbDeleteEndpoint, func() error { return b.Driver.DeleteEndpoint(ctx, e.ID) })
	want, err := b.loadBalancerSpec(ctx)
	if err != nil {
		return
	}
	want.Flags = hnslb.DSR // takes no ports from outgoing connections
	var lb hnslb.LoadBalancer
	if !note(hnslb.VerbCreateLoadBalancer, func() error { lb, err = b.Driver.CreateLoadBalancer(ctx, want); return err }) {
		return
	}
	change := want
	change.ID, change.Endpoints = lb.ID, []hnslb.ID{e.ID}
	note(hnslb.VerbUpdateLoadBalancer, func() error { return errorOf(b.Driver.UpdateLoadBalancer(ctx, change)) })
	if !note(hnslb.VerbDeleteLoadBalancer, func() error { return b.Driver.DeleteLoadBalancer(ctx, lb.ID) }) {
		b.deleteLoadBalancer(ctx, lb)
	}
}

// grow makes scratch objects until there are n endpoints and n load balancers, unless that
// would take longer than Config.Budget.
func (b *bench) grow(ctx context.Context, n int, took []profiles.Timing) error {
	each := time.Duration(0) // of making and removing both
	for _, t := range took {
		if t.Verb.IsWrite() && t.Verb != hnslb.VerbUpdateLoadBalancer {
			each += t.Median
		}
	}
	if needs := each * time.Duration(n-len(b.grown)); needs > b.Budget {
		return unknown("making %d objects would take %v", n, needs.Round(time.Second))
	}
	ids, err := b.backends(ctx, n)
	if err != nil {
		return err
	}
	for failed := 0; len(b.grown) < n; {
		backend := ids[len(b.grown)]
		lb, err := b.createLoadBalancer(ctx, func(lb *hnslb.LoadBalancer) { lb.Endpoints, lb.Flags = []hnslb.ID{backend}, hnslb.DSR })
		if err == nil {
			b.grown = append(b.grown, lb)
			continue
		}
		if failed++; failed == tries || ctx.Err() != nil {
			return fmt.Errorf("make load balancer %d of %d: %w", len(b.grown)+1, n, err)
		}
	}
	return nil
}

// shrink removes what grow made of load balancers.
func (b *bench) shrink(ctx context.Context) {
	for _, lb := range b.grown {
		b.deleteLoadBalancer(ctx, lb)
	}
	b.grown = nil
}
