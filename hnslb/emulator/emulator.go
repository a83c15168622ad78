// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Config says which machine to emulate. The zero value is a usable ws2022 without latency.
type Config struct {
	// Profile is the Windows release; the zero value means WS2022.
	Profile profiles.Profile
	// Latency of calls, which outranks Profile.Timings; the zero value leaves it to them, and
	// without any answers at once and touches no timer.
	Latency Latency
	// Clock for latency and dark time, nil for the machine's. The machine's clock is
	// right inside a testing/synctest bubble too.
	Clock clock.Clock
	// Seed of everything that looks random: IDs, MACs, FailEach. Two emulators with one
	// seed and the same calls in the same order hold the same state.
	Seed uint64
	// Watch hears what each frontend sends to, whenever a load balancer is written or
	// removed, one of its endpoints goes, or a restart brings it back: in order, and before
	// the call that does it returns. It must be quick, and must not call the emulator. Nil
	// for nobody. Restore replaces everything and tells nobody.
	Watch func(Serving)
}

// Serving is what a frontend sends to from now on.
type Serving struct {
	Frontend hnslb.FrontendKey
	// Backends are the endpoints that exist, in the order of the load balancer; none while
	// the frontend is dark.
	Backends []netip.Addr
}

// Emulator is one host's HNS and VFP. All methods may be called from several goroutines.
type Emulator struct {
	profile profiles.Profile
	latency Latency
	// timings are those of the profile, empty when latency is in force.
	timings []profiles.Timing
	clock   clock.Clock
	// gate lets one write through at a time, in the order of arrival.
	gate *semaphore.Weighted

	mu      sync.Mutex // guards what follows
	store   *store
	ids     idSource
	chance  *rand.Rand
	trouble trouble
	counts  counts
	stopped bool
	// epoch counts the stops: a call that was accepted before one fails after it.
	epoch int
	// registrations hear of notifications, in the order in which they came.
	registrations []*registration
}

var _ hnslb.Driver = (*Emulator)(nil)

// New makes an emulator without networks: AddNetwork is what a network plugin does first.
func New(c Config) *Emulator {
	if c.Profile.Name == "" && c.Profile.Version == (hnslb.Version{}) {
		c.Profile = profiles.WS2022()
	}
	if c.Profile.MaxEndpoints == 0 {
		c.Profile.MaxEndpoints = 1024
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	var timings []profiles.Timing
	if c.Latency == NoLatency() {
		timings = c.Profile.Timings
	}
	e := &Emulator{
		profile: c.Profile,
		latency: c.Latency,
		timings: timings,
		clock:   c.Clock,
		gate:    semaphore.NewWeighted(1),
		store:   newStore(c.Clock, c.Watch),
		ids:     idSource{seed: c.Seed},
		chance:  rand.New(rand.NewPCG(c.Seed, 0x686e73)),
		trouble: newTrouble(),
		counts:  newCounts(),
	}
	e.trouble.faults = c.Profile.Faults
	return e
}

// Profile returns the machine that is emulated.
func (e *Emulator) Profile() profiles.Profile { return e.profile }

// counts is what HNS was asked to do.
type counts struct {
	calls, errors map[hnslb.Verb]int
	writing       time.Duration
}

func newCounts() counts {
	return counts{calls: map[hnslb.Verb]int{}, errors: map[hnslb.Verb]int{}}
}

// Counts returns how often each verb reached HNS, failed calls included. Verbs that were
// never called are missing; a call whose context had ended before is not counted.
func (e *Emulator) Counts() map[hnslb.Verb]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.counts.calls)
}

// Errors returns how often each verb failed, timeouts included.
func (e *Emulator) Errors() map[hnslb.Verb]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.counts.errors)
}

// HCNCalls returns what Counts would have cost in calls into computenetwork.dll through
// hcsshim (docs/hns.md, Queries and lists): open, act, query and close around each object. Lists are
// counted as the one V1 call that package hcn makes of them.
func (e *Emulator) HCNCalls() map[hnslb.Verb]int {
	calls := e.Counts()
	for v, n := range calls {
		calls[v] = n * hcnCallsOf(v)
	}
	return calls
}

// hcnCallsOf counts the calls behind one verb when it succeeds.
func hcnCallsOf(v hnslb.Verb) int {
	switch v {
	case hnslb.VerbFeatures:
		return 0 // hcsshim reads the version once per process
	case hnslb.VerbNetwork:
		return 4 // enumerate, open, query, close
	case hnslb.VerbCreateEndpoint:
		return 5 // open network, create, query, close endpoint, close network
	case hnslb.VerbCreateLoadBalancer:
		return 3 // create, query, close
	case hnslb.VerbUpdateLoadBalancer:
		return 4 // open, modify, query, close
	}
	return 1 // deletes; lists through V1
}

// WriteTime returns for how long HNS was busy with writes, by the emulator's clock.
func (e *Emulator) WriteTime() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts.writing
}

// ResetCounts sets Counts, Errors, HCNCalls and WriteTime to nothing.
func (e *Emulator) ResetCounts() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts = newCounts()
}
