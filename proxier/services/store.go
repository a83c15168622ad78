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

	mu      sync.Mutex
	entries map[Name]*entry
	dirty   sets.Set[Name]
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

// Changed gets a value when something became dirty since the last value was read.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// SetService stores a Service that was added or updated. It returns what of the object
// could not be understood, and whether anything that matters changed.
func (s *Store) SetService(obj *corev1.Service) (bool, error) {
	svc, errs := convertService(obj)
	return s.putService(Name{Namespace: obj.Namespace, Name: obj.Name}, svc), errs.ToAggregate()
}

// DeleteService forgets a Service.
func (s *Store) DeleteService(name Name) bool { return s.putService(name, nil) }

func (s *Store) putService(name Name, svc *Service) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(name)
	defer s.prune(name, e)
	if e.service.Equal(svc) {
		return false
	}
	e.service = svc
	s.markDirty(name)
	return true
}

// SetSlice stores an EndpointSlice that was added or updated. It returns what of the
// object could not be understood, and whether anything that matters changed.
func (s *Store) SetSlice(old, obj *discoveryv1.EndpointSlice) (bool, error) {
	slice, errs := convertSlice(obj, s.node)
	if old != nil {
		// The label that names the Service may move a slice from one to another.
		if was := serviceOf(old); slice == nil || was != slice.Service {
			s.DeleteSlice(old)
		}
	}
	if slice == nil {
		return false, errs.ToAggregate()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(slice.Service)
	if e.slices[slice.Name].Equal(slice) {
		return false, errs.ToAggregate()
	}
	e.slices[slice.Name] = slice
	if t := triggerOf(obj.Annotations); t.After(s.started) {
		e.triggers = append(e.triggers, t)
	}
	s.markDirty(slice.Service)
	return true, errs.ToAggregate()
}

// DeleteSlice forgets an EndpointSlice. Its trigger time does not count: it tells of the
// last change before the deletion.
func (s *Store) DeleteSlice(obj *discoveryv1.EndpointSlice) bool {
	name := serviceOf(obj)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(name)
	defer s.prune(name, e)
	if _, ok := e.slices[obj.Name]; !ok {
		return false
	}
	delete(e.slices, obj.Name)
	s.markDirty(name)
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

// Take returns the Services that changed since the last call, in order of their names.
func (s *Store) Take() []Input {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Input, 0, len(s.dirty))
	for name := range s.dirty {
		in := Input{Name: name}
		if e := s.entries[name]; e != nil {
			in.Service, in.Triggers = e.service, e.triggers
			in.Slices = slices.SortedFunc(maps.Values(e.slices), func(a, b *Slice) int { return cmp.Compare(a.Name, b.Name) })
			e.triggers = nil
		}
		out = append(out, in)
	}
	clear(s.dirty)
	slices.SortFunc(out, func(a, b Input) int { return CompareNames(a.Name, b.Name) })
	return out
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
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
