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

// Env is everything besides the Service that frontends depend on. It is immutable; if it changes,
// every Service is computed again.
type Env struct {
	node     services.Node
	network  hnslb.Network
	features hnslb.Features
	options  Options
	routes   routes
	root     Root
	// host is this node on an overlay. awaited are addresses of pods on other nodes to which the
	// network has no route yet.
	host    Host
	awaited map[netip.Addr]bool
	// denied are the ranges of options.DenyEndpoints.
	denied []netip.Prefix
}

// Options are the command line options that affect frontends.
type Options struct {
	// DSR enables direct server return on cluster IPs (--enable-dsr).
	DSR bool
	// SourceVIP is the source address of balanced traffic (--source-vip), per family;
	// the zero Addr when not given.
	SourceVIP netip.Addr
	// BridgeSource selects the source address on a network that is not an overlay; "" means
	// BridgeAuto.
	BridgeSource BridgeSource
	// UDPInPlace updates UDP load balancers in place even if a backend or its port is removed,
	// although flows may stay on it (--hns-udp-in-place).
	UDPInPlace bool
	// NoShortCut applies externalTrafficPolicy Local to pods of this node too, so that they cannot
	// connect while no endpoint is local (--hns-local-short-cut=false).
	NoShortCut bool
	// RootEndpoint names the HNS endpoint of the node itself, to which health checks of
	// ingress IPs are forwarded (--root-hnsendpoint-name); empty forwards none.
	RootEndpoint string
	// SkipSourceRanges leaves ingress IPs with loadBalancerSourceRanges unprogrammed, since HNS
	// would accept every client (--hns-unenforced-source-ranges=skip).
	SkipSourceRanges bool
	// HealthzPort is the port of this proxy's /healthz, 0 for none. Health checks of Services
	// without their own port are forwarded to it.
	HealthzPort uint16
	// NodePortAddresses are the addresses of the node that serve node ports (--nodeport-addresses).
	NodePortAddresses NodePortAddresses
	// DenyEndpoints are ranges that are not accepted as endpoints and external IPs
	// (--hns-deny-endpoints).
	DenyEndpoints AddressRanges
}

// BridgeSource selects the source address of load-balanced traffic on a network that is not an
// overlay (--hns-bridge-source-vip).
type BridgeSource string

// The values of BridgeSource.
const (
	// BridgeAuto is the node's address on HNS 9.x, whose newer builds otherwise use the VIP itself
	// for NAT, so that a pod that connects to its own Service gets no answer; on other versions no
	// source address. Load balancers that kube-proxy.exe created without one are left unchanged.
	BridgeAuto BridgeSource = "auto"
	// BridgeNone sets no source address, as kube-proxy does.
	BridgeNone BridgeSource = "none"
	// BridgeGiven uses --source-vip, which kube-proxy uses on an overlay only.
	BridgeGiven BridgeSource = "source-vip"
)

// CheckCompatible returns why an HNS and its network cannot be used with these options, nil if they
// can.
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

// NewEnv returns an Env.
func NewEnv(node services.Node, network hnslb.Network, features hnslb.Features, o Options) *Env {
	o.NodePortAddresses = o.NodePortAddresses.For(node)
	return &Env{node: node, network: network, features: features, options: o, routes: newRoutes(network),
		host: HostOf(node, network), denied: o.DenyEndpoints.prefixes()}
}

// WithHost returns a copy with another address and MAC of this node: the last known ones, while the
// network shows none.
func (e *Env) WithHost(h Host) *Env {
	with := *e
	with.host = h
	return &with
}

// WithAwaited returns a copy with the addresses whose routes are awaited. The set must not be
// changed afterwards.
func (e *Env) WithAwaited(ips map[netip.Addr]bool) *Env {
	with := *e
	with.awaited = ips
	return &with
}

// AwaitedCount returns the number of addresses whose route is awaited.
func (e *Env) AwaitedCount() int { return len(e.awaited) }

// AwaitsRoute returns whether the route to an address is awaited, so that no endpoint is created
// for it now.
func (e *Env) AwaitsRoute(ip netip.Addr) bool { return e.awaited[ip] }

// LacksRoute returns whether an overlay network has no route to the pod of another node. Without a
// route the provider address is unknown, and packets sent to this node's own address would be lost.
func (e *Env) LacksRoute(ip netip.Addr) bool {
	if !e.network.IsOverlay() || hnslb.FamilyOf(ip) != hnslb.IPv4 || e.OwnAddress(ip) || e.inSubnets(ip) {
		return false
	}
	_, routed := e.routes.host(ip)
	return !routed
}

// Same returns whether two Envs lead to the same frontends and endpoints.
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

// UDPInPlace returns whether a UDP load balancer may be updated in place when a backend is removed.
func (e *Env) UDPInPlace() bool { return e.options.UDPInPlace }

