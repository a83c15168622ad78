// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Reason says in one word why a frontend is not, or not fully, in force. It is the reason
// of the Event, the metric label and the word in tables, so a name stays once released.
type Reason string

// Reasons that follow from what Kubernetes says and what this HNS can do.
const (
	// NoEndpoints: no endpoint may serve this frontend now.
	NoEndpoints Reason = "NoEndpoints"
	// NoProtocol: HNS supports TCP and UDP only.
	NoProtocol Reason = "ProtocolUnsupported"
	// NoIPv6: this HNS or network has no IPv6.
	NoIPv6 Reason = "IPv6Unsupported"
	// NoSourceVIP: an overlay needs a source VIP, and none is known.
	NoSourceVIP Reason = "SourceVIPMissing"
	// Conflict: another Service has the better claim to the frontend (law 12).
	Conflict Reason = "FrontendConflict"
	// NoAffinity: HNS before 12.0 has no session affinity.
	NoAffinity Reason = "SessionAffinityUnsupported"
	// NoLocalPolicy: policy Local needs DSR, which this HNS lacks.
	NoLocalPolicy Reason = "LocalPolicyUnsupported"
	// NoAffinityTimeout: HNS keeps affinity without end.
	NoAffinityTimeout Reason = "AffinityTimeoutUnsupported"
	// NoSourceRanges: HNS does not filter by source address.
	NoSourceRanges Reason = "SourceRangesNotEnforced"
	// NodePortExcluded: HNS serves node ports on an address that the operator left out.
	NodePortExcluded Reason = "NodePortAddressExcluded"
	// TooManyEndpoints: a load balancer holds fewer endpoints than the Service has.
	TooManyEndpoints Reason = "TooManyEndpoints"
	// MixedPorts: HNS has one internal port per load balancer, the endpoints have several.
	MixedPorts Reason = "MixedTargetPorts"
	// EndpointRefused: some endpoints have an address that cannot be one, or that the
	// operator denies.
	EndpointRefused Reason = "EndpointAddressRefused"
	// VIPRefused: the frontend has an address that cannot be one of a Service.
	VIPRefused Reason = "VIPAddressRefused"
	// NoRootEndpoint: HNS lacks the endpoint that health checks are forwarded to.
	NoRootEndpoint Reason = "RootEndpointMissing"
)

// Reasons that follow from what HNS holds and how it answers.
const (
	// ForeignHolder: somebody else's load balancer holds the frontend.
	ForeignHolder Reason = "HeldByForeignLoadBalancer"
	// LocalMissing: HNS has the endpoint of none of the pods that should serve it (law 10).
	LocalMissing Reason = "LocalEndpointMissing"
	// LocalAwaited: in force, but for pods of this node whose endpoint HNS does not have.
	LocalAwaited Reason = "LocalEndpointAwaited"
	// AddressTaken: the address of the frontend, or of some backends, has a role of a higher
	// rank on this node (law 12).
	AddressTaken Reason = "EndpointAddressTaken"
	// EndpointReplaced: in force, but for an address at which another kind of endpoint is.
	EndpointReplaced Reason = "EndpointReplaced"
	// RouteAwaited: in force, but for pods of other nodes to which the overlay has no route yet.
	RouteAwaited Reason = "RouteAwaited"
	// SourceVIPAwaited: the endpoint of the source VIP comes before the load balancer.
	SourceVIPAwaited Reason = "SourceVIPAwaited"
	// NetworkIncomplete: the network does not have yet what everything on it rests on.
	NetworkIncomplete Reason = "NetworkIncomplete"
	// EndpointFailing: HNS refuses the endpoints of some backends.
	EndpointFailing Reason = "EndpointFailing"
	// HNSDegraded: in force, but HNS reports that its load balancer does not work as it should.
	HNSDegraded Reason = "HNSDegraded"
)

