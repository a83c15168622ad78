// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// FrontendState is how far a frontend is.
type FrontendState string

// The states of a frontend.
const (
	// Programmed: HNS holds it as desired.
	Programmed FrontendState = "programmed"
	// Pending: it is about to be written, or part of it waits for something.
	Pending FrontendState = "pending"
	// Blocked: it cannot be programmed until something else changes.
	Blocked FrontendState = "blocked"
	// Failing: HNS refused it; it is tried again.
	Failing FrontendState = "failing"
)

// FrontendStates lists the states.
func FrontendStates() []FrontendState {
	return []FrontendState{Programmed, Pending, Blocked, Failing}
}

// FrontendStatus is what a person wants to know of one frontend.
type FrontendStatus struct {
	Frontend *desired.Frontend
	State    FrontendState
	// Reason and Message say why it is in this state, if it is not simply programmed.
	Reason  desired.Reason
	Message string
	// Since is when it came into this state for this reason.
	Since time.Time
}

// Notes say all that keeps the frontend from being in force as its Service asks.
func (s FrontendStatus) Notes() []desired.Note {
	return s.Frontend.Notes(desired.Note{Reason: s.Reason, Message: s.Message})
}

// claim identifies a status: two Services may claim one frontend.
type claim struct {
	service services.Name
	key     hnslb.FrontendKey
}

// Table is the status of all frontends. It is safe for concurrent use: the loop writes,
// servers read.
type Table struct {
	mu   sync.Mutex
	rows map[claim]FrontendStatus
}

func newTable() *Table { return &Table{rows: map[claim]FrontendStatus{}} }

// Rows returns all statuses in order of Service, kind and frontend.
func (t *Table) Rows() []FrontendStatus {
	t.mu.Lock()
	out := make([]FrontendStatus, 0, len(t.rows))
	for _, r := range t.rows {
		out = append(out, r)
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b FrontendStatus) int {
		return cmp.Or(
			services.CompareNames(a.Frontend.Service, b.Frontend.Service),
			cmp.Compare(a.Frontend.Kind, b.Frontend.Kind),
			a.Frontend.Key.Compare(b.Frontend.Key))
	})
	return out
}

// Counts returns how many frontends are in each state.
func (t *Table) Counts() map[FrontendState]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := map[FrontendState]int{}
	for _, s := range FrontendStates() {
		counts[s] = 0
	}
	for _, r := range t.rows {
		counts[r.State]++
	}
	return counts
}

// set stores a status and tells whether state or reason are new.
func (t *Table) set(f *desired.Frontend, s FrontendState, n desired.Note, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := claim{f.Service, f.Key}
	old, ok := t.rows[c]
	fresh := FrontendStatus{Frontend: f, State: s, Reason: n.Reason, Message: n.Message, Since: now}
	same := ok && old.State == s && old.Reason == n.Reason
	if same {
		fresh.Since = old.Since
	}
	t.rows[c] = fresh
	return !same
}

// refresh stores a frontend whose state did not change, and tells whether it was known.
func (t *Table) refresh(f *desired.Frontend) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := claim{f.Service, f.Key}
	row, ok := t.rows[c]
	if ok {
		row.Frontend = f
		t.rows[c] = row
	}
	return ok
}

func (t *Table) remove(service services.Name, key hnslb.FrontendKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, claim{service, key})
}
