// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Env is what frontends depend on besides their Service. It is immutable; a new Env means
// that every Service is computed again.
type Env struct {
	node     services.Node
	network  hnslb.Network
	features hnslb.Features
	options  Options
	routes   routes
	root     Root
	// host is this node on an overlay. awaited are addresses of pods of other nodes to which
	// the network has no route yet.
	host    Host
	awaited map[netip.Addr]bool
	// denied are the ranges of options.DenyEndpoints.
	denied []netip.Prefix
}

// Options are the operator's choices.
type Options struct {
	// DSR asks for direct server return on cluster IPs (--enable-dsr).
	DSR bool
	// SourceVIP is the source address of balanced traffic (--source-vip), per family;
	// the zero Addr when not given.
	SourceVIP netip.Addr
	// BridgeSource says what the source address is on a network that is no overlay; "" is
	// BridgeAuto.
	BridgeSource BridgeSource
	// UDPInPlace changes load balancers of UDP in place when a backend or its port goes, though
	// flows may stay on it (--hns-udp-in-place).
	UDPInPlace bool
	// NoShortCut keeps pods of a node without endpoints from addresses with
	// externalTrafficPolicy Local, as it keeps everybody else (--hns-local-short-cut=false).
	NoShortCut bool
	// RootEndpoint names the HNS endpoint of the node itself, to which health checks of
	// ingress IPs are forwarded (--root-hnsendpoint-name); empty forwards none.
	RootEndpoint string
	// SkipSourceRanges keeps ingress IPs out of HNS that loadBalancerSourceRanges restricts,
	// since HNS would let everybody in (--hns-unenforced-source-ranges=skip).
	SkipSourceRanges bool
	// HealthzPort is where this proxy serves /healthz, 0 for nowhere. Health checks of
	// Services without a port of their own are forwarded to it.
	HealthzPort uint16
	// NodePortAddresses say on which addresses of the node its node ports answer
	// (--nodeport-addresses).
	NodePortAddresses NodePortAddresses
	// DenyEndpoints are ranges whose addresses are left out as endpoints and as external IPs
	// (--hns-deny-endpoints).
	DenyEndpoints AddressRanges
}

// BridgeSource is the source address of balanced traffic on a network that is no overlay
// (--hns-bridge-source-vip).
type BridgeSource string

// The values of BridgeSource.
const (
	// BridgeAuto is the node's address on HNS 9.x, whose newer builds otherwise take the VIP
	// itself for NAT, so that a pod never gets the answer of its own Service; elsewhere none.
	// What kube-proxy.exe made without one is left as it is.
	BridgeAuto BridgeSource = "auto"
	// BridgeNone is none, as kube-proxy has it.
	BridgeNone BridgeSource = "none"
	// BridgeGiven is the one that the operator gives, which kube-proxy uses on an overlay only.
	BridgeGiven BridgeSource = "source-vip"
)

// CheckCompatible says why an HNS and its network cannot serve with these options, nil if they can.
func (o Options) CheckCompatible(f hnslb.Features, n hnslb.Network) error {
	switch {
	case !f.V2:
		return fmt.Errorf("HNS %s does not support the HCN API (V2): update Windows to HNS 9.2 or later", f.Version)
	case n.IsOverlay() && !f.RemoteSubnet:
		return fmt.Errorf("HNS %s does not support remote subnets, required by overlay network %s: update Windows to HNS 9.2 or later", f.Version, n.Name)
	case o.DSR && !f.DSR:
		return fmt.Errorf("--enable-dsr is not supported by HNS %s: update Windows to HNS 9.3 (Server 2019, August 2020) or 10.2 or later, "+
			"or remove the flag", f.Version)
	}
	return nil
}

// NewEnv gathers what frontends depend on.
func NewEnv(node services.Node, network hnslb.Network, features hnslb.Features, o Options) *Env {
	o.NodePortAddresses = o.NodePortAddresses.For(node)
	return &Env{node: node, network: network, features: features, options: o, routes: newRoutes(network),
		host: HostOf(node, network), denied: o.DenyEndpoints.prefixes()}
}

// WithHost returns the Env with another address and MAC of this node: the last ones that were
// known, while the network shows none.
func (e *Env) WithHost(h Host) *Env {
	with := *e
	with.host = h
	return &with
}

// WithAwaited returns the Env of a network whose routes to some addresses are awaited. The set
// must not be changed afterwards.
func (e *Env) WithAwaited(ips map[netip.Addr]bool) *Env {
	with := *e
	with.awaited = ips
	return &with
}

// AwaitedCount returns to how many addresses a route is awaited.
func (e *Env) AwaitedCount() int { return len(e.awaited) }

// AwaitsRoute tells whether a route to an address is awaited: nothing is made for it now.
func (e *Env) AwaitsRoute(ip netip.Addr) bool { return e.awaited[ip] }

