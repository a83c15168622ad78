// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe finds out what the HNS of a machine does where our documents (quirks.md) are
// not sure: what it refuses and with which code, what it shows of what it was given, what a
// modify changes, how many endpoints a load balancer may name, and how long calls take.
//
// Each fact is one entry in facts, or one in outOfReach with the reason why a client cannot
// see it. A fact is believed when two tries agree; otherwise it is unknown, and the reason is
// told. What needs packets, a restart of HNS, a pod or a network of its own is out of reach.
//
// # Scratch objects
//
// The probe makes remote endpoints and load balancers of its own and touches no others. The
// endpoints carry a name that begins with NamePrefix and addresses that are set aside for
// documentation and benchmarks (RFC 5737, RFC 2544). Load balancers have no names in HNS:
// those of the probe name nothing but scratch endpoints. Where the endpoints may be gone, the
// journal tells: it is written before the first object is made, says which addresses and
// ports the run uses, none of which anybody else had, and is removed when nothing is left. So
// the next run removes what a run left behind that was killed at any point.
package probe
