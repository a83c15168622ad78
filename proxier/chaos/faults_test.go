// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"net/netip"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// faults are what HNS, the node and the cluster do that they should not.
func faults() []entry {
	return []entry{
		// HNS does not do what it says.
		{name: "delete-fails-once", weight: 4, start: turn(func(f *profiles.Faults, on bool, _ action) { f.DeleteFailsOnce = on }), end: off},
		{name: "delete-lies", weight: 4, start: turn(func(f *profiles.Faults, on bool, _ action) { f.EndpointDeleteLies = on }), end: off},
		{name: "leak-ports", weight: 3, start: turn(func(f *profiles.Faults, on bool, _ action) { f.LeakPorts = on }),
			end: func(w *simulation, a action) {
				off(w, a)
				w.hns.ReleaseLeakedPorts()
			}},
		{name: "half-made", weight: 4, start: turn(func(f *profiles.Faults, on bool, _ action) { f.HalfMade = on }), end: off},
		{name: "vanish", weight: 3, draw: func(d dice) args { return set("n", 1+d.IntN(3)) },
			start: turn(func(f *profiles.Faults, on bool, a action) { f.VanishDuringList = a.number("n") * count(on) }), end: off},
		{name: "modify-lies", weight: 3, start: turn(func(f *profiles.Faults, on bool, _ action) { f.ModifyLies = on }), end: off},
		{name: "no-data-path", weight: 1, off: "a load balancer without rules looks like any other through hnslb.Driver",
			start: turn(func(f *profiles.Faults, on bool, _ action) { f.NoDataPath = on }), end: off},
		{name: "no-adapter", weight: 1, start: turn(func(f *profiles.Faults, on bool, _ action) { f.NoAdapter = on }), end: off},

		// Calls fail.
		{name: "fail-next", weight: 12, lingers: true, draw: drawFailure, start: func(w *simulation, a action) {
			w.hns.FailNext(hnslb.Verb(a.args["verb"]), a.number("calls"), codes[a.args["code"]])
		}},
		{name: "lose-answers", weight: 6, lingers: true, draw: func(d dice) args { return set("verb", d.verb(), "calls", 1+d.IntN(3)) }, start: func(w *simulation, a action) {
			w.hns.LoseAnswers(hnslb.Verb(a.args["verb"]), a.number("calls"))
		}},
		{name: "fail-often", weight: 4, start: func(w *simulation, _ action) { w.hns.FailEach(0.3) }, end: func(w *simulation, _ action) { w.hns.FailEach(0) }},
		{name: "fail-every", weight: 5, draw: func(d dice) args { return set("every", 2+d.IntN(6), "calls", d.IntN(2)) },
			start: func(w *simulation, a action) { failEvery(w, a, a.number("every")) },
			end:   func(w *simulation, a action) { failEvery(w, a, 0) }},
		{name: "refuse-one", weight: 6, narrow: true, draw: drawRefusal(1), start: refuse, end: accept},
		{name: "refuse-many", weight: 3, narrow: true, draw: drawRefusal(8), start: refuse, end: accept},
		{name: "listener", weight: 3, draw: func(d dice) args { return set("port", d.oneOf("30000", "30001", "80")) },
			start: func(w *simulation, a action) { w.hns.Reserve(uint16(a.number("port")), hnslb.TCP) },
			end:   func(w *simulation, a action) { w.hns.Release(uint16(a.number("port")), hnslb.TCP) }},

		// HNS, its objects and its networks come and go.
		{name: "hns-away", weight: 5, draw: drawLoss, start: func(w *simulation, _ action) { w.hns.Stop() },
			end: func(w *simulation, a action) { w.hns.Start(lossOf(a)) }},
		{name: "hns-restart", weight: 5, draw: drawLoss, start: func(w *simulation, a action) { w.hns.Restart(lossOf(a)) }},
		{name: "network-replaced", weight: 4, start: func(w *simulation, _ action) { _, _ = w.hns.ReplaceNetwork(podNetwork) }},
		{name: "network-gone", weight: 3, start: func(w *simulation, _ action) { w.host.networkGone = true },
			end: func(w *simulation, _ action) { w.host.networkGone = false }},
		{name: "management-ip", weight: 4, draw: func(d dice) args {
			// Longer than an audit: what comes and goes between two looks nobody sees.
			return set("to", d.oneOf("10.0.0.9", "10.0.0.9", "none", "169.254.7.7"), "for", d.span(auditPeriod+10*time.Second, 3*auditPeriod))
		},
			start: func(w *simulation, a action) {
				w.host.managementIP, _ = netip.ParseAddr(a.args["to"])
				w.flipped = time.Now()
			},
			end: func(w *simulation, _ action) {
				w.host.managementIP = nodeIP
				w.unseen = w.unseen || time.Since(w.flipped) < auditPeriod+5*time.Second
			}},
		{name: "routes", weight: 4, draw: func(d dice) args { return set("to", d.oneOf("10.0.0.5", "10.0.0.6")) },
			start: func(w *simulation, a action) { w.host.router = netip.MustParseAddr(a.args["to"]) }},
		{name: "behind", weight: 5, draw: func(d dice) args { return set("n", d.IntN(8), "kind", d.oneOf("balancer", "endpoint")) }, start: deleteBehind},

		// Others are about.
		{name: "leftovers", weight: 3, draw: func(d dice) args { return set("at", d.oneOf("r8", "r1", "l1", "l8", "x1")) }, start: leaveOver},
		{name: "foreign-balancer", weight: 3, draw: func(d dice) args {
			return set("at", d.oneOf("203.0.113.99", "203.0.113.1", "10.96.0.10", "10.96.0.11", "node"))
		},
			start: addForeignLoadBalancer, end: func(w *simulation, a action) { delete(w.host.things, "foreign balancer "+a.args["at"]) }},
		{name: "foreign-endpoint", weight: 3, draw: func(d dice) args { return set("at", d.oneOf("172.16.0.20", "10.244.2.11", "10.96.0.10")) },
			start: addForeignEndpoint, end: func(w *simulation, a action) { delete(w.host.things, "foreign endpoint "+a.args["at"]) }},
		{name: "detached-pod", weight: 3, draw: drawPod, start: func(w *simulation, a action) { w.attach(a.args["at"], false) },
			end: func(w *simulation, a action) { w.attach(a.args["at"], true) }},
		{name: "idle-plugin", weight: 3, start: func(w *simulation, _ action) { w.host.idle = true }, end: func(w *simulation, _ action) { w.host.idle = false }},
		{name: "slice-names-vip", weight: 3, draw: drawIntruder(7, "vip0", "vip1", "vip2"), start: intrude, end: withdraw},
		{name: "slice-names-source-vip", weight: 2, draw: drawIntruder(8, "src"), start: intrude, end: withdraw},
		{name: "slice-names-node", weight: 2, draw: drawIntruder(9, "node", "peer", "l0"), start: intrude, end: withdraw},

		// The proxy dies, or does not hear.
		{name: "kill", weight: 8, draw: func(d dice) args {
			return set("calls", 1+d.IntN(20), "late", d.oneOf("0s", "1s"), "down", d.oneOf("0s", "0s", "3s"), "for", "1m")
		}, start: func(w *simulation, a action) {
			if w.proxy != nil {
				w.proxy.gate.kill(a.number("calls"), a.duration("late") > 0)
			}
		}, end: func(*simulation, action) {}},
		{name: "restart", weight: 4, draw: func(d dice) args { return set("down", d.oneOf("0s", "0s", "5s")) },
			start: func(w *simulation, a action) { w.stopProxy(false, a.duration("down")) }},
		{name: "watch-late", weight: 3, draw: func(d dice) args {
			return set("late", d.span(100*time.Millisecond, 10*time.Second), "of", drawKinds(d))
		},
			start: hold, end: func(w *simulation, _ action) { w.release(false) }},
		{name: "watch-burst", weight: 3, draw: func(d dice) args { return set("of", drawKinds(d)) }, start: hold, end: func(w *simulation, _ action) { w.release(false) }},
		{name: "watch-last", weight: 3, draw: func(d dice) args { return set("of", drawKinds(d)) }, start: hold, end: func(w *simulation, _ action) { w.release(true) }},
		{name: "clock-jump", weight: 3, draw: func(d dice) args { return set("by", d.oneOf("-1h", "-1m", "-2s", "1m", "1h", "8760h")) },
			start: func(w *simulation, a action) { w.clock.jump(a.duration("by")) }},
	}
}