// LacksRoute tells whether the network of an overlay has no route to a pod of another node.
// Without one its provider address is not known, and this node's own would lead nowhere.
func (e *Env) LacksRoute(ip netip.Addr) bool {
	if !e.network.IsOverlay() || hnslb.FamilyOf(ip) != hnslb.IPv4 || e.OwnAddress(ip) || e.inSubnets(ip) {
		return false
	}
	_, routed := e.routes.host(ip)
	return !routed
}

// Same tells whether both give every frontend and endpoint the same value.
func (e *Env) Same(o *Env) bool {
	return e.node.SameTopology(o.node) && e.features == o.features && e.options == o.options && e.root == o.root &&
		e.host == o.host && maps.Equal(e.awaited, o.awaited) &&
		e.network.ID == o.network.ID && e.network.Type == o.network.Type &&
		e.network.ManagementIP == o.network.ManagementIP &&
		slices.Equal(e.network.Subnets, o.network.Subnets) && slices.Equal(e.network.Remotes, o.network.Remotes)
}

// Network returns the HNS network of the node's pods.
func (e *Env) Network() hnslb.Network { return e.network }

// Host returns the address and the MAC of this node on an overlay.
func (e *Env) Host() Host { return e.host }

// Features returns what this HNS can do.
func (e *Env) Features() hnslb.Features { return e.features }

// SourceVIP returns the configured source VIP, or the zero Addr.
func (e *Env) SourceVIP() netip.Addr { return e.options.SourceVIP }

// UDPInPlace tells whether a load balancer of UDP may be changed in place when a backend goes.
func (e *Env) UDPInPlace() bool { return e.options.UDPInPlace }

// shortCut tells whether pods of a node without endpoints may go where others may not.
func (e *Env) shortCut(local bool) bool { return local && !e.options.NoShortCut }

// OwnAddress tells whether an address is one of this node's.
func (e *Env) OwnAddress(ip netip.Addr) bool {
	return ip.IsValid() && (ip == e.network.ManagementIP || ip == e.host.IP || slices.Contains(e.node.IPs, ip))
}

// NeedsSourceVIP tells whether a source address needs an endpoint of its own: that of the
// source VIP on an overlay.
func (e *Env) NeedsSourceVIP(source netip.Addr) bool {
	return source.IsValid() && e.IsSourceVIP(source)
}

// IsSourceVIP tells whether an address is the source VIP, which has an endpoint of its own
// on an overlay. Elsewhere the source VIP is an address like others, such as the node's own.
func (e *Env) IsSourceVIP(ip netip.Addr) bool {
	return e.network.IsOverlay() && ip == e.options.SourceVIP && !e.OwnAddress(ip)
}

// LocalOnly tells whether only the network plugin may bring an endpoint at an address: on an
// overlay, an address of this node's own pod subnet. A remote endpoint there would lead
// nowhere, and would keep the plugin from making the endpoint of a pod that gets the address
// (k8s issue 130963). On L2Bridge several nodes may share one subnet.
func (e *Env) LocalOnly(ip netip.Addr) bool {
	if !e.network.IsOverlay() || e.OwnAddress(ip) || !e.inSubnets(ip) {
		return false
	}
	_, elsewhere := e.routes.host(ip)
	return !elsewhere
}

