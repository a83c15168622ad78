// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"
)

// rule is a sentence of the oracle, or a limit of Windows, that decided about a packet.
type rule string

// The rules of Kubernetes, in the order of the oracle.
const (
	nobodysAddress       rule = "an address that no Service has is nobody's"
	externalName         rule = "ExternalName has no virtual IP"
	headless             rule = "headless has no virtual IP"
	otherProxy           rule = "service-proxy-name: another proxy's Service"
	ingressName          rule = "ingress with a host name is no address"
	ipModeProxy          rule = "ipMode Proxy is left alone"
	giverWins            rule = "of two Services the one that was given the address has it"
	eldestWins           rule = "of two equal Services the older one has the address"
	nodePorts            rule = "a node port is for the node's addresses"
	nodePortAddresses    rule = "--nodeport-addresses leaves addresses out"
	otherNamespace       rule = "slices belong to the Service of their namespace"
	hiddenSlice          rule = "labels hide a slice"
	otherFamily          rule = "slices of another address type do not count"
	otherPort            rule = "ports match by name and protocol"
	noPortNumber         rule = "a port without number is of no use"
	duplicates           rule = "an endpoint in two slices is one endpoint"
	readyOnly            rule = "ready endpoints only"
	fallbackCluster      rule = "else terminating ones, cluster-wide"
	fallbackLocal        rule = "else terminating ones, on the node"
	nodeHints            rule = "hints for the node"
	zoneHints            rule = "hints for the zone"
	noZoneLabel          rule = "zone hints need a zone label"
	noHintForUs          rule = "zone hints need one for us"
	partialHints         rule = "zone hints need all to have one"
	internalLocal        rule = "internalTrafficPolicy Local"
	internalLocalNone    rule = "internalTrafficPolicy Local without endpoints"
	clusterIPFromOutside rule = "the cluster IP promises nothing outside"
	externalCluster      rule = "externalTrafficPolicy Cluster"
	externalLocalOnly    rule = "externalTrafficPolicy Local"
	externalLocalNone    rule = "externalTrafficPolicy Local without endpoints"
	inClusterShortCut    rule = "Cluster semantics within the cluster"
	sourceRanges         rule = "loadBalancerSourceRanges"
	noEndpoints          rule = "no endpoints, no delivery"
	delivered            rule = "delivered to every endpoint"
	sourceKept           rule = "the client's address is kept"
	stickyClients        rule = "sessionAffinity ClientIP"
	podToPod             rule = "packets to pods pass as they are"
)

func kubernetesRules() []rule {
	return []rule{nobodysAddress, externalName, headless, otherProxy, ingressName, ipModeProxy, giverWins, eldestWins, nodePorts, nodePortAddresses,
		otherNamespace, hiddenSlice, otherFamily, otherPort, noPortNumber, duplicates, readyOnly, fallbackCluster,
		fallbackLocal, nodeHints, zoneHints, noZoneLabel, noHintForUs, partialHints, internalLocal, internalLocalNone,
		clusterIPFromOutside, externalCluster, externalLocalOnly, externalLocalNone, inClusterShortCut, sourceRanges,
		noEndpoints, delivered, sourceKept, stickyClients, podToPod}
}

// tally counts how often each rule decided.
type tally map[rule]int

func (t tally) note(r rule) { t[r]++ }

// report lists all rules with their counts, and returns those that never decided.
func (t tally) report(all []rule) (text string, never []rule) {
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintf(&b, "%9d  %s\n", t[r], r)
		if t[r] == 0 {
			never = append(never, r)
		}
	}
	for r := range t {
		if !slices.Contains(all, r) {
			never = append(never, r+" (not in the list)")
		}
	}
	return b.String(), never
}
