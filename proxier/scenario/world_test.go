// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/drivertest"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/events"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

const (
	gather = 20 * time.Millisecond
	// longestWait is more than the longest wait between two tries of one object.
	longestWait = 75 * time.Second
	// patience bounds the wait for a proxy that never comes to rest.
	patience = 20 * longestWait
)

// world is one node in its cluster: HNS, the proxy, and what Kubernetes says.
type world struct {
	t      *testing.T
	script *script
	way    Way
	// at says which line of the script runs, for errors.
	at string
	// impatient lets checks look before the proxy has finished.
	impatient bool

	hns     *HNS
	node    services.Node
	options desired.Options
	// bind are the addresses of --bind-address.
	bind []netip.Addr
	// timeout of a driver call, 0 for none.
	timeout time.Duration
	// objects are what the API server holds, in the order in which they came.
	objects []object

	// proxy is nil while it is stopped. keepers has one LawKeeper for each start.
	proxy   *proxier.Proxier
	stop    func()
	started bool
	keepers []*proxiertest.LawKeeper
	// injected counts the calls that failed before they reached HNS.
	injected atomic.Int64
	// events are what users were told; telling guards them.
	telling sync.Mutex
	events  []string
	flows   map[emulator.Packet]*emulator.Flow
	clock   proxiertest.PausingClock

	// machine is the network of the node, ports the proxy's health-check node ports on it.
	machine *proxiertest.Network
	ports   *health.NodePorts
}

func newWorld(t *testing.T, s *script, how Way) *world {
	t.Helper()
	w := &world{
		t: t, script: s, way: how,
		node:    Node(),
		options: desired.Options{DSR: true},
		machine: newMachine(),
		flows:   map[emulator.Packet]*emulator.Flow{},
	}
	if how.Network == "overlay" {
		w.options.SourceVIP = netip.MustParseAddr(SourceVIP)
	}
	var err error
	w.hns, err = NewHNS(how.Network, emulator.Config{
		Profile: how.Profile, Latency: emulator.WS2022Latency(), Seed: how.Variant.Seed,
	})
	if err != nil {
		t.Fatal(err)
	}
	if how.Variant.InHNS {
		w.hns.FailEach(0.1)
	}
	t.Cleanup(func() {
		w.halt()
		w.hns.ReleaseHung()
	})
	return w
}

// injectedFault fails one write in ten.
func injectedFault(v hnslb.Verb, luck float64) drivertest.Fault {
	switch {
	case !v.IsWrite():
	case luck < 0.03:
		return drivertest.Fault{Class: hnslb.Timeout, TakesEffect: true}
	case luck < 0.05:
		return drivertest.Fault{Class: hnslb.Unavailable}
	case luck < 0.08:
		return drivertest.Fault{Class: hnslb.Other}
	case luck < 0.1:
		return drivertest.Fault{Class: hnslb.Invalid}
	}
	return drivertest.Fault{}
}

// driver is what the proxy gets: the laws in front, failures behind.
func (w *world) driver() hnslb.Driver {
	var d hnslb.Driver = w.hns.Emulator
	if v := w.way.Variant; v.Seed != 0 && !v.InHNS {
		luck := drivertest.NewLuck(v.Seed)
		d = drivertest.Fail(d, func(c hnslb.Call) drivertest.Fault {
			f := injectedFault(c.Verb, luck.Draw(c.Verb))
			if f.Class != "" {
				w.injected.Add(1)
			}
			return f
		})
	}
	if w.timeout > 0 {
		d = hnslb.WithTimeout(d, w.timeout)
	}
	keeper := proxiertest.NewLawKeeper(d, proxiertest.Options{Network: PodNetwork, SourceVIP: w.options.SourceVIP})
	w.keepers = append(w.keepers, keeper)
	return keeper
}

// failures counts the calls that failed, in HNS or before it.
func (w *world) failures() int {
	n := 0
	for _, errors := range w.hns.Errors() {
		n += errors
	}
	return n + int(w.injected.Load())
}

func (w *world) keeper() *proxiertest.LawKeeper { return w.keepers[len(w.keepers)-1] }

// begin starts the proxy, unless the script has done so.
func (w *world) begin() {
	if !w.started {
		w.start()
	}
}

// start starts a proxy that has seen all objects.
func (w *world) start() {
	if w.proxy != nil {
		return
	}
	w.started = true
	healthy := health.New(health.Config{SyncPeriod: 30 * time.Second, Clock: &w.clock})
	var err error
	w.proxy, err = proxier.New(proxier.Config{
		Health:        healthy,
		Driver:        w.driver(),
		Network:       PodNetwork,
		Node:          services.Node{Name: w.node.Name, IPs: w.bind},
		Options:       w.options,
		AuditPeriod:   30 * time.Second,
		MinSyncPeriod: gather,
		Metrics:       metrics.New(prometheus.NewRegistry()),
		SendEvent: func(e events.Event) {
			w.telling.Lock()
			defer w.telling.Unlock()
			w.events = append(w.events, fmt.Sprintf("%s %s %s: %s", e.Service, e.Type(), e.Reason, e.Message))
		},
		Logger: w.logger(),
		Clock:  &w.clock,
		Seed:   w.way.Variant.Seed,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.SetNode(w.node)
	w.checkedBy(healthy)
	for _, o := range w.objects {
		o.before = nil
		o.put(w.proxy.Store())
	}
	proxy, ports := w.proxy, w.ports
	stop := proxiertest.Start(func(ctx context.Context) error {
		var checked sync.WaitGroup
		defer checked.Wait()
		checked.Go(func() { ports.Run(ctx) })
		return proxy.Run(ctx)
	})
	w.stop = func() {
		if err := stop(); err != nil {
			w.t.Errorf("%s: Run: %v", w.at, err)
		}
	}
}

// logger shows what the proxy says, with -v.
func (w *world) logger() klog.Logger {
	if !testing.Verbose() {
		return klog.Logger{}
	}
	start := time.Now()
	return funcr.New(func(_, args string) { w.t.Logf("%10v %s", time.Since(start), args) }, funcr.Options{Verbosity: 2})
}

// halt stops the proxy, if it runs.
func (w *world) halt() {
	if w.proxy == nil {
		return
	}
	w.stop()
	w.proxy = nil
}

// changed tells the LawKeeper that something happens to the node or the cluster.
func (w *world) changed() {
	if w.proxy != nil {
		w.keeper().Changed(w.proxy.Idle())
	}
}

// settle lets the proxy finish. Where writes fail that takes until no try is due any more.
func (w *world) settle() {
	w.t.Helper()
	if w.impatient {
		return
	}
	w.begin()
	w.rest()
	if w.way.Variant.Seed == 0 || w.proxy == nil {
		return
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		before := w.keeper().Writes()
		w.pass(longestWait)
		w.rest()
		if w.keeper().Writes() == before {
			return
		}
	}
}

// rest waits until the proxy has nothing to do right now.
func (w *world) rest() {
	w.t.Helper()
	w.pass(2 * gather)
	for end := time.Now().Add(patience); w.proxy != nil && !w.proxy.Idle(); {
		if time.Now().After(end) {
			w.t.Fatalf("%s: the proxy did not come to rest in %v", w.at, patience)
		}
		w.pass(gather)
	}
}

// pass lets virtual time go by.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// checkLaws fails the test for each breach, and ends the check of those before.
func (w *world) checkLaws() {
	w.t.Helper()
	for _, k := range w.keepers {
		if broken := k.Broken(); len(broken) > 0 {
			w.t.Errorf("%s: broken laws:\n%s", w.at, strings.Join(slices.Compact(broken), "\n"))
		}
	}
}
