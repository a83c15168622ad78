// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/hcn"
	"golang.org/x/sys/windows"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

func v2Error(code uint32) error {
	return &hcn.HcnError{HcsError: &hcsshim.HcsError{Err: syscall.Errno(code)}}
}

// TestErrors: every failure of hcsshim gets the class and code that callers decide by.
func TestErrors(t *testing.T) {
	record := func(code uint32) error {
		return fmt.Errorf(`hcnX failed in Win32: ... (0x1f) {"Success":false,"Error":"words ","ErrorCode":%d}`, code)
	}
	for _, tc := range []struct {
		name  string
		err   error
		class hnslb.Class
		code  hnslb.HRESULT
	}{
		{"V2, Win32 facility folded", v2Error(0x490), hnslb.NotFound, hnslb.ResultElementNotFound},
		{"V2, another facility", v2Error(0x803b0013), hnslb.PortInUse, hnslb.ResultPortAlreadyExists},
		{"V2, already there after a restart", v2Error(0xb7), hnslb.AlreadyExists, hnslb.ResultWin32AlreadyExists},
		{"V2, service away", v2Error(0x6ba), hnslb.Unavailable, hnslb.ResultServerUnavailable},
		{"V2, service not registered", v2Error(0x6b5), hnslb.Unavailable, hnslb.ResultUnknownInterface},
		{"V2, service stopping", v2Error(0x803b0020), hnslb.Unavailable, hnslb.ResultManagerStopped},
		{"V2, not implemented", v2Error(0x80004001), hnslb.Unsupported, hnslb.ResultNotImplemented},
		{"V2, switch port not there yet", v2Error(0x803b0007), hnslb.Other, hnslb.ResultSwitchPortNotFound},
		{"V2, wrapped", fmt.Errorf("outer: %w", v2Error(0x803b0001)), hnslb.NotFound, hnslb.ResultNetworkNotFound},
		{"V2, words that look like a code", &hcn.HcnError{HcsError: &hcsshim.HcsError{Err: fmt.Errorf("odd (0x5): %w", syscall.Errno(0x490))}}, hnslb.NotFound, hnslb.ResultElementNotFound},
		{"V2, no code", &hcn.HcnError{HcsError: &hcsshim.HcsError{Err: errors.New("odd")}}, hnslb.Other, 0x8007001f},
		{"V1, service away", fmt.Errorf("failed during hnsCallRawResponse: %w", &hcsshim.HcsError{Err: syscall.Errno(0x6bf)}), hnslb.Unavailable, hnslb.ResultCallFailedNotRun},
		{"V1, words that look like a code", &hcsshim.HcsError{Err: fmt.Errorf("odd (0x5): %w", syscall.Errno(0x6ba))}, hnslb.Unavailable, hnslb.ResultServerUnavailable},
		{"V1, words only", errors.New("hns failed with error : The endpoint was not found"), hnslb.Other, 0},
		{"record only", record(0x803b002f), hnslb.Invalid, hnslb.ResultAddressReserved},
		{"lookup by name", hcn.NetworkNotFoundError{NetworkName: "azure"}, hnslb.NotFound, 0},
		{"lookup of an endpoint", hcn.EndpointNotFoundError{EndpointID: "x"}, hnslb.NotFound, 0},
		{"lookup of a load balancer", hcn.LoadBalancerNotFoundError{LoadBalancerId: "x"}, hnslb.NotFound, 0},
		{"DLL missing", &windows.DLLError{Err: syscall.Errno(126), ObjName: "computenetwork.dll", Msg: "not found (0x490)"}, hnslb.Unsupported, 0},
		{"our own", hnslb.NewError("v", "o", hnslb.ResultPortAlreadyExists, "taken"), hnslb.PortInUse, hnslb.ResultPortAlreadyExists},
		{"something else", errors.New("invalid character 'x'"), hnslb.Other, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := callName{hnslb.VerbNetwork, "azure"}.wrap(tc.err)
			var e *hnslb.Error
			if !errors.As(got, &e) || e.Class != tc.class || e.Code != tc.code {
				t.Errorf("%#v, want class %s and code 0x%08x", got, tc.class, uint32(tc.code))
			}
			if !errors.Is(got, tc.err) {
				t.Error("the cause is lost")
			}
		})
	}
}

