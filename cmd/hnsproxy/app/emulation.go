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

// Emulation is the HNS of --hns-driver=emulator with the environment of a node; package emulated
// implements it.
type Emulation interface {
	// Driver returns the driver of the HNS.
	Driver() hnslb.Driver
	// Release returns the emulated Windows release.
	Release() string
	// Listen simulates a program of the host that listens on a port until stop is called.
	Listen(protocol hnslb.Protocol, port uint16) (stop func(), err error)
	// SetSlice updates an EndpointSlice, whose endpoints on this node become pods; nil deletes it.
	SetSlice(name cache.ObjectName, s *services.Slice)
	// Prepare creates the network if it does not exist, and the endpoints of all pods. node may be
	// nil.
	Prepare(node *corev1.Node) error
	// Run simulates the environment of HNS until ctx ends.
	Run(ctx context.Context)
	// Save writes the HNS to its state file, if there is one.
	Save() error
}

// Emulate returns an Emulation. It is nil in a program without the emulator.
type Emulate func(*Options, klog.Logger, clock.WithTicker) (Emulation, error)

// make returns the Emulation for the options.
func (e Emulate) make(o *Options, logger klog.Logger, c clock.WithTicker) (Emulation, error) {
	if e == nil {
		return nil, options.Invalid("hns-driver", o.HNS, "the emulator is for other systems than Windows, and no part of this program", "use --hns-driver=hcn")
	}
	return e(o, logger, c)
}