// Reasons of a frontend that HNS refuses, one for each class of error.
const (
	HNSNotFound      Reason = "HNSObjectNotFound"
	HNSPortInUse     Reason = "HNSPortInUse"
	HNSAlreadyExists Reason = "HNSObjectExists"
	HNSUnavailable   Reason = "HNSUnavailable"
	HNSUnsupported   Reason = "HNSUnsupported"
	HNSDenied        Reason = "HNSAccessDenied"
	HNSInvalid       Reason = "HNSInvalidValue"
	HNSTimeout       Reason = "HNSTimeout"
	HNSError         Reason = "HNSError"
)

// FailureReason returns the reason of a frontend for which HNS returned an error of a class.
func FailureReason(c hnslb.Class) Reason {
	switch c {
	case hnslb.NotFound:
		return HNSNotFound
	case hnslb.PortInUse:
		return HNSPortInUse
	case hnslb.AlreadyExists:
		return HNSAlreadyExists
	case hnslb.Unavailable:
		return HNSUnavailable
	case hnslb.Unsupported:
		return HNSUnsupported
	case hnslb.Denied:
		return HNSDenied
	case hnslb.Invalid:
		return HNSInvalid
	case hnslb.Timeout:
		return HNSTimeout
	case hnslb.Other:
	}
	return HNSError
}

// EventPolicy is how users are told of a Reason (law 13).
type EventPolicy struct {
	// Warning: it breaks traffic or security. Else things are only different.
	Warning bool
	// MinDuration is how long it has to last. What passes by itself is told to nobody.
	MinDuration time.Duration
	// Hint is what users should know beside the message.
	Hint string
}

// How long something lasts that passes by itself.
const (
	// retryGrace is time for half a dozen tries of a failing object.
	retryGrace = 10 * time.Second
	// startupGrace is time for the pods of a new Deployment, and their endpoints, to come.
	startupGrace = 30 * time.Second
)

// EventPolicies has the Telling of every Reason.
func EventPolicies() map[Reason]EventPolicy {
	const (
		warning = true
		normal  = false
	)
	return map[Reason]EventPolicy{
		NoEndpoints:   {normal, startupGrace, "on Windows, connections time out instead of being refused"},
		NoProtocol:    {warning, 0, ""},
		NoIPv6:        {warning, 0, ""},
		NoSourceVIP:   {warning, 0, ""},
		Conflict:      {warning, 0, ""},
		NoAffinity:    {warning, 0, ""},
		NoLocalPolicy: {warning, 0, ""},
		MixedPorts:    {warning, 0, ""},

		NoAffinityTimeout: {normal, 0, ""},
		NoSourceRanges:    {warning, 0, ""},
		NodePortExcluded:  {normal, 0, ""},
		TooManyEndpoints:  {warning, 0, ""},

		NoRootEndpoint: {warning, startupGrace, ""},

		EndpointRefused: {warning, 0, ""},
		VIPRefused:      {warning, 0, ""},
		AddressTaken:    {warning, 0, ""},

		ForeignHolder:    {warning, retryGrace, ""},
		LocalMissing:     {warning, startupGrace, "the network plugin creates HNS endpoints for pods"},
		LocalAwaited:     {normal, startupGrace, "the network plugin creates HNS endpoints for pods"},
		EndpointReplaced: {normal, startupGrace, ""},
		EndpointFailing:  {warning, retryGrace, ""},
		HNSDegraded:      {warning, retryGrace, ""},

		RouteAwaited:      {normal, startupGrace, "the network plugin adds routes to other nodes"},
		SourceVIPAwaited:  {warning, retryGrace, ""},
		NetworkIncomplete: {warning, startupGrace, "the network plugin and Windows set up the network"},

		HNSNotFound:      {warning, retryGrace, ""},
		HNSPortInUse:     {warning, retryGrace, ""},
		HNSAlreadyExists: {warning, retryGrace, ""},
		HNSUnavailable:   {warning, retryGrace, "is the HNS service running?"},
		HNSUnsupported:   {warning, retryGrace, ""},
		HNSDenied:        {warning, retryGrace, "hnsproxy must run as an administrator, or as NT AUTHORITY\\SYSTEM in a HostProcess container"},
		HNSInvalid:       {warning, retryGrace, ""},
		HNSTimeout:       {warning, retryGrace, "is the HNS service stuck?"},
		HNSError:         {warning, retryGrace, ""},
	}
}
