// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package drivertest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// ErrInjected is the cause of every error that Fail makes up.
var ErrInjected = errors.New("injected fault")

// Fault is how a call fails. The zero value lets it pass.
type Fault struct {
	Class hnslb.Class
	// TakesEffect carries the call out before it fails. hnslb.Driver allows that with a class
	// that says that the outcome is unknown; anything else is a lie that a later list brings to
	// light.
	TakesEffect bool
}

// Fail returns d with its calls failing as choose says, which is asked for each of them. What an
// emulator can do by itself it does by its own faults; this is for classes of errors that no
// HNS of the emulator gives for that call.
func Fail(d hnslb.Driver, choose func(hnslb.Call) Fault) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
		f := choose(c)
		if f.Class == "" {
			return next(ctx)
		}
		if f.TakesEffect {
			if _, err := next(ctx); err != nil {
				return nil, err // nothing took effect, and the driver has the better words
			}
		}
		var err error = &hnslb.Error{Verb: c.Verb, Object: c.Object, Class: f.Class, Err: ErrInjected}
		if c.Verb == hnslb.VerbNetwork {
			err = hnslb.WithNetworkNotFound(c.Object, err)
		}
		return nil, err
	})
}

// Luck draws numbers by a seed.
type Luck struct {
	seed  uint64
	mu    sync.Mutex
	drawn map[hnslb.Verb]int
}

// NewLuck makes a Luck.
func NewLuck(seed uint64) *Luck { return &Luck{seed: seed, drawn: map[hnslb.Verb]int{}} }

// Draw returns a number from 0 to 1 for the next call of a verb. It does not depend on calls of
// other verbs, so that goroutines with verbs of their own do not disturb one another's luck.
func (l *Luck) Draw(v hnslb.Verb) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drawn[v]++
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", v, l.drawn[v]) // a hash takes every write
	return rand.New(rand.NewPCG(l.seed, h.Sum64())).Float64()
}
