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

// Transition is something that became of somebody. The status table, Events, metrics, logs
// and health follow transitions and look into nothing else.
type Transition interface{ transition() }

// FrontendState is how far a frontend is.
type FrontendState string

// The states of a frontend.
const (
	// Programmed: HNS holds it as desired.
	Programmed FrontendState = "programmed"
	// Pending: it is about to be written, or part of it waits for something.
	Pending FrontendState = "pending"
	// Blocked: it cannot be programmed until something else changes.
	Blocked FrontendState = "blocked"
	// Failing: HNS refused it; it is tried again.
	Failing FrontendState = "failing"
)

type (
	// FrontendStatus says in which state a frontend is, and why.
	FrontendStatus struct {
		Frontend *desired.Frontend
		State    FrontendState
		Note     desired.Note
	}
	// FrontendChanged says that a frontend is desired otherwise. Its state is as before.
	FrontendChanged struct{ Frontend *desired.Frontend }
	// FrontendGone says that a Service has a frontend no more.
	FrontendGone struct {
		Service services.Name
		Key     hnslb.FrontendKey
	}
	// ChangeProgrammed says that an endpoint change is in force, after how long.
	ChangeProgrammed struct {
		Family hnslb.Family
		After  time.Duration
	}
	// Queued says that work of a family waits.
	Queued struct{ Family hnslb.Family }
	// Written says that a call changed HNS.
	Written struct{ Family hnslb.Family }
	// LoadBalancerFailed says that a load balancer could not be written.
	LoadBalancerFailed struct {
		Verb   hnslb.Verb
		Family hnslb.Family
		Kind   desired.Kind
		Err    error
	}
	// Retrying says that an object is tried again at some time.
	Retrying struct {
		Object string
		Err    error
		At     time.Time
	}
	// Hanging says that a call has not returned for a long time; its object waits for it.
	Hanging struct {
		Object string
		Verb   hnslb.Verb
		For    time.Duration
	}
	// Drifted says that HNS was changed by somebody else.
	Drifted struct{ Frontends, Endpoints int }
	// DeletionsUndone says that HNS reported objects as deleted and still has them.
	DeletionsUndone struct{ Objects int }
	// HNSFound says which HNS this is.
	HNSFound struct{ Features hnslb.Features }
	// NetworkFound says which network carries the pods.
	NetworkFound struct{ Network hnslb.Network }
	// NetworkIncomplete says what the network lacks of what writes rest on, and again every
	// minute.
	NetworkIncomplete struct {
		Network hnslb.Network
		Missing string
		Since   time.Time
	}
	// NetworkComplete says that it has come.
	NetworkComplete struct {
		Network hnslb.Network
		Host    desired.Host
	}
	// HostFound says which address and MAC of this node count on the network, and what the Node
	// and the network say of it.
	HostFound struct {
		Host    desired.Host
		Node    []netip.Addr
		Network hnslb.Network
	}
	// NodeChanged says that the Node has another zone or other addresses.
	NodeChanged struct{ From, To services.Node }
	// RoutesMissing are pods of other nodes to which no route has come.
	RoutesMissing struct{ IPs []netip.Addr }
	// HNSLost says that HNS does not answer, or has no such network, and again every minute.
	HNSLost struct {
		Err   error
		Since time.Time
	}
	// ListFailed says that HNS could not be listed, and again every minute.
	ListFailed struct{ Err error }
	// EndpointLimitLearned says that HNS takes no more endpoints in a load balancer than that.
	EndpointLimitLearned struct{ MaxEndpoints int }
	// ModifyIncomplete says that HNS changed the endpoints of a load balancer in place, but not
	// its internal port or source VIP. It is told once.
	ModifyIncomplete struct{ Key hnslb.FrontendKey }
	// ModifyFailed says that HNS cannot change load balancers in place for now.
	ModifyFailed struct {
		Err   error
		Until time.Time
	}
)

// same tells whether there is nothing new to tell.
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
