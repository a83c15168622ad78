// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"cmp"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
)

// logLimit is how many changes of a resource a watch may fall behind before it has to list
// again.
const logLimit = 16384

// store keeps the objects that files give, and the latest changes, as an API server does
// for its watches. Objects in it stay as they are; who hands one out copies it.
type store struct {
	mu sync.Mutex
	// revision numbers the changes of all resources. It is the resource version, in
	// place of the one in the files, which is another server's.
	revision int64
	shelves  map[Resource]*shelf
	// changed is closed and replaced with every change.
	changed chan struct{}
}

// shelf has one resource.
type shelf struct {
	objects map[key]stored
	// log has the latest changes, oldest first.
	log []change
	// dropped is the revision of the latest change that is no longer in the log.
	dropped int64
	limit   int
}

// stored is an object with its revision, and the same as the file gave it.
type stored struct {
	object, source object
}

// change is one change of one object. old is nil when it was added, new when it was
// deleted.
type change struct {
	revision int64
	old, new object
}

// newStore makes a store whose watches may fall limit changes behind. The first revision
// is 1, since a watch from 0 means "from anything".
func newStore(limit int) *store {
	s := &store{shelves: map[Resource]*shelf{}, revision: 1, changed: make(chan struct{})}
	for _, r := range allResources() {
		s.shelves[r] = &shelf{objects: map[key]stored{}, limit: limit}
	}
	return s
}

// apply adds or replaces objects, removes others, and returns how many changed. An object
// that is as before makes no change.
func (s *store) apply(put []entry, remove []key) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.revision
	for _, k := range remove {
		s.remove(k)
	}
	for _, e := range put {
		s.put(e)
	}
	if s.revision != before {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return int(s.revision - before)
}

func (s *store) remove(k key) {
	shelf := s.shelves[k.resource]
	old, there := shelf.objects[k]
	if !there {
		return
	}
	s.revision++
	delete(shelf.objects, k)
	shelf.append(change{revision: s.revision, old: old.object})
}

func (s *store) put(e entry) {
	shelf := s.shelves[e.resource]
	old, there := shelf.objects[e.key]
	if there && (old.source == e.object || equality.Semantic.DeepEqual(old.source, e.object)) {
		// An object of a file that did not change is the very same next time.
		shelf.objects[e.key] = stored{object: old.object, source: e.object}
		return
	}
	s.revision++
	next := stored{object: atRevision(e.object, s.revision), source: e.object}
	shelf.objects[e.key] = next
	shelf.append(change{revision: s.revision, old: old.object, new: next.object})
}

// append forgets the oldest half of the log once it is twice as long as it need be.
func (sh *shelf) append(c change) {
	if len(sh.log) >= 2*sh.limit {
		cut := len(sh.log) - sh.limit
		sh.dropped = sh.log[cut-1].revision
		sh.log = slices.Clone(sh.log[cut:])
	}
	sh.log = append(sh.log, c)
}

// list returns the objects of a resource, in the order of their names, and the revision
// they are of.
func (s *store) list(r Resource) ([]object, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]object, 0, len(s.shelves[r].objects))
	for _, o := range s.shelves[r].objects {
		out = append(out, o.object)
	}
	slices.SortFunc(out, func(a, b object) int { return keyOf(r, a).compare(keyOf(r, b)) })
	return out, s.revision
}

// since returns the changes of a resource after a revision, or, when there are none, a
// channel that is closed with the next change of any resource. It is false when changes
// since then are forgotten, or the revision is still to come.
func (s *store) since(r Resource, revision int64) ([]change, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shelf := s.shelves[r]
	if revision < shelf.dropped || revision > s.revision {
		return nil, nil, false
	}
	from, _ := slices.BinarySearchFunc(shelf.log, revision+1, func(c change, rev int64) int {
		return cmp.Compare(c.revision, rev)
	})
	return slices.Clone(shelf.log[from:]), s.changed, true
}

// versionOf writes a revision as a resource version.
func versionOf(revision int64) string { return strconv.FormatInt(revision, 10) }
