// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// resultOK is the result label of a call that worked; any other value is a class of hnslb.
const resultOK = "ok"

func result(err error) string {
	if err == nil {
		return resultOK
	}
	return string(hnslb.ErrorClass(err))
}

// upstreamError returns the error label that upstream's failure counters have for err. The
// label has five values and follows the HRESULT where one value of it is meant; our own
// classes are finer, and hnsproxy_hns_calls_total has them.
func upstreamError(err error) string {
	var e *hnslb.Error
	if !errors.As(err, &e) {
		return "other"
	}
	switch {
	case e.Code == hnslb.ResultNetworkNotFound:
		return "network_not_found"
	case e.Code == hnslb.ResultInvalidIP:
		return "invalid_ip"
	case e.Class == hnslb.PortInUse:
		return "port_already_exists"
	case e.Class == hnslb.Unsupported:
		return "not_implemented"
	}
	return "other"
}

// upstreamErrors are all that upstreamError returns.
func upstreamErrors() []string {
	return []string{"network_not_found", "port_already_exists", "not_implemented", "invalid_ip", "other"}
}
