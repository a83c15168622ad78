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

// Store keeps the latest Services and EndpointSlices, and which Services changed since
// they were last taken. It is safe for concurrent use: informers write, the loop takes.
type Store struct {
	node string
	// started is when this process began: older triggers are of changes that somebody
	// else programmed, and would poison the latency histogram after a restart.
	started time.Time
	changed chan struct{}

	mu sync.Mutex
	// onChange hears of each change at once; nil for nobody.
	onChange func(Input)
	entries  map[Name]*entry
	dirty    sets.Set[Name]
}

// entry is one Service with its slices. Either may exist without the other: their
// watches are independent.
type entry struct {
	service  *Service
	slices   map[string]*Slice
	triggers []time.Time
}

// Input is a Service to compute, with all its slices.
type Input struct {
	Name Name
	// Service is nil when there is none to proxy.
	Service *Service
	// Slices in order of their names.
	Slices []*Slice
	// Triggers are the times of the endpoint changes that this input carries.
	Triggers []time.Time
}

// NewStore makes an empty store for the node of that name. started is the time before
// which endpoint changes are not ours to measure.
func NewStore(node string, started time.Time) *Store {
	return &Store{
		node:    node,
		started: started,
		changed: make(chan struct{}, 1),
		entries: map[Name]*entry{},
		dirty:   sets.New[Name](),
	}
}

// Follow makes f hear of each Service that becomes dirty, at once and in the order of the
// changes, without the triggers. f runs under the lock of the store: it must return soon
// and not call the store. Follow must be called before the store is filled.
func (s *Store) Follow(f func(Input)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = f
}

// Changed gets a value when something became dirty since the last value was read.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// SetService stores a Service that was added or updated. It returns what of the object
// could not be understood, and whether anything that matters changed.
func (s *Store) SetService(obj *corev1.Service) (bool, error) {
	svc, err := ReadService(obj)
	return s.PutService(Name{Namespace: obj.Namespace, Name: obj.Name}, svc), err
}

// DeleteService forgets a Service.
func (s *Store) DeleteService(name Name) bool { return s.PutService(name, nil) }

// PutService stores what ReadService made of an object, nil included. It returns whether
// anything that matters changed. The Service must not be changed afterwards.
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

// SetSlice stores an EndpointSlice that was added or updated. It returns what of the
// object could not be understood, and whether anything that matters changed.
func (s *Store) SetSlice(old, obj *discoveryv1.EndpointSlice) (bool, error) {
	slice, err := s.ReadSlice(obj)
	var was *Slice
	if old != nil {
		was = &Slice{Name: old.Name, Service: serviceOf(old)}
	}
	return s.PutSlice(was, slice), err
}

// DeleteSlice forgets an EndpointSlice.
func (s *Store) DeleteSlice(obj *discoveryv1.EndpointSlice) bool {
	return s.PutSlice(&Slice{Name: obj.Name, Service: serviceOf(obj)}, nil)
}

// ReadSlice converts an EndpointSlice and stores nothing. The error says what of the
// object could not be understood; the rest can be used. The result is nil for a slice
// that serves no Service here.
func (s *Store) ReadSlice(obj *discoveryv1.EndpointSlice) (*Slice, error) {
	slice, errs := convertSlice(obj, s.node)
	return slice, errs.ToAggregate()
}

// PutSlice stores what ReadSlice made of an object, in place of what it made of the
// version before; either may be nil. It returns whether anything that matters changed. The
// slice must not be changed afterwards.
//
// The trigger of a slice that goes does not count: it tells of the last change before.
func (s *Store) PutSlice(old, slice *Slice) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	if old != nil && (slice == nil || old.Service != slice.Service) {
		// The label that names the Service may move a slice from one to another.
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

// removeSlice is called with the lock held.
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

// MarkAll makes every Service dirty, for a change that concerns all: of the node or of
// the network.
func (s *Store) MarkAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.entries {
		s.markDirty(name)
	}
}

// Mark makes some Services dirty.
func (s *Store) Mark(names ...Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.markDirty(name)
	}
}

// Take returns the Services that changed since the last call, in order of their names.
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

// input is called with the lock held.
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
