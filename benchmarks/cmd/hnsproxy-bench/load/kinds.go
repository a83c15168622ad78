// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

// kind returns the function that queues the next changes of the scenario's churn, at least one.
func (g *Generator) kind() func() {
	switch c := g.scenario.Churn; c.Kind {
	case scenario.Burst:
		return g.burst(c.Size)
	case scenario.Rolling:
		return g.rolling(c.Size)
	case scenario.Scale:
		return g.scale(c.Size)
	case scenario.NodeLoss:
		return g.nodeLoss()
	case scenario.Services:
		return g.comeAndGo(c.Size)
	case scenario.Metadata:
		return g.metadata()
	case scenario.Restart:
		return g.interrupted(RestartProxy, c.Every.Duration)
	case scenario.HNSRestart:
		return g.interrupted(RestartHNS, c.Every.Duration)
	case scenario.Cycle:
		return g.cycle(c.Steps, c.Size, c.Every.Duration)
	default:
		return g.steady()
	}
}

// turn returns the Services in their order, over and over.
func (g *Generator) turn() func() *service {
	n := 0
	return func() *service {
		s := g.services[g.order[n%len(g.order)]]
		n++
		return s
	}
}

// replaceAny replaces a random endpoint of a Service.
func (g *Generator) replaceAny(s *service) {
	e := g.edit(s)
	slice := g.random.IntN(len(s.slices))
	e.replace(slice, g.random.IntN(len(s.slices[slice])))
	e.done()
}

func (g *Generator) steady() func() {
	next := g.turn()
	return func() {
		g.replaceAny(next())
		g.clock += g.pause()
	}
}

func (g *Generator) burst(size int) func() {
	next := g.turn()
	return func() {
		for range size {
			g.replaceAny(next())
		}
		g.clock += time.Duration(size) * g.pause()
	}
}

func (g *Generator) rolling(size int) func() {
	large := g.newService(size)
	g.services = append(g.services, large)
	n := 0
	return func() {
		// The slices have the same number of endpoints, but for one.
		slice := n % len(large.slices)
		e := g.edit(large)
		e.replace(slice, n/len(large.slices)%len(large.slices[slice]))
		e.done()
		n++
		g.clock += g.pause()
	}
}

func (g *Generator) scale(top int) func() {
	next := g.turn()
	bottom := g.scenario.Cluster.Endpoints
	s, up := next(), true
	return func() {
		if up && s.count() >= top {
			up = false
		} else if !up && s.count() <= bottom {
			s, up = next(), true
		}
		switch {
		case up:
			g.resize(s, s.count()+1)
		case s.count() > bottom:
			g.resize(s, s.count()-1)
		default: // the top is not above the bottom: nothing to scale but the same endpoint
			g.replaceAny(s)
		}
		g.clock += g.pause()
	}
}

// resize adds endpoints at the end, or removes those that came last.
func (g *Generator) resize(s *service, to int) {
	e := g.edit(s)
	for s.count() < to {
		smallest := 0
		for i := range s.slices {
			if len(s.slices[i]) < len(s.slices[smallest]) {
				smallest = i
			}
		}
		if len(s.slices[smallest]) >= maxPerSlice {
			s.slices = append(s.slices, nil)
			smallest = len(s.slices) - 1
		}
		local := g.random.Float64() < g.scenario.Cluster.LocalShare
		e.add(smallest, g.newEndpoint(local, g.random.IntN(g.scenario.Cluster.Nodes)))
	}
	for s.count() > to {
		largest := 0
		for i := range s.slices {
			if len(s.slices[i]) > len(s.slices[largest]) {
				largest = i
			}
		}
		e.remove(largest, len(s.slices[largest])-1)
	}
	e.done()
}

// nodeLoss takes the endpoints of a node from all Services, and after a while gives each of them as many on
// other nodes.
func (g *Generator) nodeLoss() func() {
	node := 0
	lost := map[*service]int{}
	return func() {
		queued := len(g.queue)
		if len(lost) == 0 {
			for _, s := range g.services {
				if n := g.evict(s, node); n > 0 {
					lost[s] = n
				}
			}
			node = (node + 1) % g.scenario.Cluster.Nodes
		} else {
			for _, s := range g.services { // in order, unlike the map
				if lost[s] == 0 {
					continue
				}
				e := g.edit(s)
				for i := range lost[s] {
					e.add(i%len(s.slices), g.newEndpoint(false, g.random.IntN(g.scenario.Cluster.Nodes)))
				}
				e.done()
			}
			clear(lost)
		}
		if len(g.queue) == queued { // a node without endpoints
			g.replaceOrTouch(g.services[0])
		}
		g.clock += time.Duration(len(g.queue)-queued) * g.pause()
	}
}

// evict removes the endpoints of a node from a Service and returns how many.
func (g *Generator) evict(s *service, node int) int {
	e := g.edit(s)
	n := 0
	for slice := range s.slices {
		for i, one := range slices.Backward(s.slices[slice]) { // so that a removal moves none that is still to come
			if !one.local && one.node == node {
				e.remove(slice, i)
				n++
			}
		}
	}
	if n > 0 {
		e.done()
	}
	return n
}

func (g *Generator) comeAndGo(size int) func() {
	var alive []*service
	return func() {
		if len(alive) < size {
			s := g.newService(g.scenario.Cluster.Endpoints)
			alive = append(alive, s)
			g.whole(s, false)
		} else {
			g.whole(alive[0], true)
			alive = alive[1:]
		}
		g.clock += g.pause()
	}
}

func (g *Generator) metadata() func() {
	next := g.turn()
	return func() {
		s := next()
		s.touched++
		g.queue = append(g.queue, Change{At: g.clock, Writes: s.sliceWrites(g.random.IntN(len(s.slices)), false)})
		g.clock += g.pause()
	}
}

// interrupted is steady with an action now and then.
func (g *Generator) interrupted(a Action, every time.Duration) func() {
	more := g.steady()
	due := every
	return func() {
		if g.clock >= due {
			g.queue = append(g.queue, Change{At: due, Action: a})
			due += every
		}
		more()
	}
}

func (g *Generator) cycle(steps []int, size int, pause time.Duration) func() {
	s := g.newService(steps[len(steps)-1])
	g.services = append(g.services, s)
	step := 0
	return func() {
		to, now := steps[step%len(steps)], s.count()
		switch {
		case now < to:
			g.resize(s, min(now+size, to))
		case now > to:
			g.resize(s, max(now-size, to))
		default: // also with one step only
			g.replaceOrTouch(s)
		}
		g.clock += g.pause()
		if s.count() == to {
			step++
			g.clock += pause
		}
	}
}

// replaceOrTouch changes a Service that keeps its number of endpoints.
func (g *Generator) replaceOrTouch(s *service) {
	for slice := range s.slices {
		if len(s.slices[slice]) > 0 {
			e := g.edit(s)
			e.replace(slice, 0)
			e.done()
			return
		}
	}
	s.touched++
	g.queue = append(g.queue, Change{At: g.clock, Writes: s.sliceWrites(0, false)})
}
