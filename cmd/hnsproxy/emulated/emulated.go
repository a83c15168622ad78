// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package emulated is the HNS of --hns-driver=emulator as a node has one: with the network plugin
// of the node, and a file that keeps it over restarts. The production program for Windows is
// built without it.
package emulated

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// HNS is an emulated HNS with what a node has around it.
type HNS struct {
	emulator *emulator.Emulator
	plugin   *networkPlugin
	// state is the file that keeps it, empty for none.
	state  string
	logger klog.Logger
	clock  clock.WithTicker
}

// New makes the HNS of the options, with what its state file holds.
func New(o *options.Options, logger klog.Logger, c clock.WithTicker) (*HNS, error) {
	e, err := newEmulator(o.Emulated, c)
	if err != nil {
		return nil, err
	}
	return &HNS{e, newNetworkPlugin(e, o, logger), o.Emulated.State, logger, c}, nil
}

// newEmulator makes the emulator, with what its state file holds.
func newEmulator(o options.EmulatorOptions, c clock.Clock) (*emulator.Emulator, error) {
	profile, err := options.EmulatedProfile(o.Profile)
	if err != nil {
		return nil, err
	}
	if o.Latency == options.NoLatency {
		profile.Timings = nil
	}
	latency := emulator.NoLatency()
	if o.Latency == options.WS2022Latency {
		latency = emulator.WS2022Latency()
	}
	e := emulator.New(emulator.Config{Profile: profile, Latency: latency, Clock: c})
	if o.State == "" {
		return e, nil
	}
	if err := e.LoadFile(o.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("restore the emulated HNS (delete the file to start from scratch): %w", err)
	}
	return e, nil
}

// Emulator is the HNS alone.
func (h *HNS) Emulator() *emulator.Emulator { return h.emulator }

// Driver programs the HNS.
func (h *HNS) Driver() hnslb.Driver { return h.emulator }

// Release names the Windows release that is emulated.
func (h *HNS) Release() string { return h.emulator.Profile().Name }

// Listen makes a program of the host listen on a port, until stop is called.
func (h *HNS) Listen(protocol hnslb.Protocol, port uint16) (stop func(), err error) {
	h.emulator.Reserve(port, protocol)
	return func() { h.emulator.Release(port, protocol) }, nil
}

// SetSlice tells the network plugin of an EndpointSlice, which places pods on this node; nil
// says that it is gone.
func (h *HNS) SetSlice(name cache.ObjectName, s *services.Slice) { h.plugin.set(name, s) }

// Prepare makes the network if there is none, and the endpoints of all pods. node may be nil.
func (h *HNS) Prepare(node *corev1.Node) error { return h.plugin.start(node) }

// Run does what goes on around the HNS until ctx ends.
func (h *HNS) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { h.plugin.run(ctx, h.clock) })
	if h.state != "" {
		s := &saver{save: h.Save, changes: h.changes, logger: h.logger, clock: h.clock}
		running.Go(func() { s.run(ctx) })
	}
}

// Save writes the state file, if there is one.
func (h *HNS) Save() error {
	if h.state == "" {
		return nil
	}
	return h.emulator.SaveFile(h.state)
}

// changes counts what was changed in the HNS so far, by the network plugin too.
func (h *HNS) changes() int {
	n := h.plugin.changes()
	for verb, calls := range h.emulator.Counts() {
		if verb.IsWrite() {
			n += calls
		}
	}
	return n
}
