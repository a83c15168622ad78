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
	// contactPeriod is how often it is looked whether something is to be said.
	contactPeriod = 2 * time.Second
	// answerPeriod is after how long it is said that the API server has not answered.
	answerPeriod = 5 * time.Second
	// complainPeriod is how often a failure that stays the same is logged.
	complainPeriod = time.Minute
)

// contact says in the log that the API server cannot be reached. client-go tries again without
// a word, or with one for each resource and each try.
type contact struct {
	// server is the URL of the API server, remedy what to do when it cannot be reached.
	server, remedy string
	logger         klog.Logger
	clock          clock.WithTicker

	mu sync.Mutex
	// asked are the requests in progress, and since when.
	asked map[*string]time.Time
	// failing is what is wrong with each resource, and since when the first one failed.
	failing map[string]trouble
	since   time.Time
	// said is when each cause was said last.
	said map[string]time.Time
}

// trouble is what is wrong with a resource. Those of one cause are told in one line.
type trouble struct {
	cause string
	err   error
}

func newContact(server, remedy string, logger klog.Logger, c clock.WithTicker) *contact {
	return &contact{
		server: server, remedy: remedy, logger: logger, clock: c,
		asked: map[*string]time.Time{}, failing: map[string]trouble{}, said: map[string]time.Time{},
	}
}

// run says each minute what goes on to fail, and what does not answer, until ctx ends.
func (c *contact) run(ctx context.Context) {
	ticker := c.clock.NewTicker(contactPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			c.look()
		}
	}
}

func (c *contact) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for resource, since := range c.asked {
		if _, failing := c.failing[*resource]; !failing && c.clock.Since(since) >= answerPeriod {
			c.fail(*resource, errNoAnswer)
		}
	}
	for resource, t := range c.failing {
		c.fail(resource, t.err)
	}
}

var errNoAnswer = errors.New("no response yet")

// begin notes that a resource is asked for.
func (c *contact) begin(resource string) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[&resource] = c.clock.Now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.asked, &resource)
	}
}

// note takes the outcome of a request.
func (c *contact) note(resource string, err error) {
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
		clear(c.said)
	}
}

// fail says what is wrong with a resource, unless that was said a short while ago.
func (c *contact) fail(resource string, err error) {
	now := c.clock.Now()
	if c.since.IsZero() {
		c.since = now
	}
	t := trouble{printable.Cause(err), err}
	c.failing[resource] = t
	if last, told := c.said[t.cause]; told && now.Sub(last) < complainPeriod {
		return
	}
	c.said[t.cause] = now
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

// watched asks the API server for a resource and notes how that goes.
type watched struct {
	inner    cache.ListerWatcherWithContext
	resource string
	contact  *contact
}

var _ cache.ListerWatcherWithContext = watched{}

// notedError is an error that went to the log.
type notedError struct{ error }

// Unwrap returns the error.
func (e notedError) Unwrap() error { return e.error }

// List is part of cache.ListerWatcher.
func (w watched) List(o metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), o)
}

// Watch is part of cache.ListerWatcher.
func (w watched) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), o)
}

// ListWithContext is part of cache.ListerWatcherWithContext.
func (w watched) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	end := w.contact.begin(w.resource)
	out, err := w.inner.ListWithContext(ctx, o)
	end()
	return out, w.note(ctx, err)
}

// WatchWithContext is part of cache.ListerWatcherWithContext.
func (w watched) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	if initial {
		// Others may be answered with their first event only, if a proxy stands between.
		end := w.contact.begin(w.resource)
		defer end()
	}
	out, err := w.inner.WatchWithContext(ctx, o)
	if _, answered := errors.AsType[*apierrors.StatusError](err); answered && initial {
		return out, err // it may not know such watches; a list follows
	}
	return out, w.note(ctx, err)
}

// note takes the outcome of a request. Errors that are a part of the protocol are none.
func (w watched) note(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil || errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		return err
	case err == nil:
		w.contact.note(w.resource, nil)
		return nil
	}
	w.contact.note(w.resource, err)
	return notedError{err}
}

// quietWatchErrors logs what ended a watch, unless that was done.
func quietWatchErrors(ctx context.Context, r *cache.Reflector, err error) {
	if _, noted := errors.AsType[notedError](err); !noted {
		cache.DefaultWatchErrorHandler(ctx, r, err)
	}
}
