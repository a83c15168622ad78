// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/engine"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// FrontendState is the state of a frontend.
type FrontendState = engine.FrontendState

// The states of a frontend.
const (
	// Programmed: HNS has the frontend as desired.
	Programmed = engine.Programmed
	// Pending: the frontend is about to be written, or part of it waits for something.
	Pending = engine.Pending
	// Blocked: the frontend cannot be programmed until something else changes.
	Blocked = engine.Blocked
	// Failing: HNS refused the frontend; it is retried.
	Failing = engine.Failing
)

// FrontendStates lists the states.
func FrontendStates() []FrontendState {
	return []FrontendState{Programmed, Pending, Blocked, Failing}
}

// FrontendStatus is the status of a frontend.
type FrontendStatus struct {
	Frontend *desired.Frontend
	State    FrontendState
	// Reason and Message explain the state, unless it is simply programmed.
	Reason  desired.Reason
	Message string
	// Since is when State or Reason last changed.
	Since time.Time
}

// Notes returns everything that keeps the frontend from working as its Service specifies.
func (s FrontendStatus) Notes() []desired.Note {
	return s.Frontend.Notes(desired.Note{Reason: s.Reason, Message: s.Message})
}

// tableKey identifies a row: two Services may claim the same frontend.
type tableKey struct {
	service services.Name
	key     hnslb.FrontendKey
}

// Table holds the status of all frontends. It is safe for concurrent use: the loop writes, servers
// read.
type Table struct {
	mu   sync.Mutex
	rows map[tableKey]tableRow
}

type tableRow struct {
	FrontendStatus
	// logged is the frontend as last logged, nil for never.
	logged *desired.Frontend
}

func newTable() *Table { return &Table{rows: map[tableKey]tableRow{}} }

// Rows returns the status of all frontends, ordered by Service, kind and frontend.
func (t *Table) Rows() []FrontendStatus {
	t.mu.Lock()
	out := make([]FrontendStatus, 0, len(t.rows))
	for _, r := range t.rows {
		out = append(out, r.FrontendStatus)
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

// Counts returns the number of frontends in each state.
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

// set stores a status. It returns the frontend as last logged, and whether state or reason changed.
// A transient state does not count as logged.
func (t *Table) set(s engine.FrontendStatus, now time.Time) (logged *desired.Frontend, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := tableKey{s.Frontend.Service, s.Frontend.Key}
	old, ok := t.rows[c]
	fresh := tableRow{FrontendStatus{Frontend: s.Frontend, State: s.State, Reason: s.Note.Reason, Message: s.Note.Message, Since: now}, old.logged}
	same := ok && old.State == s.State && old.Reason == s.Note.Reason
	if same {
		fresh.Since = old.Since
	} else if !transient(s) {
		fresh.logged = s.Frontend
	}
	t.rows[c] = fresh
	return old.logged, !same
}

// transient returns whether a state lasts only until the next writes.
func transient(s engine.FrontendStatus) bool { return s.State == Pending && s.Note.Reason == "" }

// refresh stores a frontend whose state has not changed.
func (t *Table) refresh(f *desired.Frontend) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := tableKey{f.Service, f.Key}
	if row, ok := t.rows[c]; ok {
		row.Frontend = f
		t.rows[c] = row
	}
}

// remove deletes a frontend and returns it as last logged.
func (t *Table) remove(service services.Name, key hnslb.FrontendKey) (logged *desired.Frontend) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := tableKey{service, key}
	logged = t.rows[c].logged
	delete(t.rows, c)
	return logged
}

// size returns the number of frontends.
func (t *Table) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rows)
}
