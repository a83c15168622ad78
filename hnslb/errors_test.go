// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import (
	"errors"
	"fmt"
	"testing"
)

// TestClassOf: a code that says that HNS did not get the call means nothing of the object;
// others do.
func TestClassOf(t *testing.T) {
	for code, want := range map[HRESULT]Class{
		ResultElementNotFound: NotFound, ResultNetworkNotFound: NotFound, ResultEndpointNotFound: NotFound,
		ResultPortAlreadyExists: PortInUse, ResultWin32AlreadyExists: AlreadyExists, ResultObjectExists: AlreadyExists,
		ResultNotImplemented: Unsupported, ResultRequestUnsupported: Unsupported, ResultAccessDenied: Denied,
		ResultInvalidArgument: Invalid, ResultInvalidPolicy: Invalid, ResultInvalidJSONReference: Invalid,
		ResultSwitchPortNotFound: Other, ResultAdapterNotFound: Other, 0x80004005: Other, 0x8007001f: Other,
		// The service is away, or on its way.
		ResultServiceDisabled: Unavailable, ResultServiceNotActive: Unavailable, ResultShuttingDown: Unavailable, ResultManagerStopped: Unavailable,
		ResultUnknownInterface: Unavailable, ResultServerUnavailable: Unavailable, ResultServerTooBusy: Unavailable,
		ResultCallFailed: Unavailable, ResultCallFailedNotRun: Unavailable, ResultNoMoreMapperEntries: Unavailable, ResultCallCancelled: Unavailable,
		ResultServerFault: Unavailable, ResultDisconnected: Unavailable,
		// Codes of the two RPC ranges that nobody has named.
		0x80010001: Unavailable, 0x800106ff: Unavailable, 0x800706a4: Unavailable, 0x800706f7: Unavailable, 0x8007071c: Unavailable,
		// Their neighbours.
		0x800706a3: Other, 0x800706f8: Other, 0x80070718: Other, 0x80070729: Other, 0x80020009: Other,
	} {
		t.Run(fmt.Sprintf("0x%08x", uint32(code)), func(t *testing.T) {
			if got := ClassOf(code); got != want {
				t.Errorf("class %s, want %s", got, want)
			}
		})
	}
}

// TestProvesAbsent: of the codes for "not found" one alone proves that the object of a
// deletion is gone.
func TestProvesAbsent(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"no error", nil, false},
		{"not found", NewError(VerbDeleteLoadBalancer, "lb", ResultElementNotFound, ""), true},
		{"hcsshim found nothing", &Error{Class: NotFound, Err: errors.New("not found")}, true},
		{"its network is not found", NewError(VerbDeleteLoadBalancer, "lb", ResultNetworkNotFound, ""), false},
		{"an endpoint is not found", NewError(VerbDeleteLoadBalancer, "lb", ResultEndpointNotFound, ""), false},
		{"away", NewError(VerbDeleteLoadBalancer, "lb", ResultServerUnavailable, ""), false},
	} {
		if got := ProvesAbsent(tc.err); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