// slowness are calls that hang and lists that take their time.
func slowness() []entry {
	release := func(w *simulation, _ action) {
		w.hns.ReleaseHung()
		w.setFaults(func(f *profiles.Faults) { f.DeafHangs = false })
	}
	hang := func(w *simulation, a action) {
		w.setFaults(func(f *profiles.Faults) { f.DeafHangs = true })
		w.hns.Hang(hnslb.Verb(a.args["verb"]), a.number("calls"))
	}
	return []entry{
		{name: "hang-30s", weight: 4, draw: func(d dice) args { return set("verb", d.verb(), "calls", 1+d.IntN(3), "for", "30s") }, start: hang, end: release},
		{name: "hang-for-ever", weight: 3, draw: func(d dice) args {
			return set("verb", d.verb(), "calls", 1+d.IntN(2), "for", d.oneOf("2m", "10m", "1h"))
		},
			start: hang, end: release},
		{name: "hang-all", weight: 2, draw: func(d dice) args { return set("verb", d.verb(), "calls", -1) }, start: hang, end: release},
		{name: "hang-object", weight: 3, narrow: true, draw: func(d dice) args { return set("of", d.oneOf(objects...), "for", d.oneOf("30s", "5m", "20m")) },
			start: func(w *simulation, a action) {
				w.setFaults(func(f *profiles.Faults) { f.DeafHangs = true })
				w.hangOn(a.args["of"])
			}, end: release},
		{name: "slow-lists", weight: 5, draw: func(d dice) args {
			return set("take", d.span(100*time.Millisecond, 5*time.Second), "show", d.oneOf("start", "end"))
		}, start: turn(func(f *profiles.Faults, on bool, a action) {
			f.ListsTake, f.ListsShowStart = a.duration("take")*time.Duration(count(on)), a.args["show"] == "start"
		}), end: off},
	}
}