func (e *Env) inSubnets(ip netip.Addr) bool {
	return slices.ContainsFunc(e.network.Subnets, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// nodeIP returns the node's address of a family: what the Node object says, else the
// management address of the network.
func (e *Env) nodeIP(f hnslb.Family) netip.Addr {
	if ip := e.node.IP(f); ip.IsValid() {
		return ip
	}
	if m := e.network.ManagementIP; m.IsValid() && hnslb.FamilyOf(m) == f {
		return m
	}
	return netip.Addr{}
}

// nodePortExcluded tells when --nodeport-addresses leaves out the address on which HNS serves
// node ports: the node's own, and no other (docs/hns.md, What a load balancer can express).
func (e *Env) nodePortExcluded(f hnslb.Family) Note {
	ip := e.nodeIP(f)
	if !ip.IsValid() || e.options.NodePortAddresses.Contains(ip) {
		return Note{}
	}
	return Note{NodePortExcluded, fmt.Sprintf("HNS serves node ports on %s only, which --nodeport-addresses %s excludes", ip, e.options.NodePortAddresses)}
}

// RemoteEndpoint returns the remote endpoint that stands for a backend elsewhere. On an
// overlay its provider address is the host whose route holds the address; an address
// outside every route is reached through the node itself.
func (e *Env) RemoteEndpoint(ip netip.Addr) hnslb.Endpoint {
	ep := hnslb.Endpoint{
		Network: e.network.ID,
		IPs:     []netip.Addr{ip},
		MAC:     hnslb.RemoteMAC(ip),
		Remote:  true,
	}
	ep.ProviderAddress = e.providerAddress(ip)
	return ep
}

func (e *Env) providerAddress(ip netip.Addr) netip.Addr {
	if !e.network.IsOverlay() {
		return netip.Addr{}
	}
	if host, ok := e.routes.host(ip); ok {
		return host
	}
	return e.host.IP
}

// Provider returns the provider address that an endpoint of ours has in a role; the zero Addr
// where endpoints have none. It is asked for every backend of every plan, so it makes no
// endpoint.
func (e *Env) Provider(role Role, ip netip.Addr) netip.Addr {
	if role == AsVIP && e.network.IsOverlay() {
		return e.host.IP
	}
	return e.providerAddress(ip)
}

// VIPEndpoint returns the remote endpoint that an overlay needs for a cluster IP: the
// host's own MAC, behind the node's address.
func (e *Env) VIPEndpoint(vip netip.Addr) hnslb.Endpoint {
	return hnslb.Endpoint{
		Network:         e.network.ID,
		IPs:             []netip.Addr{vip},
		MAC:             e.host.MAC,
		Remote:          true,
		ProviderAddress: e.host.IP,
	}
}

// SourceVIPEndpoint returns the endpoint that carries the source VIP on an overlay, and
// whether one is needed. It is the one local endpoint that hnsproxy may create: the
// operator took its address out of the network plugin's range for this purpose (KEP-5100).
func (e *Env) SourceVIPEndpoint() (hnslb.Endpoint, bool) {
	if !e.network.IsOverlay() || !e.options.SourceVIP.IsValid() {
		return hnslb.Endpoint{}, false
	}
	return hnslb.Endpoint{
		Network:         e.network.ID,
		IPs:             []netip.Addr{e.options.SourceVIP},
		MAC:             e.host.MAC,
		ProviderAddress: e.host.IP,
	}, true
}

// sourceVIP chooses the source address of traffic to these backends.
//
// Overlay (KEP-5100): the configured source VIP reaches pods; a backend outside the
// cluster, or the address of a remote node, can only answer the node IP. A pod whose route is
// awaited is in the cluster. Elsewhere Options.BridgeSource says it: start scripts give a
// source VIP on any network, and kube-proxy ignores it there.
func (e *Env) sourceVIP(f hnslb.Family, backends []Backend) netip.Addr {
	configured := e.options.SourceVIP
	if configured.IsValid() && hnslb.FamilyOf(configured) != f {
		configured = netip.Addr{}
	}
	if !e.network.IsOverlay() {
		switch {
		case e.options.BridgeSource == BridgeGiven:
			return configured
		case e.SourceVIPOptional():
			return e.nodeIP(f)
		}
		return netip.Addr{}
	}
	for _, b := range backends {
		if !b.Local && !e.awaited[b.IP] && e.outsideCluster(b.IP) {
			return e.host.IP
		}
	}
	return configured
}

// SourceVIPOptional tells whether a load balancer without source VIP may stay as it is, though
// a new one gets one.
func (e *Env) SourceVIPOptional() bool {
	return !e.network.IsOverlay() && e.options.BridgeSource != BridgeNone && e.options.BridgeSource != BridgeGiven &&
		e.features.Version.Major == 9
}

// outsideCluster tells whether an address is neither in this node's pod subnets nor in those of
// another node.
func (e *Env) outsideCluster(ip netip.Addr) bool {
	if e.routes.isHost(ip) {
		return true
	}
	if _, ok := e.routes.host(ip); ok {
		return false
	}
	return !e.inSubnets(ip)
}

// routes finds the host of a pod address without walking all nodes: one map look-up per
// prefix length in use, which is one or two in practice.
type routes struct {
	bits  []int
	hosts map[netip.Prefix]netip.Addr
	nodes map[netip.Addr]bool
}

func newRoutes(n hnslb.Network) routes {
	r := routes{hosts: map[netip.Prefix]netip.Addr{}, nodes: map[netip.Addr]bool{}}
	for _, remote := range n.Remotes {
		p := remote.Prefix.Masked()
		r.hosts[p] = remote.ProviderAddress
		r.nodes[remote.ProviderAddress] = true
		if !slices.Contains(r.bits, p.Bits()) {
			r.bits = append(r.bits, p.Bits())
		}
	}
	slices.Sort(r.bits)
	slices.Reverse(r.bits)
	return r
}

// host returns the host of the longest prefix that holds ip; a host's own address is
// reached through that host.
func (r routes) host(ip netip.Addr) (netip.Addr, bool) {
	if r.nodes[ip] {
		return ip, true
	}
	for _, bits := range r.bits {
		if p, err := ip.Prefix(bits); err == nil {
			if host, ok := r.hosts[p]; ok {
				return host, true
			}
		}
	}
	return netip.Addr{}, false
}

func (r routes) isHost(ip netip.Addr) bool { return r.nodes[ip] }
