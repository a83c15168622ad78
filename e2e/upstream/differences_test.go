// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDifferences holds what hnsproxy does in place of upstream, rule by rule: without its
// rule the case differs from upstream, with it there is no difference left.
func TestDifferences(t *testing.T) {
	cases := append(differencesOfInput(), differencesOfHNS()...)
	for _, tc := range cases {
		t.Run(tc.rule, func(t *testing.T) {
			c := plainCase()
			tc.change(c)
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), actual(c)); diff != "" {
				t.Errorf("frontends (-want +got):\n%s", diff)
			}
			without := slices.DeleteFunc(rules(), func(r rule) bool { return r.name == tc.rule })
			if len(without) != len(rules())-1 {
				t.Fatalf("no rule has this name")
			}
			if compare(c, without, tally{}) == "" {
				t.Error("upstream does the same: the rule is not needed")
			}
			if diff := compare(c, rules(), tally{}); diff != "" {
				t.Errorf("the rule does not explain it (-upstream +hnsproxy):\n%s", diff)
			}
		})
	}
	for _, r := range rules() {
		if !slices.ContainsFunc(cases, func(d difference) bool { return d.rule == r.name }) {
			t.Errorf("no case for the rule %q", r.name)
		}
		if r.reason == "" {
			t.Errorf("the rule %q gives no reason", r.name)
		}
	}
}

// difference is a directed test of one rule.
type difference struct {
	rule string
	// change makes the case out of the plain one.
	change func(*testCase)
	// want is what hnsproxy does.
	want string
}

