// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"fmt"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// source is how HNS is listed. Errors are *hnslb.Error. A call that finds the object gone
// is NotFound.
type source interface {
	// One call each.
	v1Endpoints() ([]hnslb.Endpoint, error)
	v1LoadBalancers() ([]v1LoadBalancer, error)
	// One call and three per object; NotFound when one vanishes meanwhile.
	v2Endpoints() ([]hnslb.Endpoint, error)
	v2LoadBalancers() ([]hnslb.LoadBalancer, error)
	// Four calls each.
	v2Endpoint(id hnslb.ID) (hnslb.Endpoint, error)
	v2LoadBalancer(id hnslb.ID) (hnslb.LoadBalancer, error)
}

// maxListTries is how often a V2 list is made while objects vanish under it, before HNS
// counts as too busy to be listed.
const maxListTries = 5

// lister is what the two lists have in common.
type lister struct {
	src  source
	warn func(message string)
	// turn lets one list run at a time: a second one would only ask for the same details.
	// Its holder also owns v2Only.
	turn chan struct{}
	// v2Only is set for good once V1 was found to disagree with V2.
	v2Only bool
}

func newLister(src source, warn func(string)) lister {
	if warn == nil {
		warn = func(string) {}
	}
	return lister{src: src, warn: warn, turn: make(chan struct{}, 1)}
}

// take waits for the turn. The caller must call the function returned.
func (l *lister) take(ctx context.Context, v hnslb.Verb) (release func(), err error) {
	if err := alive(ctx, v, "all"); err != nil {
		return nil, err
	}
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, alive(ctx, v, "all")
	}
}

// distrust gives up V1 for this kind of object.
func (l *lister) distrust(v hnslb.Verb, id hnslb.ID) {
	l.v2Only = true
	l.warn(fmt.Sprintf("%s: HNS V1 and V2 APIs disagree about %s; listing through V2 only from now on, which is slower", v, id))
}

// alive returns a Timeout error when ctx has ended.
func alive(ctx context.Context, v hnslb.Verb, object string) error { //nolint:unparam // driver_windows.go names other objects
	if ctx.Err() == nil {
		return nil
	}
	return &hnslb.Error{Verb: v, Object: object, Class: hnslb.Timeout, Err: context.Cause(ctx)}
}

// gone tells whether err says that the object is not there.
func gone(err error) bool { return hnslb.ErrorClass(err) == hnslb.NotFound }

// throughV2 makes a V2 list, again when an object vanishes under it. Failing that often, it
// is Unavailable: NotFound from a list would read as "nothing is there".
func throughV2[T any](ctx context.Context, v hnslb.Verb, list func() ([]T, error)) ([]T, error) {
	var all []T
	var err error
	for range maxListTries {
		if err := alive(ctx, v, "all"); err != nil {
			return nil, err
		}
		if all, err = list(); !gone(err) {
			return all, err
		}
	}
	return nil, &hnslb.Error{
		Verb: v, Object: "all", Class: hnslb.Unavailable,
		Err: fmt.Errorf("objects were deleted during each of %d list attempts: %w", maxListTries, errors.Unwrap(err)),
	}
}

// confirmed returns the first suspect that a second V1 list shows as the first one did,
// or lacks as the first one did. V2 was asked between the two, so V1 and V2 disagree
// about that object; any other suspect was just changing.
func confirmed[T any](suspects []hnslb.ID, before, after map[hnslb.ID]T, same func(a, b T) bool) (hnslb.ID, bool) {
	for _, id := range suspects {
		b, wasThere := before[id]
		a, isThere := after[id]
		if wasThere == isThere && (!wasThere || same(b, a)) {
			return id, true
		}
	}
	return "", false
}

// byID indexes objects.
func byID[T any](all []T, id func(T) hnslb.ID) map[hnslb.ID]T {
	m := make(map[hnslb.ID]T, len(all))
	for _, o := range all {
		m[id(o)] = o
	}
	return m
}

func endpointID(e hnslb.Endpoint) hnslb.ID      { return e.ID }
func balancerID(lb hnslb.LoadBalancer) hnslb.ID { return lb.ID }
func v1BalancerID(lb v1LoadBalancer) hnslb.ID   { return lb.ID }
func sameV1Balancer(a, b v1LoadBalancer) bool {
	return a.Whole == b.Whole && sameBalancer(a, b.LoadBalancer)
}
