// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Period is the time between two heartbeats, and between two attempts to watch. It is below
// the two seconds in which a change is to be noticed, so that there is time for the calls.
const Period = 1500 * time.Millisecond

// Config says what to watch.
type Config struct {
	// Bare is the driver without decorators: what it implements of hnslb.Watcher and
	// hnslb.ServiceQuerier is used, and nothing else.
	Bare hnslb.Driver
	// Driver is asked for the network. Its calls must come back, see hnslb.WithTimeout.
	Driver hnslb.Driver
	// Network is the name of the network.
	Network string
	Clock   clock.WithTicker
	Logger  klog.Logger
}

// Run calls notify for each change until ctx ends, one call at a time. It must not block.
//
// Changes are hints: one may be told twice, by either source. The first heartbeat comes after
// one Period, and its answer about the network counts as a change of networks, since nobody
// knows what it was before.
func Run(ctx context.Context, c Config, notify func(hnslb.Change)) {
	w := &watch{Config: c, notify: notify, answers: true, renew: make(chan struct{}, 1)}
	var running sync.WaitGroup
	defer running.Wait()
	if watcher, ok := c.Bare.(hnslb.Watcher); ok {
		running.Go(func() { w.follow(ctx, watcher) })
	}
	h := &heartbeat{watch: w}
	h.querier, _ = c.Bare.(hnslb.ServiceQuerier)
	h.run(ctx)
}

// watch is what both sources have learned.
type watch struct {
	Config
	// renew asks to watch anew: the service may have forgotten who watches.
	renew chan struct{}

	mu     sync.Mutex // guards what follows
	notify func(hnslb.Change)
	// answers tells that the service was not found to be away.
	answers bool
	// telling tells that Watching HNS notifications.
	telling bool
}

// told tells whether Watching HNS notifications.
func (w *watch) told() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.telling
}

func (w *watch) setTelling(telling bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.telling = telling
}

// gone notes that the service is away.
func (w *watch) gone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers {
		w.answers = false
		w.notify(hnslb.ServiceGone)
	}
}

// came notes that the service answers, and returns whether that is news.
func (w *watch) came() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers {
		return false
	}
	w.answers = true
	w.notify(hnslb.ServiceCame)
	return true
}

// restarted notes that the service is not the one it was.
func (w *watch) restarted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = true
	w.notify(hnslb.ServiceCame)
}

// networks notes that networks came or went.
func (w *watch) networks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notify(hnslb.NetworksChanged)
}

// watchAnew makes follow start again.
func (w *watch) watchAnew() {
	select {
	case w.renew <- struct{}{}:
	default: // it was asked already
	}
}

// follow keeps watching until ctx ends or the driver cannot.
func (w *watch) follow(ctx context.Context, watcher hnslb.Watcher) {
	for ctx.Err() == nil {
		again, err := w.once(ctx, watcher)
		switch {
		case hnslb.ErrorClass(err) == hnslb.Unsupported:
			w.Logger.V(2).Info("HNS notifications unavailable; polling instead", "reason", err.Error())
			return
		case err != nil:
			w.Logger.V(4).Info("Watching HNS failed; retrying", "reason", err.Error())
		case again:
			continue
		}
		timer := w.Clock.NewTimer(Period)
		select {
		case <-ctx.Done():
		case <-w.renew:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// once watches until the service goes, ctx ends, or it is to watch again.
func (w *watch) once(ctx context.Context, watcher hnslb.Watcher) (again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed, err := watcher.Watch(ctx)
	if err != nil {
		return false, err
	}
	w.Logger.V(4).Info("Watching HNS notifications")
	w.setTelling(true)
	defer w.setTelling(false)
	w.came()
	for {
		select {
		case <-w.renew:
			return true, nil
		case _, open := <-changed:
			switch {
			case open:
				w.networks()
			case ctx.Err() != nil:
				return false, nil
			default:
				w.gone()
				return false, nil
			}
		}
	}
}
