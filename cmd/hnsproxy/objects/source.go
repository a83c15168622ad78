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
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
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

// Source keeps what files say up to date, for informers. Its methods may be called from
// several goroutines.
type Source struct {
	store *store
	done  chan struct{}

	// All below belongs to Open, and then to the goroutine that it starts.
	options Options
	reader  *reader
	// from says which file each object in the store came from.
	from map[key]string
	// doomed are objects that the last look missed, and since when; they go when they
	// have been missed for the time of grace.
	doomed  map[key]time.Time
	said    map[string]bool
	skipped string
}

// Open reads the files, and follows their changes until ctx ends. Objects that are wrong
// go to OnError and fail nothing; an error means that one of the paths cannot be read.
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
	go s.follow(ctx)
	return s, nil
}

// newSource makes a source that has not looked yet.
func newSource(o Options) *Source {
	o.complete()
	return &Source{
		store: newStore(logLimit), done: make(chan struct{}), options: o, reader: newReader(o),
		from: map[key]string{}, doomed: map[key]time.Time{},
	}
}

// ListerWatcher gives the objects of a resource to informers and reflectors. tweak, which
// may be nil, sets the selectors, as with cache.NewFilteredListWatchFromClient: labels of
// every kind, and the fields metadata.name, metadata.namespace, spec.clusterIP and
// spec.type of Services, and spec.unschedulable of Nodes.
func (s *Source) ListerWatcher(r Resource, tweak func(*metav1.ListOptions)) cache.ListerWatcher {
	return &listerWatcher{store: s.store, resource: r, tweak: tweak}
}

// Done is closed once the context of Open has ended and the files are no longer followed.
// Lists and watches go on with what was read last.
func (s *Source) Done() <-chan struct{} { return s.done }

// look reads the files and brings the store up to date. It tells whether time alone may
// change what counts, so that another look is due.
func (s *Source) look(ctx context.Context) bool {
	now := time.Now()
	m := merge(s.reader.read(now))
	s.take(ctx, m, now)
	return m.doubted || len(s.doomed) > 0
}

// take brings the store up to what the files said at a time.
func (s *Source) take(ctx context.Context, m merged, now time.Time) {
	s.report(m.problems)
	if text := skippedText(m.skipped); text != s.skipped {
		logSkipped(ctx, m.skipped)
		s.skipped = text
	}
	put := make([]entry, 0, len(m.order))
	for _, k := range m.order {
		put = append(put, m.objects[k])
		s.from[k] = m.objects[k].at.File
	}
	changed := s.store.apply(put, s.gone(&m, now))
	if changed > 0 {
		klog.FromContext(ctx).V(2).Info("Object files changed", "changes", changed, "objects", len(m.order))
	}
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