// shortCut returns whether pods of a node without local endpoints may use all endpoints.
func (e *Env) shortCut(local bool) bool { return local && !e.options.NoShortCut }

// OwnAddress returns whether an address belongs to this node.
func (e *Env) OwnAddress(ip netip.Addr) bool {
	return ip.IsValid() && (ip == e.network.ManagementIP || ip == e.host.IP || slices.Contains(e.node.IPs, ip))
}

// NeedsSourceVIP returns whether a source address needs its own endpoint, as the source VIP on an
// overlay does.
func (e *Env) NeedsSourceVIP(source netip.Addr) bool {
	return source.IsValid() && e.IsSourceVIP(source)
}

// IsSourceVIP returns whether an address is the source VIP, which has its own endpoint on an
// overlay. On other networks the source VIP is an ordinary address, such as the node's own.
func (e *Env) IsSourceVIP(ip netip.Addr) bool {
	return e.network.IsOverlay() && ip == e.options.SourceVIP && !e.OwnAddress(ip)
}

// LocalOnly returns whether only the network plugin may create an endpoint at an address: on an
// overlay, an address in this node's own pod subnet. A remote endpoint there would lead nowhere,
// and would keep the plugin from creating the endpoint of a pod that gets the address (k8s issue
// 130963). On L2Bridge several nodes may share one subnet.
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

// nodeIP returns the node's address of a family: that of the Node object, else the management IP of
// the network.
func (e *Env) nodeIP(f hnslb.Family) netip.Addr {
	if ip := e.node.IP(f); ip.IsValid() {
		return ip
	}
	if m := e.network.ManagementIP; m.IsValid() && hnslb.FamilyOf(m) == f {
		return m
	}
	return netip.Addr{}
}

// nodePortExcluded returns a note if --nodeport-addresses excludes the only address on which HNS
// serves node ports, which is the node's own (docs/hns.md, What a load balancer can express).
func (e *Env) nodePortExcluded(f hnslb.Family) Note {
	ip := e.nodeIP(f)
	if !ip.IsValid() || e.options.NodePortAddresses.Contains(ip) {
		return Note{}
	}
	return Note{NodePortExcluded, fmt.Sprintf("HNS serves node ports on %s only, which --nodeport-addresses %s excludes", ip, e.options.NodePortAddresses)}
}

// RemoteEndpoint returns the remote endpoint for a backend on another node. On an overlay its
// provider address is the host whose route contains the address; an address outside all routes is
// reached through this node.
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

// Provider returns the provider address of our endpoint in a role; the zero Addr where endpoints
// have none. It is called for every backend of every plan, so it does not build the endpoint.
func (e *Env) Provider(role Role, ip netip.Addr) netip.Addr {
	if role == AsVIP && e.network.IsOverlay() {
		return e.host.IP
	}
	return e.providerAddress(ip)
}

// VIPEndpoint returns the remote endpoint that an overlay needs for a cluster IP, with the MAC and
// the address of this host.
func (e *Env) VIPEndpoint(vip netip.Addr) hnslb.Endpoint {
	return hnslb.Endpoint{
		Network:         e.network.ID,
		IPs:             []netip.Addr{vip},
		MAC:             e.host.MAC,
		Remote:          true,
		ProviderAddress: e.host.IP,
	}
}

// SourceVIPEndpoint returns the endpoint of the source VIP on an overlay, and whether one is
// needed. It is the only local endpoint that hnsproxy may create: the operator has excluded its
// address from the network plugin's range for this purpose (KEP-5100).
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

// sourceVIP returns the source address of traffic to these backends.
//
// On an overlay (KEP-5100) the configured source VIP reaches pods, but a backend outside the
// cluster, or the address of another node, can only reply to the node IP. A pod whose route is
// awaited counts as in the cluster. On other networks Options.BridgeSource decides: start scripts
// set a source VIP on any network, and kube-proxy ignores it there.
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

// SourceVIPOptional returns whether a load balancer without source VIP may stay unchanged, although
// a new one would get a source VIP.
func (e *Env) SourceVIPOptional() bool {
	return !e.network.IsOverlay() && e.options.BridgeSource != BridgeNone && e.options.BridgeSource != BridgeGiven &&
		e.features.Version.Major == 9
}

// outsideCluster returns whether an address is in no pod subnet of any node.
func (e *Env) outsideCluster(ip netip.Addr) bool {
	if e.routes.isHost(ip) {
		return true
	}
	if _, ok := e.routes.host(ip); ok {
		return false
	}
	return !e.inSubnets(ip)
}

// routes finds the host of a pod address without iterating over all nodes: one map lookup per
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

// host returns the host of the longest prefix that contains ip; the address of a host is reached
// through that host.
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
