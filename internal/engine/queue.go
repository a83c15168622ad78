// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
)

// task identifies a unit of work: a frontend, the endpoints at an address, or a load balancer
// without port mappings.
type task struct {
	key hnslb.FrontendKey
	ip  netip.Addr
	id  hnslb.ID
}

func frontendTask(k hnslb.FrontendKey) task { return task{key: k} }
func endpointTask(ip netip.Addr) task       { return task{ip: ip} }

func (t task) isFrontend() bool { return !t.ip.IsValid() && t.id == "" }

func (t task) family() hnslb.Family {
	switch {
	case t.ip.IsValid():
		return hnslb.FamilyOf(t.ip)
	case t.id != "":
		return hnslb.IPv4
	}
	return t.key.Family
}

// compare orders tasks, so that equal inputs lead to equal calls.
func (t task) compare(o task) int {
	return cmp.Or(t.key.Compare(o.key), t.ip.Compare(o.ip), cmp.Compare(t.id, o.id))
}

// String returns the name of the object for logs and errors.
func (t task) String() string {
	switch {
	case t.ip.IsValid():
		return "endpoint " + t.ip.String()
	case t.id != "":
		return "load balancer " + string(t.id)
	}
	return "frontend " + t.key.String()
}

// fairness makes every eighth pop take the oldest task of any class, so that a stream of urgent
// changes cannot starve another Service or a deletion.
const fairness = 8

// queue orders tasks by class, then age. It holds each task at most once. It is not safe for
// concurrent use.
type queue struct {
	classes [plan.NumClasses][]queued
	classOf map[task]plan.Class
	seq     uint64
	pops    uint64
}

type queued struct {
	task  task
	seq   uint64
	since time.Time
}

func newQueue() *queue { return &queue{classOf: map[task]plan.Class{}} }

func (q *queue) len() int { return len(q.classOf) }

// add queues a task, or moves it to a more urgent class.
func (q *queue) add(t task, c plan.Class, now time.Time) {
	if old, ok := q.classOf[t]; ok && old <= c {
		return
	}
	q.classOf[t] = c
	q.seq++
	q.classes[c] = append(q.classes[c], queued{t, q.seq, now})
}

// oldest returns when the oldest task was queued, the zero time if the queue is empty.
func (q *queue) oldest() time.Time {
	var first time.Time
	for c := range q.classes {
		if q.trim(c); len(q.classes[c]) > 0 {
			first = earliestTime(first, q.classes[c][0].since)
		}
	}
	return first
}

// pop removes and returns the next task.
func (q *queue) pop() (task, bool) {
	t, c, ok := q.peek()
	if ok {
		q.pops++
		q.classes[c] = q.classes[c][1:]
		delete(q.classOf, t)
	}
	return t, ok
}

// peek returns the task that pop would return, and its class.
func (q *queue) peek() (task, plan.Class, bool) {
	best := -1
	for c := range q.classes {
		q.trim(c)
		if len(q.classes[c]) == 0 {
			continue
		}
		if best < 0 || q.pops%fairness == fairness-1 && q.classes[c][0].seq < q.classes[best][0].seq {
			best = c
		}
	}
	if best < 0 {
		return task{}, 0, false
	}
	return q.classes[best][0].task, plan.Class(best), true
}

// trim drops leading entries of a class whose task was popped or moved to another class.
func (q *queue) trim(c int) {
	line := q.classes[c]
	for len(line) > 0 {
		if class, ok := q.classOf[line[0].task]; ok && int(class) == c {
			break
		}
		line = line[1:]
	}
	if len(line) == 0 {
		line = nil // release the array that a first sync grew
	}
	q.classes[c] = line
}