// quirks are what a machine always has.
func quirks() []entry {
	return []entry{
		{name: "quirk-local-refused", quirk: func(q *profiles.Quirks) { q.LocalRefusedByRemote = true }},
		{name: "quirk-abandoned-lost", quirk: func(q *profiles.Quirks) { q.AbandonedWritesLost = true }},
		{name: "quirk-restored-twin", quirk: func(q *profiles.Quirks) { q.RestoredTwinCode = hnslb.ResultPortAlreadyExists }},
		{name: "quirk-unknown-endpoint", quirk: func(q *profiles.Quirks) { q.UnknownEndpointCode = hnslb.ResultInvalidJSONReference }},
		{name: "quirk-listener-takes-vip", quirk: func(q *profiles.Quirks) { q.ListenerTakesVIP = true }},
		{name: "quirk-orphans-stay", off: "for good: what HNS cannot delete stays, so no end state is right",
			quirk: func(q *profiles.Quirks) { q.OrphanDeleteFails = true }},
	}
}

// turn returns what switches a fault of the emulator on; off ends all such faults of an entry.
func turn(f func(*profiles.Faults, bool, action)) func(*simulation, action) {
	return func(w *simulation, a action) {
		w.setFaults(func(fs *profiles.Faults) { f(fs, true, a) })
		w.offs[a.name] = func() { w.setFaults(func(fs *profiles.Faults) { f(fs, false, a) }) }
	}
}

func off(w *simulation, a action) { w.offs[a.name]() }

func (w *simulation) setFaults(change func(*profiles.Faults)) {
	f := w.hns.Faults()
	change(&f)
	w.hns.SetFaults(f)
}

func count(on bool) int {
	if on {
		return 1
	}
	return 0
}

// codes are the failures of a call that a script can name.
var codes = map[string]hnslb.HRESULT{
	"fail": 0x80004005, "call-failed": hnslb.ResultCallFailed, "away": hnslb.ResultServerUnavailable, "stopping": hnslb.ResultManagerStopped,
	"no-switch-port": hnslb.ResultSwitchPortNotFound, "port-exists": hnslb.ResultPortAlreadyExists, "exists": hnslb.ResultWin32AlreadyExists,
	"object-exists": hnslb.ResultObjectExists, "invalid": hnslb.ResultInvalidArgument, "bad-ip": hnslb.ResultInvalidIP,
	"no-element": hnslb.ResultElementNotFound, "unsupported": hnslb.ResultNotImplemented,
}

func drawFailure(d dice) args {
	verb := d.verb()
	code := d.oneOf("fail", "call-failed", "away", "stopping", "no-switch-port", "port-exists", "exists", "object-exists", "invalid", "bad-ip", "no-element")
	if strings.HasPrefix(verb, "Delete") && code == "no-element" {
		code = "fail" // "not found" for what is there is a lie that no report tells of
	}
	if verb == string(hnslb.VerbUpdateLoadBalancer) && d.IntN(4) == 0 {
		code = "unsupported"
	}
	return set("verb", verb, "code", code, "calls", 1+d.IntN(4))
}

func failEvery(w *simulation, a action, n int) {
	if a.number("calls") > 0 {
		w.hns.FailEvery(n, hnslb.Verbs()...)
	} else {
		w.hns.FailEvery(n)
	}
}

// objects are names of objects that HNS can refuse, or hang over.
var objects = []string{"10.96.0.10:80/TCP", "10.96.0.11:80/TCP", "10.96.0.12:80/TCP", "10.96.0.10:53/UDP", "0.0.0.0:30000/TCP", "203.0.113.1:80/TCP",
	"10.244.2.11", "10.244.2.12", "192.0.2.21", "10.96.0.11", "10.244.1.250"}

func drawRefusal(most int) func(dice) args {
	return func(d dice) args {
		of := append(d.some(most-1, objects...), d.oneOf(objects...))
		return set("of", strings.Join(of, ","), "code", d.oneOf("port-exists", "port-exists", "exists", "invalid", "no-element", "bad-ip", "no-switch-port"))
	}
}

