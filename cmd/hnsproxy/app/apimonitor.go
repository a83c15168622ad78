// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/internal/printable"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// checkInterval is how often it is looked whether something is to be said.
	checkInterval = 2 * time.Second
	// responseTimeout is after how long it is said that the API server has not answered.
	responseTimeout = 5 * time.Second
	// repeatInterval is how often a failure that stays the same is logged.
	repeatInterval = time.Minute
)

// apiMonitor says in the log that the API server cannot be reached. client-go tries again without
// a word, or with one for each resource and each try.
type apiMonitor struct {
	// server is the URL of the API server, remedy what to do when it cannot be reached.
	server, remedy string
	logger         klog.Logger
	clock          clock.WithTicker

	mu sync.Mutex
	// pending are the requests in progress, and since when.
	pending map[*string]time.Time
	// failing is what is wrong with each resource, and since when the first one failed.
	failing map[string]requestFailure
	since   time.Time
	// lastLogged is when each cause was said last.
	lastLogged map[string]time.Time
}

// requestFailure is what is wrong with a resource. Those of one cause are told in one line.
type requestFailure struct {
	cause string
	err   error
}

func newAPIMonitor(server, remedy string, logger klog.Logger, c clock.WithTicker) *apiMonitor {
	return &apiMonitor{
		server: server, remedy: remedy, logger: logger, clock: c,
		pending: map[*string]time.Time{}, failing: map[string]requestFailure{}, lastLogged: map[string]time.Time{},
	}
}

// run says each minute what goes on to fail, and what does not answer, until ctx ends.
func (c *apiMonitor) run(ctx context.Context) {
	ticker := c.clock.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			c.check()
		}
	}
}

func (c *apiMonitor) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for resource, since := range c.pending {
		if _, failing := c.failing[*resource]; !failing && c.clock.Since(since) >= responseTimeout {
			c.fail(*resource, errNoAnswer)
		}
	}
	for resource, t := range c.failing {
		c.fail(resource, t.err)
	}
}

var errNoAnswer = errors.New("no response yet")

// begin notes that a resource is asked for.
func (c *apiMonitor) begin(resource string) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[&resource] = c.clock.Now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pending, &resource)
	}
}

// note takes the outcome of a request.
func (c *apiMonitor) note(resource string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.fail(resource, err)
		return
	}
	delete(c.failing, resource)
	if len(c.failing) == 0 && !c.since.IsZero() {
		c.logger.Info("API server reachable again", "server", c.server, "after", c.clock.Since(c.since))
		c.since = time.Time{}
		clear(c.lastLogged)
	}
}

// fail says what is wrong with a resource, unless that was said a short while ago.
func (c *apiMonitor) fail(resource string, err error) {
	now := c.clock.Now()
	if c.since.IsZero() {
		c.since = now
	}
	t := requestFailure{printable.Cause(err), err}
	c.failing[resource] = t
	if last, told := c.lastLogged[t.cause]; told && now.Sub(last) < repeatInterval {
		return
	}
	c.lastLogged[t.cause] = now
	if sent, ok := errors.AsType[*url.Error](err); ok {
		err = sent.Err // without the query
	}
	message, remedy := "API server unreachable; retrying", c.remedy
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		message, remedy = "API server rejected a request; retrying", refusalRemedy(status.Status().Reason)
	}
	c.logger.Error(err, message, "server", c.server, "resource", resource, "since", c.since.Format(time.RFC3339), "remedy", remedy)
}

// refusalRemedy says what to do about an answer of the API server.
func refusalRemedy(reason metav1.StatusReason) string {
	switch reason {
	case metav1.StatusReasonUnauthorized:
		return "check the credentials in the kubeconfig or of the pod's service account"
	case metav1.StatusReasonForbidden:
		return "allow this user to list and watch services, endpointslices and nodes, as ClusterRole system:node-proxier does"
	}
	return "check the API server logs"
}

// monitoredListWatch asks the API server for a resource and notes how that goes.
type monitoredListWatch struct {
	inner    cache.ListerWatcherWithContext
	resource string
	monitor  *apiMonitor
}

var _ cache.ListerWatcherWithContext = monitoredListWatch{}

// loggedError is an error that went to the log.
type loggedError struct{ error }

// Unwrap returns the error.
func (e loggedError) Unwrap() error { return e.error }

// List is part of cache.ListerWatcher.
func (w monitoredListWatch) List(o metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), o)
}

// Watch is part of cache.ListerWatcher.
func (w monitoredListWatch) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), o)
}

// ListWithContext is part of cache.ListerWatcherWithContext.
func (w monitoredListWatch) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	end := w.monitor.begin(w.resource)
	out, err := w.inner.ListWithContext(ctx, o)
	end()
	return out, w.note(ctx, err)
}

// WatchWithContext is part of cache.ListerWatcherWithContext.
func (w monitoredListWatch) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	if initial {
		// Others may be answered with their first event only, if a proxy stands between.
		end := w.monitor.begin(w.resource)
		defer end()
	}
	out, err := w.inner.WatchWithContext(ctx, o)
	if _, answered := errors.AsType[*apierrors.StatusError](err); answered && initial {
		return out, err // it may not know such watches; a list follows
	}
	return out, w.note(ctx, err)
}

// note takes the outcome of a request. Errors that are a part of the protocol are none.
func (w monitoredListWatch) note(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil || errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		return err
	case err == nil:
		w.monitor.note(w.resource, nil)
		return nil
	}
	w.monitor.note(w.resource, err)
	return loggedError{err}
}

// quietWatchErrors logs what ended a watch, unless that was done.
func quietWatchErrors(ctx context.Context, r *cache.Reflector, err error) {
	if _, noted := errors.AsType[loggedError](err); !noted {
		cache.DefaultWatchErrorHandler(ctx, r, err)
	}
}
