// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"maps"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Handles are the handles that clients opened and did not close, by kind: Network,
// Endpoint, LoadBalancer, Callback. A stop of HNS ends all of them.
type Handles struct {
	// Open are all of them. A process that has ended leaves its handles here until
	// Server.DropHandles; Windows would close them, but a leak would not be seen.
	Open map[string]int
	// AfterFailure are those of Open with which a call failed. hcsshim v0.15.0 closes no
	// handle once a call with it has failed, so these are its leaks and not its caller's.
	AfterFailure map[string]int
}

// Leaked counts the open handles that no failed call explains. It is right when no call
// is on its way.
func (h Handles) Leaked() int {
	n := 0
	for kind, open := range h.Open {
		n += open - h.AfterFailure[kind]
	}
	return n
}

// handle is what a client's handle stands for.
type handle struct {
	kind string
	id   hnslb.ID
	// stops is how often HNS had been stopped when the handle was opened: the service
	// forgets handles, so an older one is invalid.
	stops  int
	failed bool
}

// handles is the table of open handles. The zero value is empty.
type handles struct {
	mu   sync.Mutex
	open map[uint64]handle
	last uint64
}

// add opens a handle. Its value looks like a pointer and is never used again.
func (t *handles) add(h handle) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]handle{}
	}
	t.last += 0x10
	t.open[t.last] = h
	return t.last
}

// get returns the object of a handle.
func (t *handles) get(value uint64, kind string, stops int) (hnslb.ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.open[value]
	if !ok || h.kind != kind || h.stops != stops {
		return "", refuse(resultInvalidHandle, "")
	}
	return h.id, nil
}

// fail remembers that a call with the handle failed.
func (t *handles) fail(value uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.open[value]; ok {
		h.failed = true
		t.open[value] = h
	}
}

func (t *handles) close(value uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, value)
}

// count returns the handles that have been valid since the last stop.
func (t *handles) count(stops int) Handles {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Handles{Open: map[string]int{}, AfterFailure: map[string]int{}}
	maps.DeleteFunc(t.open, func(_ uint64, h handle) bool { return h.stops != stops })
	for _, h := range t.open {
		c.Open[h.kind]++
		if h.failed {
			c.AfterFailure[h.kind]++
		}
	}
	return c
}

func (t *handles) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.open)
}
