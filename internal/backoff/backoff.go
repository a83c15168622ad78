// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backoff computes when to retry objects that failed, for each object on its own (law 9).
package backoff

import (
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Limits of the wait between two tries of one failing object. The first try comes soon,
// since most failures pass; the last are far apart, since HNS is slow and shared.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = time.Minute
	// From so many refused objects on, they are tried one after another, so far apart: they
	// share what HNS is asked for them.
	crowd     = 64
	crowdWait = time.Second
)

// Backoff keeps the waits of objects that fail, each on its own (law 9). It is not safe
// for concurrent use.
type Backoff[K comparable] struct {
	random *rand.Rand
	waits  map[K]*waiting
	// refused counts those that were refused, last is when the last of them is tried.
	refused int
	last    time.Time
}

type waiting struct {
	refused bool
	steps   wait.Backoff
	due     time.Time
	err     error
}

// New makes an empty Backoff. Seed decides the jitter.
func New[K comparable](seed uint64) *Backoff[K] {
	return &Backoff[K]{random: rand.New(rand.NewPCG(seed, 1)), waits: map[K]*waiting{}}
}

// Failed makes an object wait for why it failed, longer each time, and returns until when.
func (b *Backoff[K]) Failed(k K, err error, now time.Time) time.Time {
	w := b.waits[k]
	if w == nil {
		w = &waiting{steps: wait.Backoff{Duration: firstWait, Factor: 2, Steps: 100, Cap: lastWait}}
		b.waits[k] = w
	}
	w.err = err
	d := min(w.steps.Step(), lastWait)
	// A fifth more or less, so that what failed together is not tried together.
	w.due = now.Add(time.Duration(float64(d) * (0.8 + 0.4*b.random.Float64())))
	return w.due
}

// Refused is Failed for an object that will most likely fail again. Where there are many of
// them, they are tried one after another.
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

// Succeeded forgets an object's failures.
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

// Err returns why an object failed last, nil for one that did not fail.
func (b *Backoff[K]) Err(k K) error {
	if w := b.waits[k]; w != nil {
		return w.err
	}
	return nil
}

// Waits tells whether an object failed and its time has not come.
func (b *Backoff[K]) Waits(k K, now time.Time) bool {
	w := b.waits[k]
	return w != nil && now.Before(w.due)
}

// Hurry lets an object be tried at once; another failure still waits longer than the last.
func (b *Backoff[K]) Hurry(k K) {
	if w := b.waits[k]; w != nil {
		w.due = time.Time{}
	}
}

// Due returns the objects whose time has come. None is returned again before it fails
// anew.
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

// Next returns when the next object's time comes; the zero time when none waits.
func (b *Backoff[K]) Next() time.Time {
	var next time.Time
	for _, w := range b.waits {
		if !w.due.IsZero() && (next.IsZero() || w.due.Before(next)) {
			next = w.due
		}
	}
	return next
}

// Len returns how many objects have failed and not succeeded since.
func (b *Backoff[K]) Len() int { return len(b.waits) }

// Forget drops the objects that are told of no more.
func (b *Backoff[K]) Forget(gone func(K) bool) {
	for k, w := range b.waits {
		if w.due.IsZero() && gone(k) {
			b.forget(k, w)
		}
	}
}
