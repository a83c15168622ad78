// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// resultOK is the result label of a successful call; any other value is an error class of hnslb.
const resultOK = "ok"

func result(err error) string {
	if err == nil {
		return resultOK
	}
	return string(hnslb.ErrorClass(err))
}

// upstreamError returns the error label of kube-proxy's failure counters for err. The label has
// five values, derived from the HRESULT where a value is specific to one. hnsproxy_hns_calls_total
// has the finer classes of hnslb.
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

// upstreamErrors returns all values of upstreamError.
func upstreamErrors() []string {
	return []string{"network_not_found", "port_already_exists", "not_implemented", "invalid_ip", "other"}
}