// differencesOfInput are those in reading the API.
func differencesOfInput() []difference {
	return []difference{{
		"a slice may move to another Service",
		func(c *testCase) {
			moved := sliceOf("a", ready("10.244.2.5", otherNode))
			moved.Labels[discoveryv1.LabelServiceName] = "another"
			c.history = append(c.history, change{slice: moved})
		}, `
clusterip 10.96.0.5:80/TCP blocked NoEndpoints
`}, {
		"an address has one spelling",
		func(c *testCase) { c.service.Spec.ExternalIPs = []string{"203.0.113.010"} }, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
`}, {
		// Upstream serves the first as 203.0.113.1, and sends to the second as 10.244.2.6.
		"an address has one family",
		func(c *testCase) {
			c.service.Spec.ExternalIPs = []string{"::ffff:203.0.113.1"}
			c.service.Spec.ClusterIPs = append(c.service.Spec.ClusterIPs, "fd00:96::5")
			c.service.Spec.IPFamilies = append(c.service.Spec.IPFamilies, corev1.IPv6Protocol)
			c.add(ready("::ffff:10.244.2.6", otherNode))
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
clusterip [fd00:96::5]:80/TCP blocked NoEndpoints
externalip [::ffff:203.0.113.1]:80/TCP blocked VIPAddressRefused
`}, {
		// A Service without IPv6 has no such frontend at all.
		"an address has one family",
		func(c *testCase) { c.service.Spec.ExternalIPs = []string{"::ffff:203.0.113.1"} }, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
`}, {
		"this node's address is local",
		func(c *testCase) {
			c.service.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
			c.add(ready("10.0.0.4", otherNode))
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.0.0.4(local) 10.244.1.1(local)
`}, {
		// Upstream takes the last one of a slice, and of several slices any one.
		"one address in two states: the better one",
		func(c *testCase) { c.add(conditioned("10.244.2.5", otherNode, false, false, false)) }, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
`}, {
		"a health check counts an address that any slice shows ready here",
		func(c *testCase) {
			balanced(c)
			c.service.Spec.Ports[0].NodePort = 0
			c.service.Spec.HealthCheckNodePort = 30500
			c.history = nil
			c.add(conditioned("10.244.1.1", thisNode, true, true, true), conditioned("10.244.1.1", thisNode, false, false, false))
		}, `
clusterip 10.96.0.5:80/TCP blocked NoEndpoints
healthcheck IPv4 :30500 -> 1 local
`}, {
		"ingress addresses need type LoadBalancer",
		func(c *testCase) {
			c.service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
`}, {
		"one frontend per address",
		func(c *testCase) {
			c.service.Spec.ExternalIPs = []string{"203.0.113.1", "203.0.113.1", "10.96.0.5"}
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
externalip 203.0.113.1:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
`}, {
		// As an ingress IP it has source ranges.
		"one frontend per address",
		func(c *testCase) {
			restricted(c)
			c.service.Spec.ExternalIPs = []string{"198.51.100.1"}
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
nodeport 0.0.0.0:30080/TCP -> 8080 10.244.1.1(local)
ingressip 198.51.100.1:80/TCP -> 8080 10.244.1.1(local) limit SourceRangesNotEnforced
`}}
}

// differencesOfHNS are those that Windows asks for.
func differencesOfHNS() []difference {
	return []difference{{
		"preserve-destination is policy Local",
		func(c *testCase) {
			balanced(c)
			c.service.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
			c.service.Annotations = map[string]string{"preserve-destination": "true"}
			c.service.Spec.ExternalIPs = []string{"203.0.113.1"}
			c.service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
nodeport 0.0.0.0:30080/TCP -> 8080 10.244.1.1(local)
externalip 203.0.113.1:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
ingressip 198.51.100.1:80/TCP -> 8080 10.244.1.1(local)
`}, {
		"policy Local needs DSR",
		func(c *testCase) {
			balanced(c)
			c.version = hnslb.Version{Major: 9, Minor: 2}
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
nodeport 0.0.0.0:30080/TCP -> 8080 10.244.1.1(local) 10.244.2.5 limit LocalPolicyUnsupported
`}, {
		"short cut in place of nothing",
		func(c *testCase) {
			balanced(c)
			c.service.Spec.ExternalIPs = []string{"203.0.113.1"}
			c.history = nil
			c.add(ready("10.244.2.5", otherNode))
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.2.5
nodeport 0.0.0.0:30080/TCP blocked NoEndpoints
externalip 203.0.113.1:80/TCP -> 8080 10.244.2.5
`}, {
		"source ranges are not enforced",
		restricted, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
nodeport 0.0.0.0:30080/TCP -> 8080 10.244.1.1(local)
ingressip 198.51.100.1:80/TCP -> 8080 10.244.1.1(local) limit SourceRangesNotEnforced
`}, {
		"source ranges are not enforced",
		func(c *testCase) {
			restricted(c)
			c.options.SkipSourceRanges = true
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5
nodeport 0.0.0.0:30080/TCP -> 8080 10.244.1.1(local)
ingressip 198.51.100.1:80/TCP blocked SourceRangesNotEnforced
`}, {
		"no SCTP",
		func(c *testCase) {
			c.service.Spec.Ports[0].Protocol = corev1.ProtocolSCTP
			c.history[0].slice.Ports[0].Protocol = new(corev1.ProtocolSCTP)
		}, `
clusterip 10.96.0.5:80/SCTP blocked ProtocolUnsupported
`}, {
		"no IPv6 on an overlay",
		func(c *testCase) {
			toIPv6(c)
			c.network.Type = "Overlay"
			c.options.SourceVIP = netip.MustParseAddr("10.244.1.250")
		}, `
clusterip [fd00:96::5]:80/TCP blocked IPv6Unsupported
`}, {
		"no IPv6 before HNS 11.10",
		func(c *testCase) {
			toIPv6(c)
			c.version = hnslb.Version{Major: 9, Minor: 5}
		}, `
clusterip [fd00:96::5]:80/TCP blocked IPv6Unsupported
`}, {
		// Upstream would drop what comes to the cluster IP.
		"no verdicts",
		func(c *testCase) {
			c.service.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
			c.history = nil
			c.add(ready("10.244.2.5", otherNode))
		}, `
clusterip 10.96.0.5:80/TCP blocked NoEndpoints
`}, {
		"one target port per load balancer",
		func(c *testCase) {
			b := sliceOf("b", ready("10.244.2.6", otherNode))
			b.Ports[0].Port = new(int32(70))
			c.history = append(c.history, change{slice: b})
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5 limit MixedTargetPorts
`}, {
		// All of this node, and no other gets in.
		"at most so many endpoints per load balancer",
		func(c *testCase) {
			c.version = hnslb.Version{Major: 9, Minor: 5}
			c.history = nil
			c.add(ready("10.244.2.5", otherNode))
			for _, ip := range crowd() {
				c.add(ready(ip, thisNode))
			}
		},
		"clusterip 10.96.0.5:80/TCP -> 8080 " + strings.Join(crowd(), "(local) ") + "(local) limit TooManyEndpoints\n",
	}, {
		"an overlay needs a source VIP",
		func(c *testCase) {
			c.network.Type = "Overlay"
			c.network.Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}
		}, `
clusterip 10.96.0.5:80/TCP blocked SourceVIPMissing
`}}
}

// plainCase is an IPv4 Service with one ready pod here and one elsewhere, in slice "a".
// Upstream and hnsproxy agree on it.
func plainCase() *testCase {
	c := &testCase{
		service: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.5", ClusterIPs: []string{"10.96.0.5"},
				IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
				Ports:      []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80}},
			},
		},
		node:    &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: thisNode}},
		network: hnslb.Network{ID: "n", Type: "L2Bridge", ManagementIP: netip.MustParseAddr("10.0.0.4")},
		version: hnslb.Version{Major: 13, Minor: 2},
	}
	c.node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.4"}}
	c.add(ready("10.244.1.1", thisNode), ready("10.244.2.5", otherNode))
	return c
}

