// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// TestBars runs hnsproxy.exe on a small cluster and an HNS with the latency of Windows Server 2022, and holds it to its bars.
// Numbers of calls are exact on every machine. Of the times only the median is held: other programs on the machine may make some
// changes wait for the API server (two busy loops: p50 31 to 75 ms, p99 75 to 1,394 ms). benchmarks.TestLatency holds p99 without
// noise, make compare shows it.
func TestBars(t *testing.T) {
	const services, endpoints = 50, 10
	o, err := parse([]string{"--program=hnsproxy", "--parts=load", "--services=50", "--latency=ws2022", "--duration=15s"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	report, err := compare(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.writeText(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", &table)
	r := report.Results[0]
	bar := func(ok bool, format string, args ...any) {
		t.Helper()
		if !ok {
			t.Errorf(format, args...)
		}
	}

	// Cluster DNS has two endpoints and two load balancers, the Service kubernetes one of each. One look at HNS is 11 calls.
	// A heartbeat asks for the network each 15 s while HNS tells of what happens to it.
	const created, balanced, look, beat = services*endpoints + 3, services + 3, 11, 5
	c := r.Cold
	bar(c.Complete > 0, "cold start was not complete in %s", o.patience)
	bar(c.DNS < c.Others && c.Kubernetes < c.Others, "cluster DNS came after %s, Service kubernetes after %s, another Service after %s",
		c.DNS, c.Kubernetes, c.Others)
	bar(c.Calls.Writes == created+balanced, "cold start took %d writes, want %d", c.Calls.Writes, created+balanced)
	bar(c.Calls.Total <= 5*created+3*balanced+2*look+2*beat, "cold start took %d calls, want 5 per endpoint and 3 per load balancer", c.Calls.Total)
	bar(r.Idle.Total <= look+3*beat && r.Idle.Writes == 0, "half a minute without changes took %d calls, of which %d writes", r.Idle.Total, r.Idle.Writes)

	ch := r.Churn
	looks := ch.Calls.Verbs[hnslb.VerbLoadBalancers]
	bar(looks <= 2, "HNS was listed %d times during the changes", looks)
	bar(ch.Unseen == 0, "%d changes were never programmed", ch.Unseen)
	bar(ch.Calls.Total <= 10*ch.Changes+looks*look+2*beat, "%d changes took %d calls, want at most 10 each:\n%v", ch.Changes, ch.Calls.Total, ch.Calls.Functions)
	bar(ch.Latency.P50 < 500, "half of the changes took more than %.0f ms, want less than 500", ch.Latency.P50)
	bar(ch.Surplus == 0, "%d endpoints were left that nobody wants", ch.Surplus)

	bar(r.Restart.Complete > 0, "restart was not complete in %s", o.patience)
	bar(r.Restart.Calls.Writes == 0, "restart took %d writes: %v", r.Restart.Calls.Writes, r.Restart.Calls.Verbs)
	bar(r.Restart.Dark == Dark{}, "frontends were dark during restart: %+v", r.Restart.Dark)

	d := r.Delete
	bar(d.Endpoints == 0 && d.LoadBalancers == 0, "%d endpoints and %d load balancers outlive their Services", d.Endpoints, d.LoadBalancers)
	bar(d.Handles == 0, "%d handles were left open", d.Handles)
	bar(len(r.Errors) == 0, "errors were logged: %q", r.Errors)
}

// TestHeals lets hnsproxy.exe meet every trouble: it heals each of them, ends in none, and leaves no frontend dark but those whose
// load balancers are taken away.
func TestHeals(t *testing.T) {
	o, err := parse([]string{"--program=hnsproxy", "--parts=heal"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	report, err := compare(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Healings) != len(troubles()) {
		t.Errorf("%d results of %d troubles", len(report.Healings), len(troubles()))
	}
	for _, h := range report.Healings {
		t.Logf("%s: %s", h.Trouble, h)
		if !h.Healed || h.Ended > 0 {
			t.Errorf("%s: %s", h.Trouble, h)
		}
	}
	for _, h := range report.Healings[:2] {
		if h.Dark.Worst > 0 && h.Dark.Frontends > 1 {
			t.Errorf("%s: %s: %+v, want no more than the Service that changed", h.Trouble, h, h.Dark)
		}
	}
	for _, h := range report.Healings[len(report.Healings)-2:] {
		if h.Writes > 0 || h.Dark.Times > 0 {
			t.Errorf("%s: %s, want that HNS is left alone", h.Trouble, h)
		}
	}
}
