// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
)

// Options say which files are read, and how.
type Options struct {
	// Paths are files, directories, and "-" for standard input. Of a directory the files
	// *.yaml, *.yml and *.json are read, not those of its directories. Of two objects of
	// one name the one under the earlier path counts.
	Paths []string
	// Stdin is what "-" means.
	Stdin io.Reader
	// Validate says what a proxy cannot use in an object; such an object is refused. It
	// may return an aggregate of errors and field errors. nil lets everything pass.
	Validate func(runtime.Object) error
	// OnError hears of each *Error once, until it is corrected and made again. It is
	// called by one goroutine at a time. nil for nobody.
	OnError func(error)
	// OnChange hears of each object that was added (old is nil), changed, or removed (obj is
	// nil); of the first ones before Open returns. It is called by one goroutine at a time and
	// must not change the objects. nil for nobody.
	OnChange func(r Resource, old, obj metav1.Object)
	// Settle is how long files must have been quiet before they are read; 100 ms if zero.
	Settle time.Duration
	// Grace is how long a file must not have changed before what is missing in it goes, or
	// before it may be shorter than it was; 1 s if zero.
	Grace time.Duration
	// Poll is how often files are read although nothing was heard of a change, since
	// not every file system tells; 10 s if zero.
	Poll time.Duration
}

func (o *Options) complete() {
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.OnChange == nil {
		o.OnChange = func(Resource, metav1.Object, metav1.Object) {}
	}
	if o.Settle <= 0 {
		o.Settle = 100 * time.Millisecond
	}
	if o.Grace <= 0 {
		o.Grace = time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 10 * time.Second
	}
}

// Objects are what files say at one moment, in the order of the files. They belong to the
// caller.
type Objects struct {
	Services       []*corev1.Service
	EndpointSlices []*discoveryv1.EndpointSlice
	Nodes          []*corev1.Node
}

// Read reads the files once. The objects are those that can be used, whatever the errors,
// each of which is an *Error; see IsWarning.
func Read(ctx context.Context, o Options) (Objects, []error) {
	o.complete()
	m := merge(newReader(o).read(time.Now()))
	logSkipped(ctx, m.skipped)
	var out Objects
	for _, k := range m.order {
		switch object := m.objects[k].object.(type) {
		case *corev1.Service:
			out.Services = append(out.Services, object)
		case *discoveryv1.EndpointSlice:
			out.EndpointSlices = append(out.EndpointSlices, object)
		case *corev1.Node:
			out.Nodes = append(out.Nodes, object)
		}
	}
	errs := make([]error, 0, len(m.problems))
	for _, e := range m.problems {
		errs = append(errs, e)
	}
	return out, errs
}

// Source keeps what files say up to date, and tells of each change.
type Source struct {
	mu sync.Mutex
	// objects stay as they are; a change replaces one.
	objects map[key]object

	// All below belongs to Open, and then to Run.
	options Options
	reader  *reader
	// from says which file each object came from.
	from map[key]string
	// doomed are objects that the last look missed, and since when; they go when they
	// have been missed for the time of grace.
	doomed  map[key]time.Time
	said    map[string]bool
	skipped string
}

// Open reads the files. Objects that are wrong go to OnError and fail nothing; an error
// means that one of the paths cannot be read.
func Open(ctx context.Context, o Options) (*Source, error) {
	if len(o.Paths) == 0 {
		return nil, errors.New("open objects: no file given")
	}
	s := newSource(o)
	now := time.Now()
	files, unread := s.reader.read(now)
	for _, e := range unread {
		if slices.Contains(s.reader.paths, e.Place.File) {
			e.Remedy = "specify a readable file or directory"
			return nil, fmt.Errorf("open objects: %w", e)
		}
	}
	s.take(ctx, merge(files, unread), now)
	return s, nil
}

// newSource makes a source that has not looked yet.
func newSource(o Options) *Source {
	o.complete()
	return &Source{
		objects: map[key]object{}, options: o, reader: newReader(o),
		from: map[key]string{}, doomed: map[key]time.Time{},
	}
}

// Get returns an object, which must stay as it is; nil if there is none. It may be called
// from any goroutine.
func (s *Source) Get(r Resource, namespace, name string) metav1.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key{resource: r, namespace: namespace, name: name}]
}

// look reads the files and brings the objects up to date. It tells whether time alone may
// change what counts, so that another look is due.
func (s *Source) look(ctx context.Context) bool {
	now := time.Now()
	m := merge(s.reader.read(now))
	s.take(ctx, m, now)
	return m.doubted || len(s.doomed) > 0
}

// take brings the objects up to what the files said at a time.
func (s *Source) take(ctx context.Context, m merged, now time.Time) {
	s.report(m.problems)
	if text := skippedText(m.skipped); text != s.skipped {
		logSkipped(ctx, m.skipped)
		s.skipped = text
	}
	changed := 0
	for _, k := range s.gone(&m, now) {
		changed += s.set(k, nil)
	}
	for _, k := range m.order {
		s.from[k] = m.objects[k].at.File
		changed += s.set(k, m.objects[k].object)
	}
	if changed > 0 {
		klog.FromContext(ctx).V(2).Info("Object files changed", "changes", changed, "objects", len(m.order))
	}
}

// set puts an object in place, nil for none, and returns the number of changes: 0 for an
// object that is as before.
func (s *Source) set(k key, o object) int {
	s.mu.Lock()
	old := s.objects[k]
	if s.objects[k] = o; o == nil {
		delete(s.objects, k)
	}
	s.mu.Unlock()
	// An object of a file that did not change is the very same.
	if old == o || equality.Semantic.DeepEqual(old, o) {
		return 0
	}
	s.options.OnChange(k.resource, old, o)
	return 1
}

// gone returns the objects that have been missed for the time of grace, in which the file
// that gave them did not change.
func (s *Source) gone(m *merged, now time.Time) []key {
	var out []key
	doomed := map[key]time.Time{}
	for k, file := range s.from {
		if !m.missing(k, file) {
			continue
		}
		since, known := s.doomed[k]
		if changed := m.since[file]; !known || changed.After(since) {
			since = now
		}
		if now.Sub(since) < s.options.Grace {
			doomed[k] = since
			continue
		}
		out = append(out, k)
		delete(s.from, k)
	}
	s.doomed = doomed
	slices.SortFunc(out, key.compare)
	return out
}

// report says what is wrong and was not wrong at the last look.
func (s *Source) report(problems []*Error) {
	now := map[string]bool{}
	for _, e := range problems {
		text := e.Error()
		if !s.said[text] && !now[text] {
			s.options.OnError(e)
		}
		now[text] = true
	}
	s.said = now
}

// skippedText prints "ConfigMap 3, Pod 9".
func skippedText(skipped map[string]int) string {
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(skipped)) {
		out = append(out, fmt.Sprintf("%s %d", kind, skipped[kind]))
	}
	return strings.Join(out, ", ")
}

func logSkipped(ctx context.Context, skipped map[string]int) {
	total := 0
	for _, n := range skipped {
		total += n
	}
	if total > 0 {
		klog.FromContext(ctx).Info("Skipped objects of kinds that hnsproxy does not use",
			"count", total, "kinds", skippedText(skipped))
	}
}
