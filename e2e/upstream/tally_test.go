// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/proxy"
)

// leastHits is how often every branch and every rule has to be taken: a comparison that
// never meets a branch says nothing about it.
const leastHits = 200

// tally counts how often the cases took each branch.
type tally map[string]int

// The branches that every run must take.
const (
	nodeHints         = "node hints used (KEP-3015)"
	zoneHints         = "zone hints used (KEP-2433)"
	hintsMissing      = "hints ignored: a ready endpoint has none"
	hintsElsewhere    = "hints ignored: none is for this node or zone"
	hintsWithoutZone  = "hints ignored: the node has no zone"
	hintsOfNode       = "no hint for this node, the zone's used"
	drainingCluster   = "terminating endpoints used, policy Cluster (KEP-1669)"
	drainingLocal     = "terminating endpoints used, policy Local (KEP-1669)"
	drainingLocalOnly = "terminating endpoints used for policy Local alone"
	localDespiteHints = "policy Local takes what hints leave out"
	usesBoth          = "a Service port uses both policies"
	neverReady        = "endpoints, and none that may serve"
	readyTerminating  = "an endpoint is ready and terminating (publishNotReadyAddresses)"
	duplicate         = "an address is shown twice"
	terminatingLoses  = "an address is shown twice, one terminates and loses"
	sameNumber        = "two Service ports have one number"
	dualStack         = "dual stack"
	nilCondition      = "a condition is nil"
	nilNode           = "an endpoint names no node"
	nilPort           = "a slice port has no number"
	sliceReplaced     = "a slice was replaced"
	sliceRemoved      = "a slice was removed"
	withAffinity      = "session affinity"
	healthy           = "health-check node port with endpoints (KEP-1669)"
	unhealthy         = "health-check node port without endpoints"
)

// faceBranch names the branch of a kind of frontend and its verdict, e.g. "nodeport,
// policy Local: drop".
func faceBranch(k desired.Kind, local bool, v verdict) string {
	policy := "Cluster"
	if local {
		policy = "Local"
	}
	return fmt.Sprintf("%s, policy %s: %s", k, policy, v)
}

// branches lists all that must be taken, the rules included.
func branches() []string {
	out := []string{
		nodeHints, zoneHints, hintsMissing, hintsElsewhere, hintsWithoutZone, hintsOfNode, localDespiteHints,
		drainingCluster, drainingLocal, drainingLocalOnly, neverReady, readyTerminating, usesBoth,
		duplicate, terminatingLoses, sameNumber, dualStack, nilCondition, nilNode, nilPort, sliceReplaced, sliceRemoved, withAffinity,
		healthy, unhealthy,
	}
	for _, k := range []desired.Kind{desired.ClusterIP, desired.NodePort, desired.ExternalIP, desired.IngressIP} {
		out = append(out, faceBranch(k, false, forward), faceBranch(k, false, reject),
			faceBranch(k, true, forward), faceBranch(k, true, drop), faceBranch(k, true, reject))
	}
	for _, r := range rules() {
		out = append(out, r.name)
	}
	return out
}

func (t tally) add(o tally) {
	for k, n := range o {
		t[k] += n
	}
}

// report prints the counts, and returns the branches that were taken too seldom.
func (t tally) report() (text string, seldom []string) {
	var b strings.Builder
	for _, name := range branches() {
		fmt.Fprintf(&b, "%9d  %s\n", t[name], name)
		if t[name] < leastHits {
			seldom = append(seldom, name)
		}
	}
	return b.String(), seldom
}

func (t tally) when(is bool, name string) {
	if is {
		t[name]++
	}
}

func (t tally) face(f *face) { t[faceBranch(f.kind, f.local, f.verdict)]++ }

// input counts what a case shows of the API's corners.
func (t tally) input(c *testCase) {
	numbers := map[int32]bool{}
	twice := false
	for _, p := range c.service.Spec.Ports {
		twice = twice || numbers[p.Port]
		numbers[p.Port] = true
	}
	t.when(twice, sameNumber)
	t.when(len(c.service.Spec.ClusterIPs) == 2, dualStack)
	t.when(c.service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP, withAffinity)
	seen := map[string]bool{}
	for _, ch := range c.history {
		t.when(ch.removed, sliceRemoved)
		t.when(!ch.removed && seen[ch.slice.Name], sliceReplaced)
		seen[ch.slice.Name] = true
	}
	for _, s := range c.slices() {
		for _, p := range s.Ports {
			t.when(p.Port == nil, nilPort)
		}
		for _, e := range s.Endpoints {
			t.when(e.NodeName == nil, nilNode)
			t.when(e.Conditions.Ready == nil || e.Conditions.Serving == nil || e.Conditions.Terminating == nil, nilCondition)
		}
	}
	for _, all := range sightings(c.slices()) {
		if len(all) > 1 {
			t[duplicate]++
			t.when(len(equals(all)) < len(all), terminatingLoses)
		}
	}
}

// choice counts the ways in which upstream came to its answer, read off the answer.
func (t tally) choice(c *testCase, ch choice) {
	ready := filter(ch.all, proxy.Endpoint.IsReady)
	t.when(len(ch.all) > 0 && !ch.hasAny, neverReady)
	t.when(slices.ContainsFunc(ready, proxy.Endpoint.IsTerminating), readyTerminating)
	localDraining := len(ch.local) > 0 && !ch.local[0].IsReady()
	t.when(localDraining, drainingLocal)
	t.when(ch.port.UsesClusterEndpoints() && ch.port.UsesLocalEndpoints(), usesBoth)
	if !ch.port.UsesClusterEndpoints() {
		return
	}
	t.when(len(ch.cluster) > 0 && len(ready) == 0, drainingCluster)
	t.when(localDraining && len(ready) > 0, drainingLocalOnly)
	t.when(len(ch.local) > 0 && !slices.Contains(ch.cluster, ch.local[0]) && len(ready) > 0 && !localDraining, localDespiteHints)
	if len(ready) > 0 {
		t[hintBranch(c, ready, len(ch.cluster))]++
	}
}

// hintBranch tells what upstream did with the hints of ready endpoints, by how many of
// them it took; "" when they have none.
func hintBranch(c *testCase, ready []proxy.Endpoint, taken int) string {
	zone := c.node.Labels[corev1.LabelTopologyZone]
	withNode := filter(ready, func(e proxy.Endpoint) bool { return e.NodeHints().Len() > 0 })
	withZone := filter(ready, func(e proxy.Endpoint) bool { return e.ZoneHints().Len() > 0 })
	forNode := slices.ContainsFunc(ready, func(e proxy.Endpoint) bool { return e.NodeHints().Has(thisNode) })
	switch {
	case taken < len(ready) && len(withNode) == len(ready) && forNode:
		return nodeHints
	case taken < len(ready) && len(withNode) > 0:
		return hintsOfNode
	case taken < len(ready):
		return zoneHints
	case len(withNode) == 0 && len(withZone) == 0:
		return ""
	case len(withNode) < len(ready) && len(withZone) < len(ready):
		return hintsMissing
	case forNode && len(withNode) == len(ready) || zone != "" && slices.ContainsFunc(ready, func(e proxy.Endpoint) bool { return e.ZoneHints().Has(zone) }):
		// All of them are for us: the answer does not show whether hints were looked at.
		return ""
	case len(withZone) == len(ready) && zone == "":
		return hintsWithoutZone
	}
	return hintsElsewhere
}

func filter(in []proxy.Endpoint, keep func(proxy.Endpoint) bool) []proxy.Endpoint {
	var out []proxy.Endpoint
	for _, e := range in {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}
