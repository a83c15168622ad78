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
	// checkInterval is how often pending and failing requests are checked.
	checkInterval = 2 * time.Second
	// responseTimeout is when a request without a response is logged.
	responseTimeout = 5 * time.Second
	// repeatInterval is how often a persistent failure is logged again.
	repeatInterval = time.Minute
)

// apiMonitor logs that the API server cannot be reached. client-go retries silently, or logs each
// attempt for each resource.
type apiMonitor struct {
	// server is the URL of the API server, remedy what to do if it cannot be reached.
	server, remedy string
	logger         klog.Logger
	clock          clock.WithTicker

	mu sync.Mutex
	// pending are the requests in progress, and when they started.
	pending map[*string]time.Time
	// failing is the failure of each resource; since is when the first one failed.
	failing map[string]requestFailure
	since   time.Time
	// lastLogged is when each cause was last logged.
	lastLogged map[string]time.Time
}

// requestFailure is the failure of a resource. Those with the same cause share a log line.
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

// run logs persistent failures and missing responses until ctx ends.
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

// begin records the start of a request.
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

// note records the result of a request.
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

// fail records a failure, and logs it unless the same cause was logged recently.
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

// refusalRemedy suggests how to fix a rejected request.
func refusalRemedy(reason metav1.StatusReason) string {
	switch reason {
	case metav1.StatusReasonUnauthorized:
		return "check the credentials in the kubeconfig or of the pod's service account"
	case metav1.StatusReasonForbidden:
		return "allow this user to list and watch services, endpointslices and nodes, as ClusterRole system:node-proxier does"
	}
	return "check the API server logs"
}

// monitoredListWatch passes requests on and reports their results to the monitor.
type monitoredListWatch struct {
	inner    cache.ListerWatcherWithContext
	resource string
	monitor  *apiMonitor
}

var _ cache.ListerWatcherWithContext = monitoredListWatch{}

// loggedError is an error that was logged.
type loggedError struct{ error }

// Unwrap returns the error.
func (e loggedError) Unwrap() error { return e.error }

// List implements cache.ListerWatcher.
func (w monitoredListWatch) List(o metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), o)
}

// Watch implements cache.ListerWatcher.
func (w monitoredListWatch) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), o)
}

// ListWithContext implements cache.ListerWatcherWithContext.
func (w monitoredListWatch) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	end := w.monitor.begin(w.resource)
	out, err := w.inner.ListWithContext(ctx, o)
	end()
	return out, w.note(ctx, err)
}

// WatchWithContext implements cache.ListerWatcherWithContext.
func (w monitoredListWatch) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	if initial {
		// Other watches may get no response before the first event, if a proxy is in between.
		end := w.monitor.begin(w.resource)
		defer end()
	}
	out, err := w.inner.WatchWithContext(ctx, o)
	if _, answered := errors.AsType[*apierrors.StatusError](err); answered && initial {
		return out, err // the server may not support such watches; client-go falls back to a list
	}
	return out, w.note(ctx, err)
}

// note reports the result of a request to the monitor, ignoring errors that are part of the protocol.
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

// quietWatchErrors logs the error of a watch, unless the monitor has logged it.
func quietWatchErrors(ctx context.Context, r *cache.Reflector, err error) {
	if _, noted := errors.AsType[loggedError](err); !noted {
		cache.DefaultWatchErrorHandler(ctx, r, err)
	}
}
