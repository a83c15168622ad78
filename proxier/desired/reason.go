// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Reason is why a frontend is not, or not fully, programmed. It is the reason of the Event, the
// metric label and the value in tables, so it must not change once released.
type Reason string

// Reasons that follow from the Kubernetes objects and the features of this HNS.
const (
	// NoEndpoints: no ready or serving endpoints.
	NoEndpoints Reason = "NoEndpoints"
	// NoProtocol: HNS supports TCP and UDP only.
	NoProtocol Reason = "ProtocolUnsupported"
	// NoIPv6: this HNS or network does not support IPv6.
	NoIPv6 Reason = "IPv6Unsupported"
	// NoSourceVIP: an overlay needs a source VIP, and none is configured.
	NoSourceVIP Reason = "SourceVIPMissing"
	// Conflict: another Service has precedence for the frontend (law 12).
	Conflict Reason = "FrontendConflict"
	// NoAffinity: HNS before 12.0 does not support session affinity.
	NoAffinity Reason = "SessionAffinityUnsupported"
	// NoLocalPolicy: policy Local needs DSR, which this HNS does not support.
	NoLocalPolicy Reason = "LocalPolicyUnsupported"
	// NoAffinityTimeout: session affinity of HNS does not expire.
	NoAffinityTimeout Reason = "AffinityTimeoutUnsupported"
	// NoSourceRanges: HNS does not filter by source address.
	NoSourceRanges Reason = "SourceRangesNotEnforced"
	// NodePortExcluded: HNS serves node ports on an address that --nodeport-addresses excludes.
	NodePortExcluded Reason = "NodePortAddressExcluded"
	// TooManyEndpoints: the Service has more endpoints than a load balancer supports.
	TooManyEndpoints Reason = "TooManyEndpoints"
	// MixedPorts: the endpoints have several target ports, and HNS supports one per load balancer.
	MixedPorts Reason = "MixedTargetPorts"
	// EndpointRefused: some endpoints have an invalid address, or one that the operator denies.
	EndpointRefused Reason = "EndpointAddressRefused"
	// VIPRefused: the frontend has an address that is not valid for a Service.
	VIPRefused Reason = "VIPAddressRefused"
	// NoRootEndpoint: HNS does not have the endpoint that health checks are forwarded to.
	NoRootEndpoint Reason = "RootEndpointMissing"
)

// Reasons that follow from the state of HNS.
const (
	// ForeignHolder: a load balancer of another program occupies the frontend.
	ForeignHolder Reason = "HeldByForeignLoadBalancer"
	// LocalMissing: HNS has an endpoint for none of the pods that should serve the frontend (law
	// 10).
	LocalMissing Reason = "LocalEndpointMissing"
	// LocalAwaited: programmed without some pods of this node, which have no HNS endpoint yet.
	LocalAwaited Reason = "LocalEndpointAwaited"
	// AddressTaken: the address of the frontend, or of some backends, has a role with a higher rank
	// on this node (law 12).
	AddressTaken Reason = "EndpointAddressTaken"
	// EndpointReplaced: programmed without an address whose HNS endpoint is being replaced.
	EndpointReplaced Reason = "EndpointReplaced"
	// RouteAwaited: programmed without some pods on other nodes, to which the overlay has no route
	// yet.
	RouteAwaited Reason = "RouteAwaited"
	// SourceVIPAwaited: the load balancer waits for the endpoint of the source VIP.
	SourceVIPAwaited Reason = "SourceVIPAwaited"
	// NetworkIncomplete: the network does not have yet what all objects on it depend on.
	NetworkIncomplete Reason = "NetworkIncomplete"
	// EndpointFailing: HNS refuses the endpoints of some backends.
	EndpointFailing Reason = "EndpointFailing"
	// HNSDegraded: programmed, but HNS reports its load balancer as degraded.
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

// FailureReason returns the reason for an HNS error of a class.
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

// EventPolicy is how a Reason is reported to users (law 13).
type EventPolicy struct {
	// Warning: it affects traffic or security. Otherwise the Event has type Normal.
	Warning bool
	// MinDuration is how long the reason has to persist before it is reported, so that transient
	// problems are not.
	MinDuration time.Duration
	// Hint is appended to the message.
	Hint string
}

// How long transient problems last.
const (
	// retryGrace allows for about six attempts on a failing object.
	retryGrace = 10 * time.Second
	// startupGrace allows for the pods of a new Deployment, and their endpoints, to start.
	startupGrace = 30 * time.Second
)

// EventPolicies returns the EventPolicy of every Reason.
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
