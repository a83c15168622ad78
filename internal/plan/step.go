// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// Step is one change in HNS, made by one call of the driver. It is a CreateEndpoint,
// DeleteEndpoint, CreateLoadBalancer, UpdateLoadBalancer or DeleteLoadBalancer.
type Step interface {
	// Verb returns the driver call.
	Verb() hnslb.Verb
	// Object returns the address of an endpoint, or the frontend of a load balancer.
	Object() string
	// Backends returns the addresses that a load balancer references after the step.
	Backends() []netip.Addr
	// String returns the step as one line, without HNS IDs.
	String() string
}

// CreateEndpoint creates an endpoint.
type CreateEndpoint struct {
	Endpoint hnslb.Endpoint
}

// DeleteEndpoint deletes an endpoint.
type DeleteEndpoint struct {
	ID hnslb.ID
	IP netip.Addr
}

// CreateLoadBalancer creates the load balancer of a frontend.
type CreateLoadBalancer struct {
	Target
}

// UpdateLoadBalancer changes the load balancer of a frontend in place.
type UpdateLoadBalancer struct {
	Target
}

// DeleteLoadBalancer deletes a load balancer. Key is the zero value for a half-made one.
type DeleteLoadBalancer struct {
	ID  hnslb.ID
	Key hnslb.FrontendKey
}

// Target is the desired load balancer of a frontend.
type Target struct {
	Frontend *desired.Frontend
	// IPs are the addresses of the backends, in order, including those whose endpoints earlier
	// steps of the unit create.
	IPs []netip.Addr
	// LoadBalancer references the endpoints that exist in HNS now. These are all of them if the
	// step is the first of its unit.
	LoadBalancer hnslb.LoadBalancer
}

// Verb implements Step.
func (s CreateEndpoint) Verb() hnslb.Verb { return hnslb.VerbCreateEndpoint }

// Verb implements Step.
func (s DeleteEndpoint) Verb() hnslb.Verb { return hnslb.VerbDeleteEndpoint }

// Verb implements Step.
func (s CreateLoadBalancer) Verb() hnslb.Verb { return hnslb.VerbCreateLoadBalancer }

// Verb implements Step.
func (s UpdateLoadBalancer) Verb() hnslb.Verb { return hnslb.VerbUpdateLoadBalancer }

// Verb implements Step.
func (s DeleteLoadBalancer) Verb() hnslb.Verb { return hnslb.VerbDeleteLoadBalancer }

// IP returns the address of the endpoint.
func (s CreateEndpoint) IP() netip.Addr { return s.Endpoint.IPs[0] }

// Object implements Step.
func (s CreateEndpoint) Object() string { return s.IP().String() }

// Object implements Step.
func (s DeleteEndpoint) Object() string { return s.IP.String() }

// Object implements Step.
func (t Target) Object() string { return t.Frontend.Key.String() }

// Object implements Step.
func (s DeleteLoadBalancer) Object() string { return s.Key.String() }

// Backends implements Step.
func (s CreateEndpoint) Backends() []netip.Addr { return nil }

// Backends implements Step.
func (s DeleteEndpoint) Backends() []netip.Addr { return nil }

// Backends implements Step.
func (t Target) Backends() []netip.Addr { return t.IPs }

// Backends implements Step.
func (s DeleteLoadBalancer) Backends() []netip.Addr { return nil }

// String implements Step.
func (s CreateEndpoint) String() string {
	kind := "local"
	if s.Endpoint.Remote {
		kind = "remote"
	}
	line := fmt.Sprintf("create endpoint %s %s mac %s", s.IP(), kind, s.Endpoint.MAC)
	if pa := s.Endpoint.ProviderAddress; pa.IsValid() {
		line += " via " + pa.String()
	}
	return line
}

// String implements Step.
func (s DeleteEndpoint) String() string { return "delete endpoint " + s.Object() }

// String implements Step.
func (s CreateLoadBalancer) String() string { return "create loadbalancer " + s.text() }

// String implements Step.
func (s UpdateLoadBalancer) String() string { return "update loadbalancer " + s.text() }

// String implements Step.
func (s DeleteLoadBalancer) String() string { return "delete loadbalancer " + s.Object() }

func (t Target) text() string {
	f := t.Frontend
	line := fmt.Sprintf("%s port %d to %s", f.Key, f.InternalPort, join(t.IPs))
	if flags := FlagNames(t.LoadBalancer); flags != "" {
		line += " flags " + flags
	}
	if f.SourceVIP.IsValid() {
		line += " source " + f.SourceVIP.String()
	}
	return line
}

func join(ips []netip.Addr) string {
	texts := make([]string, 0, len(ips))
	for _, ip := range ips {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, ",")
}

// FlagNames returns the flags, mapping flags and distribution of a load balancer with one mapping,
// comma-separated.
func FlagNames(lb hnslb.LoadBalancer) string {
	m := lb.Mappings[0]
	var names []string
	add := func(on bool, name string) {
		if on {
			names = append(names, name)
		}
	}
	add(lb.Flags&hnslb.DSR != 0, "dsr")
	add(lb.Flags&hnslb.IPv6Enabled != 0, "ipv6")
	add(m.Flags&hnslb.LocalRoutedVIP != 0, "local-routed")
	add(m.Flags&hnslb.UseMux != 0, "mux")
	add(m.Flags&hnslb.PreserveDIP != 0, "preserve-dip")
	add(m.Flags&hnslb.VIPExternal != 0, "external")
	add(m.Distribution == hnslb.SourceIP, "source-ip")
	return strings.Join(names, ",")
}
