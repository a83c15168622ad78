// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles

import "github.com/hnsproxy/hnsproxy/hnslb"

// Quirks are the ways in which one Windows release, or one machine's set-up, differs from
// another for as long as it runs. The zero value is a machine without any.
//
// They also hold the points on which the evidence is thin: each such field says so, and a
// test can turn it to either side.
type Quirks struct {
	// ModifyLies: modify returns success and changes nothing. HNS 15.4 [A: k8s issue
	// 131466].
	ModifyLies bool

	// ModifyIgnoresSourceVIP, ModifyIgnoresPort: modify says yes, changes the endpoints, and
	// keeps the source VIP, or the internal port, that it had. Nobody has shown what a modify
	// changes besides endpoints [?].
	ModifyIgnoresSourceVIP, ModifyIgnoresPort bool

	// ModifyIgnoresFlags: modify takes a document with other flags and keeps those it had,
	// instead of refusing it [?].
	ModifyIgnoresFlags bool

	// EchoHides are flags of port mappings that HNS keeps and does not show: a node port made
	// with 2 and 16 was shown with 2 [B: calico issue 7305]. It may be another build's
	// kube-proxy that did not ask for 16.
	EchoHides hnslb.MappingFlags

	// EchoAdds and EchoAddsFlags are flags that HNS shows on every mapping, and on every load
	// balancer, though nobody asked for them. V1 prints ILB for each policy; no V2 document
	// with such a flag was seen [?].
	EchoAdds      hnslb.MappingFlags
	EchoAddsFlags hnslb.LoadBalancerFlags

	// HalfMadeHolds: what a failed create leaves behind (Faults.HalfMade) holds the frontend
	// until it is deleted, so that the next try meets 0x803b0013. It is not known whether it
	// does [?].
	HalfMadeHolds bool

	// PortBlocks is how many blocks of 64 ephemeral ports HNS has for load balancers
	// without DSR, per protocol; 0 means without limit. The default dynamic range has
	// 256. Pools are shared since KB4551853, so only ws2019 sets it [A: limit,
	// aks-engine issue 2684; C: which releases].
	PortBlocks int

	// ListenerTakesVIP: a listener on the any-address keeps a load balancer without DSR
	// from taking the same port on a VIP, not only on the node's own address. Server 2019
	// [B: kubernetes/community issue 8883].
	ListenerTakesVIP bool

	// UnknownEndpointCode refuses a load balancer that names an endpoint HNS does not
	// have: 0x803b0002 or 0x803b001c. Neither was sighted [C]. Zero means 0x803b0002.
	UnknownEndpointCode hnslb.HRESULT

	// LocalRefusedByRemote: a local endpoint is refused while a remote endpoint has its
	// address, so that the pod does not start [B: k8s issue 130963]. Off by default:
	// on L2Bridge of Server 2019 and 2022 both can exist [A: k8s PR 138000].
	LocalRefusedByRemote bool

	// DefaultNameV1 and DefaultNameV2: an endpoint that was made without a name is shown with
	// the name "Ethernet", through the V1 or the V2 interface [B: microsoft/SDN issue 227,
	// sig-windows-tools issue 84, acs-engine issue 4227; that V2 does so too is C, since the
	// logs come from V1 and hnsdiag]. hnslb.Driver lists as V1 does, and returns what it
	// made as V2 does.
	DefaultNameV1, DefaultNameV2 bool

	// SourceVIPFirst: a load balancer on an overlay gets no rules in VFP when the endpoint of
	// its source VIP comes after it. winkernel makes that endpoint first and stops when it
	// cannot [A]; what happens otherwise is unknown [?].
	SourceVIPFirst bool

	// OrphanDeleteFails: a load balancer whose network is gone cannot be deleted any
	// more, 0x803b0001. Server 2019 from 17763.1554 on, seen through V1 only [B:
	// aks-engine PR 3956], so off by default.
	OrphanDeleteFails bool

	// HostReachesVIPs: the host reaches every VIP, not only those with LocalRoutedVIP.
	// That flag is what adds the host's route [A: k8s PR 74825]; that nothing works
	// without it is [C].
	HostReachesVIPs bool

	// VIPNeedsEndpoint: on overlay, a pod reaches a cluster IP only when a remote endpoint
	// with that address exists. winkernel makes one for each [A]; what happens without
	// is unknown [?], so off by default.
	VIPNeedsEndpoint bool

	// NodePortWithoutPods: a node port answers even when the node has no local endpoint
	// whose switch port could carry the rules. It does not [B: common-problems page].
	NodePortWithoutPods bool

	// UDPFlowsStay: a change in place leaves UDP flows on an endpoint that the load balancer
	// names no more, whatever its VIP. Nobody has shown it; that DNS fails after its pods
	// moved until the load balancers are deleted speaks for it [C: aws/containers-roadmap
	// issue 2176], so off by default.
	UDPFlowsStay bool

	// ShowsDegraded: a load balancer without rules in VFP has State 4 through V1, and not 2.
	// That 4 is degraded is [A: findDegradedPolicy.ps1]; that it comes of lost rules is [C],
	// since networkhealth.ps1 looks for either, so off by default.
	ShowsDegraded bool

	// RestoredTwinCode refuses the frontend of a load balancer that HNS brought back
	// after a restart. Zero means 0x800700b7 [A: k8s issue 139519]; set 0x803b0013 for a
	// machine that answers as it does for any other twin.
	RestoredTwinCode hnslb.HRESULT

	// AbandonedWritesLost: a write whose caller's context ended is not carried out. By
	// default it is, later: a call into HNS cannot be taken back: the calls block without
	// timeout or cancellation [A: docs/hns.md, The C API].
	AbandonedWritesLost bool

	// NoNotifications: those who registered for notifications hear nothing at all. That
	// HNS tells of networks and of its end is [A: HCN reference]; how reliably is unknown
	// [?], so a client should work without.
	NoNotifications bool

	// StopUntold: HNS tells of networks, but not of its own end, after which it has
	// forgotten who registered. Nobody has shown that the end is told when the service
	// crashes [?].
	StopUntold bool
}

// ShownName is the name of an endpoint as the V1 or the V2 interface shows it.
func (q Quirks) ShownName(name string, v1 bool) string {
	if name == "" && (v1 && q.DefaultNameV1 || !v1 && q.DefaultNameV2) {
		return hnslb.DefaultEndpointName
	}
	return name
}

// Degrades tells whether a load balancer is shown as degraded, by whether it lacks rules in VFP.
func (q Quirks) Degrades(noRules bool) bool { return q.ShowsDegraded && noRules }
