// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Emulation is the HNS of --hns-driver=emulator with what a node has around it; package
// emulated has one.
type Emulation interface {
	// Driver programs the HNS.
	Driver() hnslb.Driver
	// Release names the Windows release that is emulated.
	Release() string
	// Listen makes a program of the host listen on a port, until stop is called.
	Listen(protocol hnslb.Protocol, port uint16) (stop func(), err error)
	// SetSlice tells of an EndpointSlice, which places pods on this node; nil says that it is
	// gone.
	SetSlice(name cache.ObjectName, s *services.Slice)
	// Prepare makes the network if there is none, and the endpoints of all pods. node may be
	// nil.
	Prepare(node *corev1.Node) error
	// Run does what goes on around the HNS until ctx ends.
	Run(ctx context.Context)
	// Save keeps the HNS in its state file, if there is one.
	Save() error
}

// Emulate makes an Emulation. It is nil in a program that has none.
type Emulate func(*Options, klog.Logger, clock.WithTicker) (Emulation, error)

// make is the Emulation that the options ask for.
func (e Emulate) make(o *Options, logger klog.Logger, c clock.WithTicker) (Emulation, error) {
	if e == nil {
		return nil, options.Invalid("hns-driver", o.HNS, "the emulator is for other systems than Windows, and no part of this program", "use --hns-driver=hcn")
	}
	return e(o, logger, c)
}
