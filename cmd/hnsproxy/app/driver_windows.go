// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/hcn"
	"k8s.io/klog/v2"
)

// newHCN returns the driver of this machine's HNS.
func newHCN(logger klog.Logger) (hnslb.Driver, error) {
	return hcn.New(func(message string) { logger.Error(nil, message) }), nil
}
