// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// TestIntercept: each verb is handed on with its object, its argument and the caller's context;
// what next returns and what the caller gets are what the two sides said.
func TestIntercept(t *testing.T) {
	t.Parallel()
	type mark struct{}
	own := errors.New("own")
	values := map[hnslb.Verb]any{
		hnslb.VerbFeatures: stubFeatures, hnslb.VerbNetwork: stubNetwork,
		hnslb.VerbEndpoints: []hnslb.Endpoint{stubEndpoint}, hnslb.VerbLoadBalancers: []hnslb.LoadBalancer{stubLB},
		hnslb.VerbCreateEndpoint: stubEndpoint, hnslb.VerbCreateLoadBalancer: stubLB, hnslb.VerbUpdateLoadBalancer: stubLB,
	}
	for _, v := range hnslb.Verbs() {
		for _, fails := range []error{nil, own} {
			inner := stub(func(ctx context.Context, got hnslb.Verb) error {
				if got != v || ctx.Value(mark{}) != "changed" {
					t.Errorf("%s reached the driver as %s with context value %v", v, got, ctx.Value(mark{}))
				}
				return fails
			})
			var seen hnslb.Call
			d := hnslb.Intercept(inner, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
				seen = c
				return next(context.WithValue(ctx, mark{}, "changed"))
			})
			got, err := call(t.Context(), d, v)
			if diff := cmp.Diff(values[v], got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || !errors.Is(err, fails) {
				t.Errorf("%s: error %v, value (-driver +intercepted):\n%s", v, err, diff)
			}
			if seen.Verb != v || seen.Object == "" || v.IsWrite() && seen.Argument == nil {
				t.Errorf("%s is handed on as %+v", v, seen)
			}
		}
		silent := hnslb.Intercept(nil, func(context.Context, hnslb.Call, hnslb.Next) (any, error) { return nil, own })
		if _, err := call(t.Context(), silent, v); !errors.Is(err, own) {
			t.Errorf("%s: error %v of a call that is not made", v, err)
		}
	}
}
