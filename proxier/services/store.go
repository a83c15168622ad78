// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Store holds the latest Services and EndpointSlices, and which Services have changed since they
// were last taken. It is safe for concurrent use: informers write, the loop takes.
type Store struct {
	node string
	// started is when this process started. Earlier triggers belong to changes that another process
	// programmed, and would distort the latency histogram after a restart.
	started time.Time
	changed chan struct{}

	mu sync.Mutex
	// onChange is called for each change; nil for none.
	onChange func(Input)
	entries  map[Name]*entry
	dirty    sets.Set[Name]
}

// entry is one Service with its slices. Either may exist without the other, since their watches are
// independent.
type entry struct {
	service  *Service
	slices   map[string]*Slice
	triggers []time.Time
}

// Input is a Service with all its slices, from which frontends are computed.
type Input struct {
	Name Name
	// Service is nil if it does not exist or is not proxied.
	Service *Service
	// Slices, ordered by name.
	Slices []*Slice
	// Triggers are the times of the endpoint changes in this input.
	Triggers []time.Time
}

// NewStore returns an empty store for the named node. The latency of endpoint changes before
// started is not measured.
func NewStore(node string, started time.Time) *Store {
	return &Store{
		node:    node,
		started: started,
		changed: make(chan struct{}, 1),
		entries: map[Name]*entry{},
		dirty:   sets.New[Name](),
	}
}

// Follow calls f for each change of a Service, in order and without triggers. f is called with the
// store locked, so it must return quickly and not call the store. Follow must be called before the
// store is filled.
func (s *Store) Follow(f func(Input)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = f
}

// Changed returns a channel that receives a value if a Service has changed since the last value was
// read.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// SetService stores a Service that was added or updated. It returns whether a relevant value
// changed, and the invalid fields as an error.
func (s *Store) SetService(obj *corev1.Service) (bool, error) {
	svc, err := ReadService(obj)
	return s.PutService(Name{Namespace: obj.Namespace, Name: obj.Name}, svc), err
}

// DeleteService deletes a Service and returns whether it existed.
func (s *Store) DeleteService(name Name) bool { return s.PutService(name, nil) }

// PutService stores a result of ReadService, which may be nil, and returns whether a relevant value
// changed. The Service must not be modified afterwards.
func (s *Store) PutService(name Name, svc *Service) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(name)
	defer s.prune(name, e)
	same := e.service.Equal(svc)
	// Also when it is the same: informers keep the new one, and once is enough.
	e.service = svc
	if !same {
		s.markDirty(name)
	}
	return !same
}

// SetSlice stores an EndpointSlice that was added or updated; old is nil for an added one. It
// returns whether a relevant value changed, and the invalid fields as an error.
func (s *Store) SetSlice(old, obj *discoveryv1.EndpointSlice) (bool, error) {
	slice, err := s.ReadSlice(obj)
	var was *Slice
	if old != nil {
		was = &Slice{Name: old.Name, Service: serviceOf(old)}
	}
	return s.PutSlice(was, slice), err
}

// DeleteSlice deletes an EndpointSlice and returns whether it existed.
func (s *Store) DeleteSlice(obj *discoveryv1.EndpointSlice) bool {
	return s.PutSlice(&Slice{Name: obj.Name, Service: serviceOf(obj)}, nil)
}

// ReadSlice converts an EndpointSlice without storing it. The error names the invalid fields; the
// result is usable without them. The result is nil for a slice without a Service.
func (s *Store) ReadSlice(obj *discoveryv1.EndpointSlice) (*Slice, error) {
	slice, errs := convertSlice(obj, s.node)
	return slice, errs.ToAggregate()
}

// PutSlice replaces old by slice, both results of ReadSlice; either may be nil. It returns whether
// a relevant value changed. The slice must not be modified afterwards.
//
// The trigger of a deleted slice is ignored, since it belongs to an earlier change.
func (s *Store) PutSlice(old, slice *Slice) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	if old != nil && (slice == nil || old.Service != slice.Service) {
		// A change of the Service label moves the slice to another Service.
		changed = s.removeSlice(old)
	}
	if slice == nil {
		return changed
	}
	e := s.entry(slice.Service)
	same := e.slices[slice.Name].Equal(slice)
	// Also when it is the same: informers keep the new one, and once is enough.
	e.slices[slice.Name] = slice
	if same {
		return changed
	}
	if slice.Trigger.After(s.started) {
		e.triggers = append(e.triggers, slice.Trigger)
	}
	s.markDirty(slice.Service)
	return true
}

// removeSlice must be called with the lock held.
func (s *Store) removeSlice(slice *Slice) bool {
	e := s.entry(slice.Service)
	defer s.prune(slice.Service, e)
	if _, ok := e.slices[slice.Name]; !ok {
		return false
	}
	delete(e.slices, slice.Name)
	s.markDirty(slice.Service)
	return true
}

func serviceOf(obj *discoveryv1.EndpointSlice) Name {
	return Name{Namespace: obj.Namespace, Name: obj.Labels[discoveryv1.LabelServiceName]}
}

// MarkAll marks every Service as changed, after a change of the node or network that affects all of
// them.
func (s *Store) MarkAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.entries {
		s.markDirty(name)
	}
}

// Mark marks Services as changed.
func (s *Store) Mark(names ...Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.markDirty(name)
	}
}

// Take returns the Services that have changed since the last call, ordered by name.
func (s *Store) Take() []Input {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Input, 0, len(s.dirty))
	for name := range s.dirty {
		in := s.input(name)
		if e := s.entries[name]; e != nil {
			in.Triggers, e.triggers = e.triggers, nil
		}
		out = append(out, in)
	}
	clear(s.dirty)
	slices.SortFunc(out, func(a, b Input) int { return CompareNames(a.Name, b.Name) })
	return out
}

// input must be called with the lock held.
func (s *Store) input(name Name) Input {
	in := Input{Name: name}
	if e := s.entries[name]; e != nil {
		in.Service = e.service
		in.Slices = slices.SortedFunc(maps.Values(e.slices), func(a, b *Slice) int { return cmp.Compare(a.Name, b.Name) })
	}
	return in
}

// CompareNames orders by namespace, then name.
func CompareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func (s *Store) entry(name Name) *entry {
	e := s.entries[name]
	if e == nil {
		e = &entry{slices: map[string]*Slice{}}
		s.entries[name] = e
	}
	return e
}

func (s *Store) prune(name Name, e *entry) {
	if e.service == nil && len(e.slices) == 0 {
		delete(s.entries, name)
	}
}

func (s *Store) markDirty(name Name) {
	s.dirty.Insert(name)
	if s.onChange != nil {
		s.onChange(s.input(name))
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
