// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// HRESULTs of HNS that hnslb gives no class of its own.
const (
	resultFail                 hnslb.HRESULT = 0x80004005
	resultNetworkAlreadyExists hnslb.HRESULT = 0x803b0010
	resultVFPNotAllowed        hnslb.HRESULT = 0x803b0037
)

// refusal is HNS saying no: the code, and what it adds to the text of the code.
type refusal struct {
	code   hnslb.HRESULT
	detail string
}

// Error returns HNS's own words.
func (r *refusal) Error() string { return ErrorText(r.code, r.detail) }

func refuse(code hnslb.HRESULT, format string, args ...any) error {
	return &refusal{code: code, detail: fmt.Sprintf(format, args...)}
}

// ErrorText returns the words that HNS puts in the error record for a code: the text of
// the code ending in a full stop and a space, then the detail, if any [A: logs in k8s
// issue 100962, hcsshim issue 1043, Windows-Containers issue 103].
func ErrorText(code hnslb.HRESULT, detail string) string {
	return textOf(code) + ". " + detail
}

// textOf returns the message of a code as Microsoft's HCN error page and the Windows
// message table have it.
func textOf(code hnslb.HRESULT) string {
	switch code {
	case hnslb.ResultNotImplemented:
		return "Not implemented"
	case resultFail:
		return "Unspecified error"
	case hnslb.ResultInvalidArgument:
		return "The parameter is incorrect"
	case hnslb.ResultWin32AlreadyExists:
		return "Cannot create a file when that file already exists"
	case hnslb.ResultElementNotFound:
		return "Element not found"
	case hnslb.ResultUnknownInterface:
		return "The interface is unknown"
	case hnslb.ResultServerUnavailable:
		return "The RPC server is unavailable"
	case hnslb.ResultCallFailed:
		return "The remote procedure call failed"
	case hnslb.ResultCallFailedNotRun:
		return "The remote procedure call failed and did not execute"
	case hnslb.ResultNoMoreMapperEntries:
		return "There are no more endpoints available from the endpoint mapper"
	case hnslb.ResultObjectExists:
		return "The object already exists"
	case hnslb.ResultAccessDenied:
		return "Access is denied"
	}
	if text := serviceTextOf(code); text != "" {
		return text
	}
	return hcnTextOf(code)
}

// serviceTextOf returns the messages of a service that is away, or of a call that does not
// get there.
func serviceTextOf(code hnslb.HRESULT) string {
	switch code {
	case hnslb.ResultServiceDisabled:
		return "The service cannot be started, either because it is disabled or because it has no enabled devices associated with it"
	case hnslb.ResultServiceNotActive:
		return "The service has not been started"
	case hnslb.ResultManagerStopped:
		return "Operation cannot be performed while service is stopping"
	case hnslb.ResultShuttingDown:
		return "A system shutdown is in progress"
	case hnslb.ResultServerTooBusy:
		return "The RPC server is too busy to complete this operation"
	case hnslb.ResultCallCancelled:
		return "The remote procedure call was cancelled"
	case hnslb.ResultServerFault:
		return "The server threw an exception"
	case hnslb.ResultDisconnected:
		return "The object invoked has disconnected from its clients"
	}
	return ""
}

// hcnTextOf returns the messages of facility 0x3b.
func hcnTextOf(code hnslb.HRESULT) string {
	switch code {
	case hnslb.ResultNetworkNotFound:
		return "The network was not found"
	case hnslb.ResultEndpointNotFound:
		return "The endpoint was not found"
	case hnslb.ResultAdapterNotFound:
		return "An adapter was not found"
	case hnslb.ResultSwitchPortNotFound:
		return "The switch-port was not found"
	case resultNetworkAlreadyExists:
		return "A network with this name already exists"
	case hnslb.ResultInvalidPolicy:
		return "The policy is invalid"
	case hnslb.ResultPortAlreadyExists:
		return "The specified port already exists"
	case hnslb.ResultRequestUnsupported:
		return "The specified request is unsupported"
	case hnslb.ResultInvalidJSON:
		return "Invalid JSON document string"
	case hnslb.ResultInvalidJSONReference:
		return "The reference is invalid in the JSON document"
	case hnslb.ResultInvalidIP:
		return "IP address is either invalid or not part of any configured subnet(s)"
	case hnslb.ResultInvalidInternalPort:
		return "The internal port must exist and cannot be zero"
	case hnslb.ResultAddressReserved:
		return "An address provided is invalid or reserved"
	case resultVFPNotAllowed:
		return "A network of this type can not be created because VFP is not available"
	}
	return fmt.Sprintf("Unknown error 0x%08x", uint32(code))
}
