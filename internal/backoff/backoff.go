// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backoff computes when to retry failed objects, each object on its own (law 9).
package backoff

import (
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Limits of the wait between two attempts on one failing object. The first retry comes soon, since
// most failures are transient; later ones are far apart, since HNS is slow and shared with other
// clients.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = time.Minute
	// Above crowd refused objects, retries are spread out at crowdWait intervals, so that the load
	// on HNS does not grow with the number of failing objects.
	crowd     = 64
	crowdWait = time.Second
)

// Backoff holds the retry times of failed objects, each on its own (law 9). It is not safe for
// concurrent use.
type Backoff[K comparable] struct {
	random *rand.Rand
	waits  map[K]*waiting
	// refused counts the refused objects; last is when the last of them is retried.
	refused int
	last    time.Time
}

type waiting struct {
	refused bool
	steps   wait.Backoff
	due     time.Time
	err     error
}

// New returns an empty Backoff. The seed determines the jitter.
func New[K comparable](seed uint64) *Backoff[K] {
	return &Backoff[K]{random: rand.New(rand.NewPCG(seed, 1)), waits: map[K]*waiting{}}
}

// Failed records the failure of an object and returns when to retry it. The wait doubles with each
// failure.
func (b *Backoff[K]) Failed(k K, err error, now time.Time) time.Time {
	w := b.waits[k]
	if w == nil {
		w = &waiting{steps: wait.Backoff{Duration: firstWait, Factor: 2, Steps: 100, Cap: lastWait}}
		b.waits[k] = w
	}
	w.err = err
	d := min(w.steps.Step(), lastWait)
	// Jitter of 20 %, so that objects that failed together are not retried together.
	w.due = now.Add(time.Duration(float64(d) * (0.8 + 0.4*b.random.Float64())))
	return w.due
}

// Refused is Failed for an object that will most likely fail again. Retries of many such objects
// are spread out in time.
func (b *Backoff[K]) Refused(k K, err error, now time.Time) time.Time {
	due := b.Failed(k, err, now)
	w := b.waits[k]
	if !w.refused {
		w.refused = true
		b.refused++
	}
	if slot := b.last.Add(crowdWait); b.refused > crowd && due.Before(slot) {
		w.due = slot
	}
	if w.due.After(b.last) {
		b.last = w.due
	}
	return w.due
}

// Succeeded clears the failures of an object.
func (b *Backoff[K]) Succeeded(k K) {
	if w := b.waits[k]; w != nil {
		b.forget(k, w)
	}
}

func (b *Backoff[K]) forget(k K, w *waiting) {
	if delete(b.waits, k); w.refused {
		b.refused--
	}
}

// Err returns the last error of an object, nil if it has not failed.
func (b *Backoff[K]) Err(k K) error {
	if w := b.waits[k]; w != nil {
		return w.err
	}
	return nil
}

// Waits returns whether an object failed and is not due for a retry yet.
func (b *Backoff[K]) Waits(k K, now time.Time) bool {
	w := b.waits[k]
	return w != nil && now.Before(w.due)
}

// Hurry makes an object due at once. The next failure still doubles its wait.
func (b *Backoff[K]) Hurry(k K) {
	if w := b.waits[k]; w != nil {
		w.due = time.Time{}
	}
}

// Due returns the objects whose retry is due, and takes them off the schedule until they fail
// again.
func (b *Backoff[K]) Due(now time.Time) []K {
	var due []K
	for k, w := range b.waits {
		if !w.due.IsZero() && !now.Before(w.due) {
			w.due = time.Time{}
			due = append(due, k)
		}
	}
	return due
}

// Next returns when the next retry is due, the zero time for never.
func (b *Backoff[K]) Next() time.Time {
	var next time.Time
	for _, w := range b.waits {
		if !w.due.IsZero() && (next.IsZero() || w.due.Before(next)) {
			next = w.due
		}
	}
	return next
}

// Len returns the number of objects that have failed and not succeeded since.
func (b *Backoff[K]) Len() int { return len(b.waits) }

// Forget drops the objects without a scheduled retry for which gone returns true.
func (b *Backoff[K]) Forget(gone func(K) bool) {
	for k, w := range b.waits {
		if w.due.IsZero() && gone(k) {
			b.forget(k, w)
		}
	}
}
