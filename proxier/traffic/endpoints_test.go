// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// This file is the part of the oracle that says which endpoints a Service port has, and
// which of them are used.

// findEndpoints works out the endpoints of a claim: all that are listed, those that are
// used cluster-wide, and those of this node.
func (o *oracle) findEndpoints(c *claim) {
	if c.known {
		return
	}
	c.known = true
	for _, s := range o.slices {
		if o.belongs(s, c) {
			c.all = append(c.all, o.endpointsOf(s, c)...)
		}
	}
	c.all = o.once(c.all)
	c.wide = o.near(o.usable(c.all, fallbackCluster))
	c.onNode = o.usable(o.local(c.all), fallbackLocal)
}

// belongs: a slice belongs to the Service in its namespace that its label
// kubernetes.io/service-name names; its addressType is the family; a slice of host names
// is of no use to a proxy, nor one that other labels keep away from it.
// (EndpointSlices: "Ownership", "Address types"; KEP-2447)
func (o *oracle) belongs(s *discoveryv1.EndpointSlice, c *claim) bool {
	_, isHeadless := s.Labels["service.kubernetes.io/headless"]
	_, others := s.Labels["service.kubernetes.io/service-proxy-name"]
	switch {
	case s.Labels["kubernetes.io/service-name"] != c.service.Name:
		return false
	case s.Namespace != c.service.Namespace:
		o.used.note(otherNamespace)
		return false
	case isHeadless || others:
		o.used.note(hiddenSlice)
		return false
	case s.AddressType != c.family:
		o.used.note(otherFamily)
		return false
	}
	return true
}

// endpointsOf: the port of a slice that has the name and the protocol of the Service's
// port says which number the endpoints listen on. A port without a number is of no use to
// a Service; an endpoint's first address is the one to use.
// (EndpointSlice API: "ports", "port", "addresses")
func (o *oracle) endpointsOf(s *discoveryv1.EndpointSlice, c *claim) []endpoint {
	var out []endpoint
	for _, p := range s.Ports {
		switch {
		case orDefault(p.Name, "") != c.port.Name, orDefault(p.Protocol, corev1.ProtocolTCP) != c.port.Protocol:
			o.used.note(otherPort)
			continue
		case p.Port == nil:
			o.used.note(noPortNumber)
			continue
		}
		for _, e := range s.Endpoints {
			addr := netip.AddrPortFrom(netip.MustParseAddr(e.Addresses[0]), uint16(*p.Port))
			out = append(out, endpoint{addr, e})
		}
	}
	return out
}

// once: an endpoint may be listed more than once, while it moves between slices or while
// its address moves from a pod that terminates to another, to which packets go then: the
// one that does not terminate counts, else the one in the better state.
// (EndpointSlices: "Duplicate endpoints")
func (o *oracle) once(eps []endpoint) []endpoint {
	var out []endpoint
	for _, e := range eps {
		i := slices.IndexFunc(out, func(x endpoint) bool { return x.addr == e.addr })
		if i < 0 {
			out = append(out, e)
			continue
		}
		o.used.note(duplicates)
		switch x := out[i]; {
		case terminating(x) != terminating(e):
			if terminating(x) {
				out[i] = e
			}
		case ready(e) && !ready(x), draining(e) && !ready(x):
			out[i] = e
		}
	}
	return out
}

// ready: "indicates that this endpoint is ready to receive traffic. A nil value should be
// interpreted as true." (EndpointSlice API)
func ready(e endpoint) bool { return orDefault(e.api.Conditions.Ready, true) }

// terminating: nil is false. (KEP-1672)
func terminating(e endpoint) bool { return orDefault(e.api.Conditions.Terminating, false) }

// draining: serving, of which nil is true, and terminating. (KEP-1672)
func draining(e endpoint) bool {
	return orDefault(e.api.Conditions.Serving, true) && terminating(e)
}

// usable: traffic goes to ready endpoints; when there is none, to those that serve while
// they terminate. (KEP-1669)
func (o *oracle) usable(eps []endpoint, fallback rule) []endpoint {
	if r := filter(eps, ready); len(r) > 0 {
		if len(r) < len(eps) {
			o.used.note(readyOnly)
		}
		return r
	}
	d := filter(eps, draining)
	if len(d) > 0 {
		o.used.note(fallback)
	}
	return d
}

// local: the endpoints whose nodeName is this node. (EndpointSlices: "Topology")
func (o *oracle) local(eps []endpoint) []endpoint {
	return filter(eps, func(e endpoint) bool { return orDefault(e.api.NodeName, "") == o.node.Name })
}

// near: hints say for whom an endpoint is meant: first by node (KEP-3015), then by zone
// (KEP-2433). They hold only when every ready endpoint has one and one of them is for this
// node or zone, so that no Service is cut off; endpoints that are used although they
// terminate are taken as they are. (Topology Aware Routing: "Safeguards")
func (o *oracle) near(eps []endpoint) []endpoint {
	if len(eps) == 0 || !ready(eps[0]) {
		return eps
	}
	nodes := func(e endpoint) []string { return hints(e).nodes }
	zones := func(e endpoint) []string { return hints(e).zones }
	if here, all := meantFor(eps, nodes, o.node.Name); all && len(here) > 0 {
		o.used.note(nodeHints)
		return here
	}
	zone := o.node.Labels["topology.kubernetes.io/zone"]
	here, all := meantFor(eps, zones, zone)
	switch {
	case all && zone == "":
		o.used.note(noZoneLabel)
	case all && len(here) == 0:
		o.used.note(noHintForUs)
	case all:
		o.used.note(zoneHints)
		return here
	case slices.ContainsFunc(eps, func(e endpoint) bool { return len(zones(e)) > 0 }):
		o.used.note(partialHints)
	}
	return eps
}

type hintNames struct{ nodes, zones []string }

func hints(e endpoint) hintNames {
	var h hintNames
	if e.api.Hints != nil {
		for _, n := range e.api.Hints.ForNodes {
			h.nodes = append(h.nodes, n.Name)
		}
		for _, z := range e.api.Hints.ForZones {
			h.zones = append(h.zones, z.Name)
		}
	}
	return h
}

// meantFor returns the endpoints with a hint of that name, and whether all have hints.
func meantFor(eps []endpoint, of func(endpoint) []string, name string) (here []endpoint, all bool) {
	all = true
	for _, e := range eps {
		all = all && len(of(e)) > 0
		if name != "" && slices.Contains(of(e), name) {
			here = append(here, e)
		}
	}
	return here, all
}

func filter(eps []endpoint, keep func(endpoint) bool) []endpoint {
	var out []endpoint
	for _, e := range eps {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}

func orDefault[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
