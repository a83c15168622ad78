// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package result is the result of a benchmark run as everything that comes after the run reads it: reports, comparisons, and
// guards. It is written as result.json.
//
// Times are in the unit that the name of the field says. Latency is measured from the time at which a change was meant to be
// written into the API, whether or not the load could keep to it, until HNS serves what the change asks for. A change that is
// overtaken by a later one of the same Service counts as in force once the later one is.
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Version is that of the format. It changes when a field gets another meaning, not when one is added.
const Version = 1

// FileName is the name of a result in its directory.
const FileName = "result.json"

// Result is everything that one run found out.
type Result struct {
	Version int    `json:"version"`
	Run     Run    `json:"run"`
	Totals  Totals `json:"totals"`
	// Latency is that of all changes that came into force.
	Latency *Histogram `json:"latency,omitempty"`
	// Series has one entry for each second of the run, the tail included.
	Series []Second `json:"series,omitempty"`
	// Search is set when the result is that of a search. The other fields are then those of the last run at the rate found.
	Search *Search `json:"search,omitempty"`
}

// Run says what was measured, and where.
type Run struct {
	// Scenario is the name of the scenario, Kind the kind of its churn.
	Scenario string `json:"scenario"`
	Kind     string `json:"kind"`
	// Settings is the scenario as it was run, with the flags that outranked the file.
	Settings json.RawMessage `json:"settings,omitempty"`
	Seed     uint64          `json:"seed"`
	// Rate is the offered rate in changes per second, Duration for how long changes were offered.
	Rate            float64 `json:"rate"`
	DurationSeconds float64 `json:"durationSeconds"`
	// Proxy and Source are those of the scenario, e.g. inprocess or hnsproxy.exe, and inprocess or apiserver.
	Proxy  string `json:"proxy"`
	Source string `json:"source"`
	// Profile is the Windows release that is emulated, HNSLatency the name of the latency model, NetworkType that of HNS.
	Profile     string `json:"profile"`
	HNSLatency  string `json:"hnsLatency"`
	NetworkType string `json:"networkType"`
	// Services and Endpoints are those of the whole cluster at the beginning.
	Services  int `json:"services"`
	Endpoints int `json:"endpoints"`
	// Versions of what took part, by name: hnsproxy, go, kubernetes, kube-proxy, wine.
	Versions map[string]string `json:"versions,omitempty"`
	// Date is when the run began.
	Date    time.Time `json:"date"`
	Machine Machine   `json:"machine"`
	// Interrupted tells that the run was ended early by its user; Overloaded that it was ended because the backlog grew beyond
	// what can be worked off. Neither is judged by Totals.Violations.
	Interrupted bool `json:"interrupted,omitempty"`
	Overloaded  bool `json:"overloaded,omitempty"`
}

// Machine is where the numbers come from.
type Machine struct {
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	CPUs        int    `json:"cpus"`
	MaxProcs    int    `json:"maxProcs"`
	Kernel      string `json:"kernel,omitempty"`
	MemoryBytes uint64 `json:"memoryBytes,omitempty"`
	// LoadBefore and LoadAfter are the load averages over a minute, 0 where there is none.
	LoadBefore float64 `json:"loadBefore,omitempty"`
	LoadAfter  float64 `json:"loadAfter,omitempty"`
}

// Second is one second of a run.
type Second struct {
	// At is the end of this second, counted from the first change.
	At float64 `json:"at"`
	// Offered are the changes written in this second, Applied those that came into force, Backlog those that had been written and
	// were not in force at its end.
	Offered int `json:"offered"`
	Applied int `json:"applied"`
	Backlog int `json:"backlog"`
	// The latencies of the changes that came into force in this second, 0 when there were none.
	P50Millis float64 `json:"p50Millis"`
	P99Millis float64 `json:"p99Millis"`
	MaxMillis float64 `json:"maxMillis"`
	// HNSBusy is the share of the second, 0 to 1, in which HNS was busy with writes.
	HNSBusy float64 `json:"hnsBusy"`
	// HNSCalls counts the calls of each driver verb.
	HNSCalls map[string]int `json:"hnsCalls,omitempty"`
	// HeapBytes is the memory of live and not yet collected objects; of another process it is its resident set.
	HeapBytes uint64 `json:"heapBytes"`
	// Latency is nil when nothing came into force.
	Latency *Histogram `json:"latency,omitempty"`
}