func TestPlainCase(t *testing.T) {
	want := "clusterip 10.96.0.5:80/TCP -> 8080 10.244.1.1(local) 10.244.2.5\n"
	if diff := cmp.Diff(want, actual(plainCase())); diff != "" {
		t.Errorf("frontends (-want +got):\n%s", diff)
	}
	if diff := compare(plainCase(), nil, tally{}); diff != "" {
		t.Errorf("without any rule (-upstream +hnsproxy):\n%s", diff)
	}
}

// add puts endpoints into slice "a".
func (c *testCase) add(endpoints ...discoveryv1.Endpoint) {
	if len(c.history) == 0 {
		c.history = []change{{slice: sliceOf("a")}}
	}
	s := c.history[0].slice
	s.Endpoints = append(s.Endpoints, endpoints...)
}

// balanced makes the Service one of type LoadBalancer with policy Local and a node port.
func balanced(c *testCase) {
	spec := &c.service.Spec
	spec.Type = corev1.ServiceTypeLoadBalancer
	spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	spec.Ports[0].NodePort = 30080
}

// crowd returns as many addresses as early HNS takes in one load balancer.
func crowd() []string {
	var out []string
	for i := range 64 {
		out = append(out, fmt.Sprintf("10.244.1.%d", 100+i))
	}
	return out
}

// restricted is balanced, with an ingress IP that has source ranges.
func restricted(c *testCase) {
	balanced(c)
	c.service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}
	c.service.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"}
}

func toIPv6(c *testCase) {
	spec := &c.service.Spec
	spec.ClusterIP, spec.ClusterIPs, spec.IPFamilies = "fd00:96::5", []string{"fd00:96::5"}, []corev1.IPFamily{corev1.IPv6Protocol}
	c.history = []change{{slice: sliceOf("a", ready("fd00:2::5", otherNode))}}
	c.history[0].slice.AddressType = discoveryv1.AddressTypeIPv6
}

func sliceOf(name string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new(""), Protocol: new(corev1.ProtocolTCP), Port: new(int32(8080))}},
		Endpoints:   endpoints,
	}
}

func ready(ip, node string) discoveryv1.Endpoint { return conditioned(ip, node, true, true, false) }

func conditioned(ip, node string, ready, serving, terminating bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses: []string{ip}, NodeName: &node,
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
	}
}
