// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Transition is a change of state. The status table, Events, metrics, logs and health checks are
// derived from transitions alone.
type Transition interface{ transition() }

// FrontendState is the state of a frontend.
type FrontendState string

// The states of a frontend.
const (
	// Programmed: HNS has the frontend as desired.
	Programmed FrontendState = "programmed"
	// Pending: the frontend is about to be written, or part of it waits for something.
	Pending FrontendState = "pending"
	// Blocked: the frontend cannot be programmed until something else changes.
	Blocked FrontendState = "blocked"
	// Failing: HNS refused the frontend; it is retried.
	Failing FrontendState = "failing"
)

type (
	// FrontendStatus reports the state of a frontend and the reason.
	FrontendStatus struct {
		Frontend *desired.Frontend
		State    FrontendState
		Note     desired.Note
	}
	// FrontendChanged reports that the desired state of a frontend has changed. Its state stays the
	// same.
	FrontendChanged struct{ Frontend *desired.Frontend }
	// FrontendGone reports that a Service no longer has a frontend.
	FrontendGone struct {
		Service services.Name
		Key     hnslb.FrontendKey
	}
	// ChangeProgrammed reports that all frontends that an endpoint change affects are programmed,
	// and how long after the change was recorded in the EndpointSlice.
	ChangeProgrammed struct {
		Family hnslb.Family
		After  time.Duration
	}
	// Queued reports that work for an IP family was queued.
	Queued struct{ Family hnslb.Family }
	// Written reports that a call changed HNS.
	Written struct{ Family hnslb.Family }
	// LoadBalancerFailed reports that a load balancer could not be written.
	LoadBalancerFailed struct {
		Verb   hnslb.Verb
		Family hnslb.Family
		Kind   desired.Kind
		Err    error
	}
	// Retrying reports that a failed object is retried at a given time.
	Retrying struct {
		Object string
		Err    error
		At     time.Time
	}
	// Hanging reports that a call has exceeded the call timeout. Its object waits for it.
	Hanging struct {
		Object string
		Verb   hnslb.Verb
		For    time.Duration
	}
	// Drifted reports that another program changed objects in HNS.
	Drifted struct{ Frontends, Endpoints int }
	// DeletionsUndone reports that HNS still lists objects that it reported as deleted.
	DeletionsUndone struct{ Objects int }
	// HNSFound reports the features of HNS.
	HNSFound struct{ Features hnslb.Features }
	// NetworkFound reports the network that carries the pods.
	NetworkFound struct{ Network hnslb.Network }
	// NetworkIncomplete reports what the network is missing for writes. It is repeated every
	// minute.
	NetworkIncomplete struct {
		Network hnslb.Network
		Missing string
		Since   time.Time
	}
	// NetworkComplete reports that nothing is missing any more.
	NetworkComplete struct {
		Network hnslb.Network
		Host    desired.Host
	}
	// HostFound reports the address and MAC of this node on the network, with the node addresses
	// and the network that they were determined from.
	HostFound struct {
		Host    desired.Host
		Node    []netip.Addr
		Network hnslb.Network
	}
	// NodeChanged reports that the zone or the addresses of the Node have changed.
	NodeChanged struct{ From, To services.Node }
	// RoutesMissing reports pods on other nodes for which no route was added in time.
	RoutesMissing struct{ IPs []netip.Addr }
	// HNSLost reports that HNS does not answer, or that the network does not exist. It is repeated
	// every minute.
	HNSLost struct {
		Err   error
		Since time.Time
	}
	// ListFailed reports that HNS could not be listed. It is repeated at most every minute.
	ListFailed struct{ Err error }
	// EndpointLimitLearned reports the maximum number of endpoints that HNS accepts in a load
	// balancer.
	EndpointLimitLearned struct{ MaxEndpoints int }
	// ModifyIncomplete reports that HNS updated the endpoints of a load balancer in place, but not
	// its internal port or source VIP. It is reported once.
	ModifyIncomplete struct{ Key hnslb.FrontendKey }
	// ModifyFailed reports that updates in place are disabled until a given time.
	ModifyFailed struct {
		Err   error
		Until time.Time
	}
)

// same returns whether there is nothing new to report.
func (h HostFound) same(o HostFound) bool {
	return h.Host == o.Host && slices.Equal(h.Node, o.Node) && h.Network.ManagementIP == o.Network.ManagementIP
}

func (FrontendStatus) transition()       {}
func (FrontendChanged) transition()      {}
func (FrontendGone) transition()         {}
func (ChangeProgrammed) transition()     {}
func (Queued) transition()               {}
func (Written) transition()              {}
func (LoadBalancerFailed) transition()   {}
func (Retrying) transition()             {}
func (Hanging) transition()              {}
func (Drifted) transition()              {}
func (DeletionsUndone) transition()      {}
func (HNSFound) transition()             {}
func (NetworkFound) transition()         {}
func (NetworkIncomplete) transition()    {}
func (NetworkComplete) transition()      {}
func (HostFound) transition()            {}
func (NodeChanged) transition()          {}
func (RoutesMissing) transition()        {}
func (HNSLost) transition()              {}
func (ListFailed) transition()           {}
func (ModifyFailed) transition()         {}
func (ModifyIncomplete) transition()     {}
func (EndpointLimitLearned) transition() {}