func refuse(w *simulation, a action) {
	for _, o := range a.list("of") {
		w.hns.Refuse(o, codes[a.args["code"]])
	}
}

func accept(w *simulation, a action) {
	for _, o := range a.list("of") {
		w.hns.Refuse(o, 0)
	}
}

// hangOn lets HNS hang over an object, by its name and by the ID that it has now.
func (w *simulation) hangOn(object string) {
	w.hns.HangOn(object)
	for _, ep := range w.made() {
		if ep.ObjectName() == object {
			w.hns.HangOn(string(ep.ID))
		}
	}
	for _, lb := range w.served() {
		if lb.ObjectName() == object {
			w.hns.HangOn(string(lb.ID))
		}
	}
}

func drawLoss(d dice) args { return set("lose", d.oneOf("", "", "balancers", "endpoints", "all")) }

func lossOf(a action) emulator.RestartOptions {
	lose := a.args["lose"]
	return emulator.RestartOptions{LoseLoadBalancers: lose == "balancers" || lose == "all", LoseEndpoints: lose == "endpoints" || lose == "all"}
}

// deleteBehind deletes an object of the proxy's behind its back.
func deleteBehind(w *simulation, a action) {
	if eps := w.made(); a.args["kind"] == "endpoint" && len(eps) > 0 {
		_ = w.hns.DeleteBehind(eps[a.number("n")%len(eps)].ID) // HNS may be away
	}
	if lbs := w.served(); a.args["kind"] == "balancer" && len(lbs) > 0 {
		_ = w.hns.DeleteBehind(lbs[a.number("n")%len(lbs)].ID)
	}
}

// leaveOver leaves what an earlier proxy could have left: a remote endpoint, and a load
// balancer that nobody wants any more.
func leaveOver(w *simulation, a action) {
	ip := addressOf(a.args["at"])
	ep, err := w.hns.AddForeignEndpoint(podNetwork, hnslb.Endpoint{IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true})
	if err != nil {
		return // it is taken
	}
	_, _ = w.hns.AddForeignLoadBalancer(hnslb.LoadBalancer{Endpoints: []hnslb.ID{ep.ID}, VIPs: []netip.Addr{netip.MustParseAddr("10.96.0.77")},
		Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}}})
}

// addForeignLoadBalancer lets another program make a load balancer, with a flag that the proxy
// never uses.
func addForeignLoadBalancer(w *simulation, a action) {
	lb := hnslb.LoadBalancer{Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 80, ExternalPort: 80, Flags: hnslb.ILB}}}
	if a.args["at"] == "node" {
		lb.Mappings[0].ExternalPort = 30000
	} else {
		lb.VIPs = []netip.Addr{netip.MustParseAddr(a.args["at"])}
	}
	w.host.things["foreign balancer "+a.args["at"]] = thing{balancer: &lb}
}

// addForeignEndpoint lets another program make an endpoint: on its own network, or a remote
// one on ours with a MAC of its own.
func addForeignEndpoint(w *simulation, a action) {
	ip := netip.MustParseAddr(a.args["at"])
	t := thing{network: "other", endpoint: &hnslb.Endpoint{IPs: []netip.Addr{ip}}}
	if !strings.HasPrefix(a.args["at"], "172.") {
		t = thing{network: podNetwork, endpoint: &hnslb.Endpoint{IPs: []netip.Addr{ip}, Remote: true, MAC: "02-AA-00-00-00-01"}}
		for _, ep := range w.hns.State().Endpoints {
			if ep.ObjectName() == ip.String() {
				return // it is taken
			}
		}
	}
	w.host.things["foreign endpoint "+a.args["at"]] = t
}

// attach gives a pod its switch port, or takes it away.
func (w *simulation) attach(word string, attached bool) {
	t, ok := w.host.things[podName(word)]
	if !ok {
		return
	}
	t.detached = !attached
	w.host.things[podName(word)] = t
}

// drawIntruder makes a slice that names what is no pod. It has a number of its own, so that
// nothing else writes it.
func drawIntruder(slice int, words ...string) func(dice) args {
	return func(d dice) args {
		return set("n", d.IntN(4), "name", "a", "slice", slice, "port", "8080", "to", d.oneOf(words...))
	}
}

func intrude(w *simulation, a action) { w.publish(sliceKey(a), newSlice(a, w.pods())) }

func withdraw(w *simulation, a action) {
	if w.truth[sliceKey(a)] != nil {
		w.publish(sliceKey(a), nil)
	}
}

func drawKinds(d dice) string { return d.oneOf("service", "slice", "slice", "service,slice") }

func hold(w *simulation, a action) {
	w.watch.holds, w.watch.late = map[string]bool{}, a.duration("late")
	for _, kind := range a.list("of") {
		w.watch.holds[kind] = true
	}
}
