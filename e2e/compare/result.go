// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Report is everything that one call of compare found out.
type Report struct {
	Date        string
	Environment Environment
	Results     []Result
	Healings    []Healing
}

// Environment is where the numbers come from.
type Environment struct {
	// CPUs, Memory in MiB and Kernel of the machine. API server, etcd and the emulator share them with the program.
	CPUs, Memory int
	Kernel       string
	Go, Wine     string
	// Kubernetes is the version of the API server, Programs what each program says it is.
	Kubernetes string
	Programs   map[string]string
	// Network is the type of the HNS network, Profile the Windows release that is emulated.
	Network, Profile string
	// Endpoints per Service; Rate in changes per second, for ChangesFor.
	Endpoints  int
	Rate       float64
	ChangesFor Seconds
}

// Seconds is a time in a report.
type Seconds float64

func seconds(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// Result is one run of one program.
type Result struct {
	Program  string
	Services int
	// Latency of HNS: idle or ws2022.
	Latency string
	// LoadBefore and LoadAfter are the machine's load averages over a minute.
	LoadBefore, LoadAfter float64

	Cold Cold
	// Idle are the calls in half a minute in which nothing changes, the period of both programs' own syncs.
	Idle    Calls
	Churn   Churn
	Restart Restart
	Delete  Delete

	// CPU is what the first process took until it was killed, and PeakMemory its largest resident set in MiB. Wine's server is
	// not part of either.
	CPU        Seconds
	PeakMemory float64
	// Errors are lines that the program logged as errors, at most a few.
	Errors []string
}

// Cold is a start on a node whose HNS holds no load balancer. Times begin when the program is started.
type Cold struct {
	// Complete is when HNS held everything, 0 if that did not happen; DNS and Kubernetes are when it held the Services
	// kube-system/kube-dns and default/kubernetes, Others when it held the first of all others.
	Complete, DNS, Kubernetes, Others Seconds
	// Efficiency is the time that HNS needed for the writes, as part of Complete.
	Efficiency float64
	Calls      Calls
	CPU        Seconds
}

// Churn is the part with changes: in each, one endpoint of one Service is replaced by another.
type Churn struct {
	Changes int
	// Unseen changes never arrived.
	Unseen int
	// Latency is from when a slice is about to be written into the API until its new endpoint is in the load balancer.
	Latency Percentiles
	// Calls from the first change until HNS holds the last and is quiet, those that the program makes on a timer included.
	Calls Calls
	Dark  Dark
	CPU   Seconds
	// Surplus are remote endpoints that nobody wants any more when HNS is quiet.
	Surplus int
}

// Restart is killing the program and starting it again, nothing else having changed.
type Restart struct {
	// Complete is when the first sync was over and HNS held everything, 0 if that did not happen.
	Complete Seconds
	Calls    Calls
	Dark     Dark
}

// Delete is the deletion of all Services but default/kubernetes.
type Delete struct {
	// Complete is when HNS held nothing else, 0 if that did not happen in the time given.
	Complete Seconds
	// Endpoints and LoadBalancers are those that were left, Handles those that the program left open.
	Endpoints, LoadBalancers, Handles int
	// HandlesAfterFailure are handles that hcsshim did not close because a call failed.
	HandlesAfterFailure int
}

// Calls are calls of HNS.
type Calls struct {
	// Total is the number of calls into computenetwork.dll and vmcompute.dll, Functions the number of each.
	Total     int
	Functions map[string]int
	// Verbs are the writes and lists that came of them; Writes is the number of writes.
	Verbs  map[hnslb.Verb]int
	Writes int
	// Writing is for how long HNS was busy with writes.
	Writing Seconds
}

// Percentiles of a time, in milliseconds.
type Percentiles struct{ P50, P90, P99, Max float64 }

// Dark is the time in which frontends that had backends had none, in milliseconds.
type Dark struct {
	// Frontends that were dark, Times that one went dark, Worst single time, Total of all.
	Frontends, Times int
	Worst, Total     float64
	// Still are those that were dark at the end; their time until then is counted.
	Still int
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// percentiles are nearest-rank, of the changes that arrived.
func percentiles(changes []bulk.Change) (p Percentiles, unseen int) {
	var all []time.Duration
	for _, c := range changes {
		if d, ok := c.Latency(); ok {
			all = append(all, d)
		} else {
			unseen++
		}
	}
	if len(all) == 0 {
		return p, unseen
	}
	slices.Sort(all)
	rank := func(percent int) float64 { return milliseconds(all[(len(all)*percent+99)/100-1]) }
	return Percentiles{P50: rank(50), P90: rank(90), P99: rank(99), Max: rank(100)}, unseen
}

// darkOf sums up the records of an emulator since ResetDark.
func darkOf(e *emulator.Emulator) Dark {
	var sum Dark
	still := e.StillDark()
	var worst, total time.Duration
	for k, d := range e.Dark() {
		now, isDark := still[k]
		if isDark {
			sum.Still++
			d.Times++
			d.Total += now
			d.Longest = max(d.Longest, now)
		}
		if d.Times == 0 {
			continue
		}
		sum.Frontends++
		sum.Times += d.Times
		worst, total = max(worst, d.Longest), total+d.Total
	}
	sum.Worst, sum.Total = milliseconds(worst), milliseconds(total)
	return sum
}