// calls runs every verb that reaches HNS.
func calls(ctx context.Context, d hnslb.Driver) map[hnslb.Verb]error {
	lb := hnslb.LoadBalancer{Endpoints: []hnslb.ID{guid1}, Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 1, ExternalPort: 2}}}
	errs := map[hnslb.Verb]error{
		hnslb.VerbDeleteEndpoint:     d.DeleteEndpoint(ctx, guid1),
		hnslb.VerbDeleteLoadBalancer: d.DeleteLoadBalancer(ctx, guid1),
	}
	_, errs[hnslb.VerbFeatures] = d.Features(ctx)
	_, errs[hnslb.VerbNetwork] = d.Network(ctx, "azure")
	_, errs[hnslb.VerbEndpoints] = d.Endpoints(ctx)
	_, errs[hnslb.VerbLoadBalancers] = d.LoadBalancers(ctx)
	_, errs[hnslb.VerbCreateEndpoint] = d.CreateEndpoint(ctx, hnslb.Endpoint{Network: guid1})
	_, errs[hnslb.VerbCreateLoadBalancer] = d.CreateLoadBalancer(ctx, lb)
	lb.ID = guid1
	_, errs[hnslb.VerbUpdateLoadBalancer] = d.UpdateLoadBalancer(ctx, lb)
	return errs
}

// withoutHNS returns the driver of a Windows that has no HNS.
func withoutHNS() *Driver {
	none := windows.NewLazySystemDLL("no-such-library.dll").NewProc("NoSuchFunction")
	a := api{v1: none, network: none, endpoint: none, balancer: none, modify: none}
	return &Driver{api: a, endpoints: newEndpointLister(a, nil), balancers: newBalancerLister(a, nil)}
}

// TestWithoutHNS: where the DLLs are missing every verb is Unsupported, and none panics.
func TestWithoutHNS(t *testing.T) {
	got := calls(t.Context(), withoutHNS())
	for _, v := range hnslb.Verbs() {
		var e *hnslb.Error
		if !errors.As(got[v], &e) || e.Class != hnslb.Unsupported || e.Verb != v || e.Object == "" {
			t.Errorf("%s: %#v, want class unsupported with verb and object", v, got[v])
		}
	}
}

// TestContextEnded: no call is made for a caller who has left.
func TestContextEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := calls(ctx, withoutHNS())
	for _, v := range hnslb.Verbs() {
		if hnslb.ErrorClass(got[v]) != hnslb.Timeout || !errors.Is(got[v], context.Canceled) {
			t.Errorf("%s: %v, want class timeout", v, got[v])
		}
	}
}

// TestPanic: a panic of hcsshim is an error of the one call.
func TestPanic(t *testing.T) {
	there := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetTickCount")
	_, err := do(callName{hnslb.VerbNetwork, "azure"}, there, func() (int, error) {
		var none *int
		return *none, nil
	})
	if hnslb.ErrorClass(err) != hnslb.Other || err == nil || !strings.Contains(err.Error(), "nil pointer") {
		t.Errorf("%v, want class other and what happened", err)
	}
	n, err := do(callName{hnslb.VerbNetwork, "azure"}, there, func() (int, error) { return 7, nil })
	if n != 7 || err != nil {
		t.Errorf("%d, %v; want 7", n, err)
	}
}

// TestBadArguments: what HNS must not see is refused before a call.
func TestBadArguments(t *testing.T) {
	d := withoutHNS() // any call would be Unsupported
	ctx := t.Context()
	_, withID := d.CreateEndpoint(ctx, hnslb.Endpoint{ID: guid1, Network: guid1})
	_, noNetwork := d.CreateEndpoint(ctx, hnslb.Endpoint{})
	_, badIP := d.CreateEndpoint(ctx, hnslb.Endpoint{Network: guid1, IPs: []netip.Addr{{}}})
	_, lbWithID := d.CreateLoadBalancer(ctx, hnslb.LoadBalancer{ID: guid1})
	_, badVIP := d.CreateLoadBalancer(ctx, hnslb.LoadBalancer{VIPs: []netip.Addr{{}}})
	_, updateWithoutID := d.UpdateLoadBalancer(ctx, hnslb.LoadBalancer{})
	_, updateBadVIP := d.UpdateLoadBalancer(ctx, hnslb.LoadBalancer{ID: guid1, VIPs: []netip.Addr{{}}})
	for name, err := range map[string]error{
		"endpoint with ID": withID, "endpoint without network": noNetwork, "endpoint with an empty address": badIP,
		"load balancer with ID": lbWithID, "empty VIP": badVIP, "update without ID": updateWithoutID, "update to an empty VIP": updateBadVIP,
		"delete endpoint": d.DeleteEndpoint(ctx, "x"), "delete load balancer": d.DeleteLoadBalancer(ctx, ""),
	} {
		if hnslb.ErrorClass(err) != hnslb.Invalid {
			t.Errorf("%s: %v, want class invalid", name, err)
		}
	}
}
