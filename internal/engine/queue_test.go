// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
)

func numbered(port uint16) task {
	return frontendTask(hnslb.FrontendKey{Family: hnslb.IPv4, Protocol: hnslb.TCP, Port: port})
}

func TestQueueOrder(t *testing.T) {
	q := newQueue()
	q.add(numbered(1), plan.Leftover, time.Time{})
	q.add(numbered(2), plan.Missing, time.Time{})
	q.add(numbered(3), plan.Critical, time.Time{})
	q.add(numbered(4), plan.Missing, time.Time{})
	q.add(numbered(4), plan.Missing, time.Time{})  // already there
	q.add(numbered(1), plan.Changed, time.Time{})  // moves forward
	q.add(numbered(2), plan.Leftover, time.Time{}) // does not move back
	for i, want := range []uint16{3, 2, 4, 1} {
		if got, ok := q.pop(); !ok || got != numbered(want) {
			t.Fatalf("pop %d is %s, %v, want frontend %d", i, got, ok, want)
		}
	}
	if got, ok := q.pop(); ok || q.len() != 0 {
		t.Errorf("an empty queue gave %s and says it holds %d", got, q.len())
	}
}

// TestQueueTakesBack: a task that was taken may come again, into any class.
func TestQueueTakesBack(t *testing.T) {
	q := newQueue()
	q.add(numbered(1), plan.Leftover, time.Time{})
	q.add(numbered(1), plan.Critical, time.Time{})
	q.pop()
	q.add(numbered(1), plan.Leftover, time.Time{})
	if got, ok := q.pop(); !ok || got != numbered(1) {
		t.Fatalf("got %s, %v", got, ok)
	}
	if _, ok := q.pop(); ok || q.len() != 0 {
		t.Error("the task came twice")
	}
}

// TestQueueStarvesNobody: an endless stream of urgent tasks does not hold up an old one
// for longer than one round of the fairness rule.
func TestQueueStarvesNobody(t *testing.T) {
	q := newQueue()
	q.add(numbered(9), plan.LeftoverEndpoint, time.Time{})
	for i := range fairness {
		q.add(numbered(uint16(100+2*i)), plan.Critical, time.Time{})
		q.add(numbered(uint16(101+2*i)), plan.Missing, time.Time{})
		if got, _ := q.pop(); got == numbered(9) {
			return
		}
	}
	t.Errorf("%d pops did not take the oldest task", fairness)
}
