// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import "fmt"

// Version is the version of HNS, read from its V1 path /globals/version.
type Version struct{ Major, Minor int }

// String returns the version in the form "13.2".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// AtLeast returns whether v is o or later.
func (v Version) AtLeast(o Version) bool {
	return v.Major > o.Major || v.Major == o.Major && v.Minor >= o.Minor
}

// Features is what an HNS version supports.
type Features struct {
	Version Version
	// V2: the HCN API. RemoteSubnet: policies that map a subnet to the host that carries it, which
	// an overlay needs. HNS 9.2 or later.
	V2, RemoteSubnet bool
	// DSR: direct server return. Packets are rewritten at the client's own port, and policy Local
	// preserves the client address. HNS 9.3-9.x and 10.2 or later.
	DSR bool
	// SessionAffinity: DistributionType source IP. HNS 12.0 or later.
	SessionAffinity bool
	// IPv6: dual stack. HNS 11.10 or later; never on overlay.
	IPv6 bool
	// MaxEndpoints is the maximum number of endpoints of a load balancer. HNS 9.x may accept only
	// EarlyMaxEndpoints.
	MaxEndpoints int
	// Modify: load balancers can be updated in place. HNS 15.5-15.x and 16.0 or later; 15.4 accepts
	// the call, but changes nothing (k8s issue 131466).
	Modify bool
}

// EarlyMaxEndpoints was the maximum number of endpoints of a load balancer in the first releases
// (k8s issue 98680); later it is 1,024 (k8s issue 135518). Which build of Server 2019 changed that,
// if any, is not known.
const EarlyMaxEndpoints = 64

// FeaturesOf returns the features of an HNS version (docs/hns.md, Versions and features; the gates
// are those of microsoft/hnslib).
func FeaturesOf(v Version) Features {
	return Features{
		Version:         v,
		V2:              v.AtLeast(Version{9, 2}),
		RemoteSubnet:    v.AtLeast(Version{9, 2}),
		DSR:             v.Major == 9 && v.Minor >= 3 || v.AtLeast(Version{10, 2}),
		SessionAffinity: v.AtLeast(Version{12, 0}),
		IPv6:            v.AtLeast(Version{11, 10}),
		MaxEndpoints:    1024,
		Modify:          v.AtLeast(Version{15, 5}),
	}
}
