// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import (
	"errors"
	"fmt"
	"strconv"
)

// Class says what an HNS error means for the caller.
type Class string

// Error classes. The HRESULTs behind each stand in ClassOf.
const (
	// NotFound: the object is not there. The only class that means absent (law 6).
	NotFound Class = "not-found"
	// PortInUse: another load balancer, a listener, a reservation or an exhausted
	// ephemeral range holds the port.
	PortInUse Class = "port-in-use"
	// AlreadyExists: HNS has the object, e.g. since it brought it back after a restart.
	AlreadyExists Class = "already-exists"
	// Unavailable: HNS is away or stopping. What became of the call is unknown.
	Unavailable Class = "unavailable"
	// Unsupported: this HNS has no such operation.
	Unsupported Class = "unsupported"
	// Denied: this process may not write HNS. It runs as another user than an administrator.
	Denied Class = "access-denied"
	// Invalid: HNS refuses the value; the same value will be refused again.
	Invalid Class = "invalid"
	// Timeout: the call did not return in time. What became of it is unknown.
	Timeout Class = "timeout"
	// Other: anything else.
	Other Class = "other"
)

// HRESULT is a Windows result code.
type HRESULT uint32

// String prints "0x803b0013".
func (r HRESULT) String() string { return fmt.Sprintf("0x%08x", uint32(r)) }

// MarshalText makes JSON show a code as people look for it.
func (r HRESULT) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a code in any base that Go knows.
func (r *HRESULT) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 0, 32)
	if err != nil {
		return fmt.Errorf("result code %q: %w", text, err)
	}
	*r = HRESULT(n)
	return nil
}

// HRESULTs that HNS was seen to return, and those of a service that is away.
const (
	ResultNotImplemented       HRESULT = 0x80004001
	ResultServerFault          HRESULT = 0x80010105
	ResultDisconnected         HRESULT = 0x80010108
	ResultAccessDenied         HRESULT = 0x80070005
	ResultInvalidArgument      HRESULT = 0x80070057
	ResultWin32AlreadyExists   HRESULT = 0x800700b7
	ResultServiceDisabled      HRESULT = 0x80070422
	ResultServiceNotActive     HRESULT = 0x80070426
	ResultShuttingDown         HRESULT = 0x8007045b
	ResultElementNotFound      HRESULT = 0x80070490
	ResultUnknownInterface     HRESULT = 0x800706b5
	ResultServerUnavailable    HRESULT = 0x800706ba
	ResultServerTooBusy        HRESULT = 0x800706bb
	ResultCallFailed           HRESULT = 0x800706be
	ResultCallFailedNotRun     HRESULT = 0x800706bf
	ResultNoMoreMapperEntries  HRESULT = 0x800706d9
	ResultCallCancelled        HRESULT = 0x8007071a
	ResultObjectExists         HRESULT = 0x80071392
	ResultNetworkNotFound      HRESULT = 0x803b0001
	ResultEndpointNotFound     HRESULT = 0x803b0002
	ResultAdapterNotFound      HRESULT = 0x803b0006
	ResultSwitchPortNotFound   HRESULT = 0x803b0007
	ResultInvalidPolicy        HRESULT = 0x803b000d
	ResultPortAlreadyExists    HRESULT = 0x803b0013
	ResultRequestUnsupported   HRESULT = 0x803b0015
	ResultInvalidJSON          HRESULT = 0x803b001b
	ResultInvalidJSONReference HRESULT = 0x803b001c
	ResultInvalidIP            HRESULT = 0x803b001e
	ResultManagerStopped       HRESULT = 0x803b0020
	ResultInvalidInternalPort  HRESULT = 0x803b002d
	ResultAddressReserved      HRESULT = 0x803b002f
)

// ClassOf maps an HRESULT to its class.
//
// ResultSwitchPortNotFound is Other on purpose: the endpoint exists, and only its switch port does
// not yet (the pod is being attached), so it must not count as absent.
func ClassOf(r HRESULT) Class {
	switch r {
	case ResultElementNotFound, ResultNetworkNotFound, ResultEndpointNotFound:
		return NotFound
	case ResultPortAlreadyExists:
		return PortInUse
	case ResultWin32AlreadyExists, ResultObjectExists:
		return AlreadyExists
	case ResultServiceDisabled, ResultServiceNotActive, ResultShuttingDown, ResultManagerStopped:
		return Unavailable
	case ResultNotImplemented, ResultRequestUnsupported:
		return Unsupported
	case ResultAccessDenied:
		return Denied
	case ResultInvalidArgument, ResultInvalidJSON, ResultInvalidJSONReference, ResultInvalidIP,
		ResultInvalidPolicy, ResultInvalidInternalPort, ResultAddressReserved:
		return Invalid
	}
	if r.isRPCFailure() {
		return Unavailable
	}
	return Other
}

// isRPCFailure returns whether a code means that the remote procedure call to HNS failed, rather
// than that HNS returned an error.
func (r HRESULT) isRPCFailure() bool {
	const facilityRPC, facilityWin32 = 0x80010000, 0x80070000
	code := r & 0xffff
	switch r &^ 0xffff {
	case facilityRPC:
		return true
	case facilityWin32: // RPC_S_ and RPC_X_ codes
		return code >= 1700 && code <= 1783 || code >= 1817 && code <= 1832
	}
	return false
}

// ProvesAbsent returns whether the error of a deletion proves that the object does not exist. HNS
// was observed to return 0x803b0001 and keep the load balancer (Azure/aks-engine PR 3956).
func ProvesAbsent(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Class == NotFound && (e.Code == 0 || e.Code == ResultElementNotFound)
}

// Error is a failed driver call.
type Error struct {
	// Verb that failed.
	Verb Verb
	// Object of the call: a name, an ID, an address or a frontend.
	Object string
	Class  Class
	// Code is the HRESULT, 0 if there is none (a timeout, a missing DLL).
	Code HRESULT
	// Err is the cause, with the message of HNS.
	Err error
}

// NewError returns an Error for an HRESULT and a message of HNS.
func NewError(v Verb, object string, code HRESULT, text string) *Error {
	return &Error{Verb: v, Object: object, Class: ClassOf(code), Code: code, Err: errors.New(text)}
}

// Error returns verb, object, class, code and cause.
func (e *Error) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("%s %s: %s: %v", e.Verb, e.Object, e.Class, e.Err)
	}
	return fmt.Sprintf("%s %s: %s (0x%08x): %v", e.Verb, e.Object, e.Class, uint32(e.Code), e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrorClass returns the class of err, Other for an error of another type, and "" for nil.
func ErrorClass(err error) Class {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Other
}

// ErrorCode returns the HRESULT of err, 0 if it has none.
func ErrorCode(err error) HRESULT {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// OutcomeUnknown returns whether the call that returned err may still have taken effect, so that
// HNS has to be listed again (law 6).
func OutcomeUnknown(err error) bool {
	c := ErrorClass(err)
	return c == Unavailable || c == Timeout
}