// Totals sum up a run, from the first change until HNS held what it must and nothing else.
type Totals struct {
	// Changes were written; Noise are those among them that concern no proxy.
	Changes int `json:"changes"`
	Noise   int `json:"noise,omitempty"`
	// Seconds is the time taken, Throughput the changes per second that came into force over that time.
	Seconds float64 `json:"seconds"`
	// TailSeconds is the part of it after the last change was written. A proxy may put off the removal of what nobody uses any
	// more, so that HNS has work left although all changes are in force.
	TailSeconds float64 `json:"tailSeconds"`
	Throughput  float64 `json:"throughput"`
	Latency     Summary `json:"latency"`
	// HNSCalls counts the calls of each driver verb, HNSWrites those that change something.
	HNSCalls  map[string]int `json:"hnsCalls,omitempty"`
	HNSWrites int            `json:"hnsWrites"`
	// NeededWrites are those that the changes would cost if each was made on its own and nothing else was written.
	NeededWrites int `json:"neededWrites"`
	// BusyShare is the share of Seconds in which HNS was busy with writes.
	BusyShare float64 `json:"busyShare"`
	// Efficiency is the time that HNS needs for NeededWrites divided by Seconds. It is near 1 in the best case when more is offered
	// than HNS can take, above 1 when changes were merged, and lower when less was offered. It is 0 for an HNS without latency.
	Efficiency float64 `json:"efficiency"`
	// HNSRate is the number of changes per second at which HNS alone would be busy all the time, each change made on its own. It
	// is 0 for an HNS without latency.
	HNSRate float64 `json:"hnsRate"`
	// WriteMillis is how long a write took HNS on average. Efficiency and HNSRate are made of it. ModelWriteMillis is how long it
	// takes by a latency model in which all writes take the same time, 0 for others: where WriteMillis is much more, the machine
	// was too busy to emulate HNS in time.
	WriteMillis      float64 `json:"writeMillis"`
	ModelWriteMillis float64 `json:"modelWriteMillis,omitempty"`
	Dark             Dark    `json:"dark"`
	// CPUSeconds, PeakMemoryBytes, Allocations (objects) and AllocatedBytes are those of the proxy's process. In process, load and
	// emulator are part of it.
	CPUSeconds      float64 `json:"cpuSeconds"`
	PeakMemoryBytes uint64  `json:"peakMemoryBytes"`
	Allocations     uint64  `json:"allocations"`
	AllocatedBytes  uint64  `json:"allocatedBytes"`

	Violations Violations `json:"violations"`
}

// Dark is the time in which frontends that have backends served none.
type Dark struct {
	// Frontends that were dark at least once, and the Times that they were in all.
	Frontends int `json:"frontends"`
	Times     int `json:"times"`
	// TotalMillis of all frontends, and the longest interval.
	TotalMillis   float64 `json:"totalMillis"`
	LongestMillis float64 `json:"longestMillis"`
}

// Violations are what must not happen; all must be 0.
type Violations struct {
	// Missed changes never came into force.
	Missed int `json:"missed"`
	// Stale frontends send to endpoints that were removed, when all is quiet.
	Stale int `json:"stale"`
	// OutOfOrder counts how often an older state came into force after a newer one.
	OutOfOrder int `json:"outOfOrder"`
	// LeakedEndpoints and LeakedLoadBalancers are in HNS when all is quiet, and nobody wants them.
	LeakedEndpoints     int `json:"leakedEndpoints"`
	LeakedLoadBalancers int `json:"leakedLoadBalancers"`
	// NeedlessWrites were made although no change called for any.
	NeedlessWrites int `json:"needlessWrites"`
}

// Err says which violations there are, nil when there are none.
func (v Violations) Err() error {
	var all []error
	for _, one := range []struct {
		n    int
		what string
	}{
		{v.Missed, "changes never came into force"},
		{v.Stale, "frontends send to endpoints that were removed"},
		{v.OutOfOrder, "times an older state came into force after a newer one"},
		{v.LeakedEndpoints, "remote endpoints were left in HNS"},
		{v.LeakedLoadBalancers, "load balancers were left in HNS"},
		{v.NeedlessWrites, "HNS writes were made although no change called for any"},
	} {
		if one.n > 0 {
			all = append(all, fmt.Errorf("%d %s", one.n, one.what))
		}
	}
	return errors.Join(all...)
}

// Err says what is wrong with a run that went to its end, nil when nothing is.
func (r *Result) Err() error {
	if r.Run.Interrupted || r.Run.Overloaded {
		return nil
	}
	if err := r.Totals.Violations.Err(); err != nil {
		return fmt.Errorf("scenario %s: %w", r.Run.Scenario, err)
	}
	return nil
}

// Search is the search for the highest sustained rate.
type Search struct {
	// BoundMillis is what p99 must stay below.
	BoundMillis float64 `json:"boundMillis"`
	// Rate is the highest sustained rate in changes per second, 0 when none of those tried was sustained.
	Rate float64 `json:"rate"`
	// HNSRate is Totals.HNSRate, and Share is Rate as part of it; both are 0 for an HNS without latency.
	HNSRate float64 `json:"hnsRate"`
	Share   float64 `json:"share"`
	// Tries in the order in which they were made.
	Tries []Try `json:"tries"`
}

// Try is one rate that was tried.
type Try struct {
	Rate float64 `json:"rate"`
	// Sustained is the verdict, Reason why not.
	Sustained bool    `json:"sustained"`
	Reason    string  `json:"reason,omitempty"`
	Confirms  bool    `json:"confirms,omitempty"`
	P50Millis float64 `json:"p50Millis"`
	P99Millis float64 `json:"p99Millis"`
	MaxMillis float64 `json:"maxMillis"`
	// Backlog is that at the end of the load, Growth by how many changes per second it grew in the second half.
	Backlog    int     `json:"backlog"`
	Growth     float64 `json:"growth"`
	Throughput float64 `json:"throughput"`
	HNSBusy    float64 `json:"hnsBusy"`
}

// Read reads a result from a file, or from the directory that a run wrote.
func Read(path string) (*Result, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no result: %w; give a file or the directory that 'run --out' wrote", err)
	}
	if err != nil {
		return nil, err
	}
	var r Result
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("%s is no result of hnsproxy-bench: %w", path, err)
	}
	if r.Version != Version {
		return nil, fmt.Errorf("%s has version %d of the format; this program reads version %d: run the scenario again", path, r.Version, Version)
	}
	return &r, nil
}
