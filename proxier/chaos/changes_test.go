// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// changes are what happens to every cluster and node.
func changes() []entry {
	all := []entry{
		{name: "service", weight: 20, draw: drawService, start: func(w *simulation, a action) {
			uid := w.next()
			if old := w.truth[serviceKey(a)]; old != nil {
				uid = old.uid // it is the same Service
			}
			w.publish(serviceKey(a), newService(a, uid))
		}},
		{name: "slice", weight: 40, draw: drawSlice, start: func(w *simulation, a action) {
			w.publish(sliceKey(a), newSlice(a, w.pods()))
		}},
		{name: "delete-service", weight: 5, draw: drawName, start: func(w *simulation, a action) {
			if w.truth[serviceKey(a)] != nil {
				w.publish(serviceKey(a), nil)
			}
		}},
		{name: "delete-slice", weight: 5, draw: drawSlice, start: func(w *simulation, a action) {
			if w.truth[sliceKey(a)] != nil {
				w.publish(sliceKey(a), nil)
			}
		}},
		// A Service re-created on the same VIP: the new one may be seen before the old one goes.
		{name: "remake-service", weight: 5, draw: func(d dice) args {
			return set("n", d.IntN(4), "first", d.oneOf("old", "new"), "keep", d.oneOf("", "slices"))
		}, start: remakeService},
		// A pod comes: the network plugin makes its endpoint.
		{name: "pod", weight: 25, draw: drawPod, start: func(w *simulation, a action) {
			name := podName(a.args["at"])
			if _, ok := w.host.things[name]; !ok {
				w.uids[name] = fmt.Sprint("pod-", w.next())
				w.host.things[name] = podThing(a.args["at"])
			}
		}},
		// A pod goes. Its slices say so when they are next written.
		{name: "no-pod", weight: 6, unannounced: true, draw: drawPod, start: func(w *simulation, a action) {
			delete(w.host.things, podName(a.args["at"]))
		}},
		// Two pods swap their addresses; their endpoints are re-created.
		{name: "swap-pods", weight: 4, unannounced: true, draw: func(d dice) args { return set("first", d.oneOf("slices", "pods")) }, start: swapPods},
		{name: "audit", weight: 1, start: func(w *simulation, _ action) {
			if w.proxy != nil {
				w.proxy.audit()
			}
		}},
		{name: "zone", weight: 2, draw: func(d dice) args { return set("to", d.oneOf("a", "b")) }, start: func(w *simulation, a action) {
			w.zone = a.args["to"]
			if w.proxy != nil {
				w.proxy.setZone(w.zone)
			}
		}},
		// Time passes; all faults end, and time passes until all are over.
		{name: "pass", start: func(w *simulation, a action) { w.pass(a.duration("for")) }},
		{name: "calm", start: func(w *simulation, _ action) {
			w.calm()
			w.pass(aftermath)
		}},
	}
	for i := range all {
		all[i].change = true
	}
	return all
}

func drawName(d dice) args { return set("n", d.IntN(4), "name", d.oneOf("a", "a", "a", "b")) }

func drawPod(d dice) args { return set("at", d.oneOf("l1", "l2", "l3")) }

// drawService makes a Service. External IPs and node ports come from small pools, so that
// Services get in each other's way.
func drawService(d dice) args {
	out := drawName(d)
	out["age"] = d.oneOf("0", "1", "2")
	maybe := func(name string, of ...string) {
		if d.IntN(2) == 0 {
			out[name] = d.oneOf(of...)
		}
	}
	maybe("port", "30000", "30001")
	maybe("external", "203.0.113.1", "203.0.113.2")
	maybe("ingress", "203.0.113.1", "203.0.113.3")
	if with := d.some(2, "dns", "dns", "extlocal", "intlocal", "affinity", "preserve"); len(with) > 0 {
		slices.Sort(with)
		out["with"] = strings.Join(slices.Compact(with), ",")
	}
	return out
}

func drawSlice(d dice) args {
	out := drawName(d)
	out["slice"], out["port"] = d.oneOf("0", "0", "1"), d.oneOf("8080", "8080", "8080", "8081")
	to := d.some(5, "l1", "l2", "l3", "r1", "r2", "r3", "r4", "x1")
	if d.IntN(12) == 0 {
		to = append(to, d.oneOf("node", "peer")) // pods on the host's network
	}
	for i, word := range to {
		switch {
		case word[0] == 'l' && d.IntN(4) == 0:
			to[i] += "-moved"
		case d.IntN(6) == 0:
			to[i] += d.oneOf("-draining", "-down")
		}
	}
	if len(to) > 0 {
		out["to"] = strings.Join(to, ",")
	}
	return out
}

// remakeService deletes a Service and re-creates it under another name.
func remakeService(w *simulation, a action) {
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		was := action{args: args{"n": a.args["n"], "name": names[0]}}
		is := action{args: args{"n": a.args["n"], "name": names[1]}}
		old := w.truth[serviceKey(was)]
		if old == nil || w.truth[serviceKey(is)] != nil {
			continue
		}
		made := old.said.without(func(string) bool { return false })
		made.args["name"] = names[1]
		o := newService(made, w.next())
		if a.args["first"] == "old" {
			w.publish(serviceKey(was), nil)
		}
		w.publish(serviceKey(is), o)
		if a.args["first"] != "old" {
			w.publish(serviceKey(was), nil)
		}
		if a.args["keep"] != "" {
			w.renameSlices(serviceName(was), names[1])
		}
		return
	}
}

// swapPods lets the pods at l1 and l2 swap their addresses. Their slices follow.
func swapPods(w *simulation, a action) {
	one, two := podName("l1"), podName("l2")
	h := w.host
	if h.things[one].endpoint == nil || h.things[two].endpoint == nil || h.idle {
		return
	}
	w.uids[one], w.uids[two] = w.uids[two], w.uids[one]
	for _, name := range []string{one, two} {
		if id := h.placed[name]; id != "" {
			_ = w.hns.DeleteBehind(id) // HNS may be away; then the pods keep their endpoints
		}
	}
	if a.args["first"] == "pods" {
		w.reconcile()
	}
	for _, key := range slices.Sorted(maps.Keys(w.truth)) {
		if o := w.truth[key]; o.slice != nil {
			w.publish(key, newSlice(o.said, w.pods()))
		}
	}
}

// renameSlices makes the slices of one Service belong to another.
func (w *simulation) renameSlices(service, name string) {
	for _, slice := range []string{"0", "1"} {
		key := "slice " + service + "-" + slice
		if old := w.truth[key]; old != nil {
			made := old.said.without(func(string) bool { return false })
			made.args["name"] = name
			w.publish(key, nil)
			w.publish(sliceKey(made), newSlice(made, w.pods()))
		}
	}
}

// served returns the load balancers that are the proxy's, in order of their IDs.
func (w *simulation) served() []hnslb.LoadBalancer {
	var out []hnslb.LoadBalancer
	for _, lb := range w.hns.State().LoadBalancers {
		if w.host.name(lb.ID) == "" {
			out = append(out, lb.LoadBalancer)
		}
	}
	slices.SortFunc(out, func(a, b hnslb.LoadBalancer) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

// made returns the endpoints that are the proxy's, in order of their IDs.
func (w *simulation) made() []hnslb.Endpoint {
	var out []hnslb.Endpoint
	for _, ep := range w.hns.State().Endpoints {
		if w.host.name(ep.ID) == "" {
			out = append(out, ep.Endpoint)
		}
	}
	slices.SortFunc(out, func(a, b hnslb.Endpoint) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}
