// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// gate stands between one start of the proxy and HNS. It kills the proxy at a call: from then
// on nothing that the proxy does reaches HNS. And it sees whether the proxy touches what is
// not its own.
type gate struct {
	// driver reaches HNS through the gate.
	driver hnslb.Driver
	// foreign tells what an object of others is called, "" for one that may be the proxy's.
	foreign func(hnslb.ID) string

	mu sync.Mutex
	// left counts the calls until the proxy dies, when die is set; late lets the last call
	// reach HNS.
	left      int
	die, late bool
	dead      chan struct{}
	touched   []string
	// instant is the virtual time of the last call, crowd how many there were at that time.
	instant time.Time
	crowd   int
	spins   bool
	// minutes counts the calls of each minute, busiest is the most of them.
	minutes map[time.Time]int
	busiest int
}

// mostPerMinute is how many calls a proxy may make in a minute, whatever goes wrong: HNS serves
// the network plugin too. A history changes a few dozen objects.
const mostPerMinute = 1000

// maxCallsAtOnce is how many calls a proxy may make in no time. One that makes more works on
// itself: time will not go on.
const maxCallsAtOnce = 10_000

var errDead = errors.New("the proxy was killed")

func newGate(inner hnslb.Driver, foreign func(hnslb.ID) string) *gate {
	g := &gate{foreign: foreign, dead: make(chan struct{}), minutes: map[time.Time]int{}}
	g.driver = hnslb.Intercept(inner, g.around)
	return g
}

// kill lets the proxy die at the n-th call from now: before it, or after HNS carried it out.
func (g *gate) kill(n int, late bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.die, g.late = max(n, 1), true, late
}

// cut lets the proxy die now.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end()
}

// end is called with the lock held.
func (g *gate) end() {
	if !g.isDead() {
		close(g.dead)
	}
}

func (g *gate) isDead() bool {
	select {
	case <-g.dead:
		return true
	default:
		return false
	}
}

// admit counts a call. It tells whether the call reaches HNS, and whether it is the last.
func (g *gate) admit() (through, last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isDead() {
		return false, true
	}
	now := time.Now()
	g.minutes[now.Truncate(time.Minute)]++
	g.busiest = max(g.busiest, g.minutes[now.Truncate(time.Minute)])
	if !now.Equal(g.instant) {
		g.instant, g.crowd = now, 0
	}
	if g.crowd++; g.crowd > maxCallsAtOnce {
		g.spins = true
		g.end()
		return false, true
	}
	if !g.die {
		return true, false
	}
	if g.left--; g.left > 0 {
		return true, false
	}
	if !g.late {
		g.end()
	}
	return g.late, true
}

// touch notes a write about an object.
func (g *gate) touch(v hnslb.Verb, id hnslb.ID) {
	if name := g.foreign(id); name != "" {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.touched = append(g.touched, fmt.Sprintf("%s of %s (%s)", v, name, id))
	}
}

// broken returns what the proxy touched of others.
func (g *gate) broken() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.touched...)
}

// around makes a call, unless the proxy died.
func (g *gate) around(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
	gone := &hnslb.Error{Verb: c.Verb, Object: "any", Class: hnslb.Timeout, Err: errDead}
	admitted, last := g.admit()
	if !admitted {
		return nil, gone
	}
	switch about := c.Argument.(type) {
	case hnslb.ID:
		g.touch(c.Verb, about)
	case hnslb.LoadBalancer:
		if c.Verb == hnslb.VerbUpdateLoadBalancer {
			g.touch(c.Verb, about.ID)
		}
	}
	out, err := next(ctx)
	if last {
		g.cut()
	}
	if g.isDead() {
		return nil, gone
	}
	return out, err
}
