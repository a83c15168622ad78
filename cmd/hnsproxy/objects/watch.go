// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// listerWatcher answers the lists and watches of informers as an API server does:
// selectors, resource versions, initial events with the bookmark that ends them, timeouts,
// and 410 Gone for a version that is forgotten. It gives whole lists, never pages, and
// sends no bookmarks besides that one; both are a server's choice.
type listerWatcher struct {
	store    *store
	resource Resource
	tweak    func(*metav1.ListOptions)
}

var (
	_ cache.ListerWatcher            = (*listerWatcher)(nil)
	_ cache.ListerWatcherWithContext = (*listerWatcher)(nil)
)

// List is part of cache.ListerWatcher.
func (l *listerWatcher) List(options metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), options)
}

// Watch is part of cache.ListerWatcher.
func (l *listerWatcher) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), options)
}

// ListWithContext is part of cache.ListerWatcherWithContext. The context has no bearing:
// a list is at hand.
func (l *listerWatcher) ListWithContext(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
	f, err := l.filter(&options)
	if err != nil {
		return nil, err
	}
	asked, err := revisionOf(options.ResourceVersion)
	if err != nil {
		return nil, err
	}
	all, revision := l.store.list(l.resource)
	exact := options.ResourceVersionMatch == metav1.ResourceVersionMatchExact
	if asked > revision || exact && asked != revision || options.Continue != "" {
		return nil, gone(options.ResourceVersion)
	}
	return l.resource.list(f.filter(all), revision), nil
}

// WatchWithContext is part of cache.ListerWatcherWithContext. The watch ends with the
// context, with Stop, or after options.TimeoutSeconds.
func (l *listerWatcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	f, err := l.filter(&options)
	if err != nil {
		return nil, err
	}
	asked, err := revisionOf(options.ResourceVersion)
	if err != nil {
		return nil, err
	}
	all, revision := l.store.list(l.resource)
	if asked > revision {
		return nil, gone(options.ResourceVersion)
	}
	var initial []watch.Event
	wanted := options.SendInitialEvents
	// Without a word about initial events they are sent to who starts from anything.
	if wanted != nil && *wanted || wanted == nil && asked == 0 {
		initial = added(f.filter(all))
		asked = revision
	}
	if wanted != nil && *wanted && options.AllowWatchBookmarks {
		initial = append(initial, l.bookmark(revision))
	}
	if asked == 0 {
		asked = revision
	}
	var cancel context.CancelFunc
	if t := options.TimeoutSeconds; t != nil && *t > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*t)*time.Second)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	w := &watcher{store: l.store, resource: l.resource, filter: f, events: make(chan watch.Event), cancel: cancel}
	go w.run(ctx, initial, asked)
	return w, nil
}

// filter returns what the selectors of a request let through, the caller's included.
func (l *listerWatcher) filter(options *metav1.ListOptions) (filter, error) {
	if l.tweak != nil {
		l.tweak(options)
	}
	return newFilter(l.resource, options)
}

// bookmark ends the initial events (KEP-3157).
func (l *listerWatcher) bookmark(revision int64) watch.Event {
	o := l.resource.empty()
	o.SetResourceVersion(versionOf(revision))
	o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return watch.Event{Type: watch.Bookmark, Object: o}
}

func added(objects []object) []watch.Event {
	out := make([]watch.Event, 0, len(objects)+1)
	for _, o := range objects {
		out = append(out, watch.Event{Type: watch.Added, Object: o})
	}
	return out
}

// revisionOf reads a resource version; "" and "0" both mean any.
func revisionOf(version string) (int64, error) {
	if version == "" {
		return 0, nil
	}
	revision, err := strconv.ParseInt(version, 10, 64)
	if err != nil || revision < 0 {
		return 0, apierrors.NewBadRequest("resource version " + strconv.Quote(version) + " is not a number")
	}
	return revision, nil
}

// gone is the error that makes informers list anew from any version.
func gone(version string) error {
	return apierrors.NewResourceExpired("resource version " + version + " is not kept here")
}

// watcher is one running watch.
type watcher struct {
	store    *store
	resource Resource
	filter   filter
	events   chan watch.Event
	cancel   context.CancelFunc
}

// Stop is part of watch.Interface.
func (w *watcher) Stop() { w.cancel() }

// ResultChan is part of watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.events }

// run sends the initial events, then every change after revision. It reads the store's log
// at the pace of its client, so that a slow client costs no memory.
func (w *watcher) run(ctx context.Context, initial []watch.Event, revision int64) {
	defer close(w.events)
	defer w.cancel()
	for _, e := range initial {
		if !w.send(ctx, e) {
			return
		}
	}
	for {
		changes, more, ok := w.store.since(w.resource, revision)
		if !ok {
			w.send(ctx, watch.Event{Type: watch.Error, Object: expiredStatus(revision)})
			return
		}
		for _, c := range changes {
			revision = c.revision
			if e, ok := w.filter.event(c); ok && !w.send(ctx, e) {
				return
			}
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-more:
		}
	}
}

// send gives the client a copy of its own: transforms of informers change objects in place.
func (w *watcher) send(ctx context.Context, e watch.Event) bool {
	e.Object = e.Object.DeepCopyObject()
	select {
	case <-ctx.Done():
		return false
	case w.events <- e:
		return true
	}
}

func expiredStatus(revision int64) *metav1.Status {
	return &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired,
		Message: "changes since resource version " + versionOf(revision) + " are forgotten",
	}
}
