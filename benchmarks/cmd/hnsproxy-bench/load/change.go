// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load makes the cluster of a scenario and the stream of its changes, each with the time at which it is meant to be
// written. Both are decided by the scenario and its seed alone: what the proxy does has no influence (open loop), so a proxy that
// stalls is not spared the changes that come meanwhile.
package load

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Names that systems under test need.
const (
	// Namespace of all objects.
	Namespace = "bench"
	// NodeName is the node of the proxy; local endpoints are on it.
	NodeName = "bench-node"
)

// Action is what happens to the proxy or to HNS instead of a change of objects.
type Action string

// The actions.
const (
	RestartProxy Action = "restart of the proxy"
	RestartHNS   Action = "restart of HNS"
)

// Change is what happens at one time.
type Change struct {
	// At is when it is meant to happen, counted from the first change.
	At time.Duration
	// Action is set when no objects change.
	Action Action
	// Writes are to be made in this order.
	Writes []Write
	// Wants is what must hold once the change is in force. None means that the change concerns no proxy.
	Wants []Want
	// NeededWrites is what the change costs HNS if it is made on its own.
	NeededWrites int
	// Appear are local pods whose HNS endpoints the network plugin makes before the change, Vanish those that it removes after.
	Appear, Vanish []netip.Addr
}

// Write is the write of one object: of a Service or an EndpointSlice, the other is nil.
type Write struct {
	Service *corev1.Service
	Slice   *discoveryv1.EndpointSlice
	Delete  bool
}

// Want is what one frontend must send to.
type Want struct {
	Frontend hnslb.FrontendKey
	// Backends are in no order. None means that HNS must have no load balancer for the frontend.
	Backends []netip.Addr
}
