// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"net/netip"

	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// store keeps the objects of one host and finds them by ID, address and frontend without
// a scan. It knows no rules: whoever inserts has checked before. It is not safe for
// concurrent use; Emulator locks.
type store struct {
	networks []*network // few, in order of creation

	endpoints     map[hnslb.ID]*endpoint
	endpointOrder order[*endpoint]
	byIP          ipIndex

	balancers     map[hnslb.ID]*loadBalancer
	balancerOrder order[*loadBalancer]
	frontends     map[hnslb.FrontendKey]*loadBalancer

	ports ports
	dark  darkLog
	// watch is Config.Watch, nil for nobody.
	watch func(Serving)
}

func newStore(c clock.PassiveClock, watch func(Serving)) *store {
	return &store{
		endpoints: map[hnslb.ID]*endpoint{},
		byIP:      newIPIndex(),
		balancers: map[hnslb.ID]*loadBalancer{},
		frontends: map[hnslb.FrontendKey]*loadBalancer{},
		ports:     newPorts(),
		dark:      newDarkLog(c),
		watch:     watch,
	}
}

// network is a network with what only the emulator knows of it.
type network struct {
	hnslb.Network
	// hostIPv6 is the host's IPv6 address on the network. hnslb shows one management IP
	// only, the IPv4 one; node ports of IPv6 answer on this.
	hostIPv6 netip.Addr
	// loopbackDSR: the network plugin lets a pod reach itself through a DSR load balancer.
	loopbackDSR bool
	// locals counts the local endpoints: node ports need one.
	locals int
}

// hostIP is the host's address of a family on the network, the zero Addr if it has none.
func (n *network) hostIP(f hnslb.Family) netip.Addr { return n.seen().HostIP(f) }

// endpoint is an endpoint and the load balancers that name it. It is kept small: a node
// in a large cluster holds 150,000.
type endpoint struct {
	id       hnslb.ID
	net      *network
	name     string
	ips      [2]netip.Addr // the zero Addr where there is none
	mac      string
	provider netip.Addr
	// users name this endpoint, once per mention.
	users []*loadBalancer
	slot  int32
	// remote as in hnslb.Endpoint; detached: the switch port of a local one is missing.
	remote, detached bool
}

// newEndpoint makes an endpoint of checked values.
func newEndpoint(net *network, ep hnslb.Endpoint) *endpoint {
	made := &endpoint{
		id: ep.ID, net: net, name: ep.Name, mac: ep.MAC,
		provider: ep.ProviderAddress, remote: ep.Remote,
	}
	copy(made.ips[:], ep.IPs)
	return made
}

func (ep *endpoint) setSlot(i int) { ep.slot = int32(i) }
func (ep *endpoint) getSlot() int  { return int(ep.slot) }

// addrs returns the addresses of the endpoint, in its own memory.
func (ep *endpoint) addrs() []netip.Addr {
	for i, ip := range ep.ips {
		if !ip.IsValid() {
			return ep.ips[:i]
		}
	}
	return ep.ips[:]
}

// loadBalancer is a load balancer with what only the emulator knows of it.
type loadBalancer struct {
	hnslb.LoadBalancer
	// network that its endpoints were on. HNS keeps it with the object (schema 2.5).
	network hnslb.ID
	// nodeIP is the management IP that went into the rules of a node port; the rules keep
	// it when the network's changes [C: docs/hns.md, Management IP].
	// Not valid for others.
	nodeIP netip.Addr
	// live counts the mentions of endpoints that exist.
	live int
	slot int32
	// noRules: the object is there, its rules in VFP are not.
	noRules bool
	// restored: HNS brought it back after a restart.
	restored bool
	// deleteFailed: Faults.DeleteFailsOnce has had its turn.
	deleteFailed bool
	// holds are the frontends that a half-made one keeps from others; see
	// Quirks.HalfMadeHolds.
	holds []hnslb.FrontendKey
}

func (b *loadBalancer) setSlot(i int) { b.slot = int32(i) }
func (b *loadBalancer) getSlot() int  { return int(b.slot) }

// serves tells whether anybody answers behind b.
func (b *loadBalancer) serves() bool { return b.live > 0 && !b.noRules }

func (s *store) networkByName(name string) *network {
	for _, n := range s.networks {
		if n.Name == name {
			return n
		}
	}
	return nil
}

func (s *store) networkByID(id hnslb.ID) *network {
	for _, n := range s.networks {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// networkByManagementIP returns the network whose host address ip is.
func (s *store) networkByManagementIP(ip netip.Addr) *network {
	for _, n := range s.networks {
		if ip.IsValid() && n.hostIP(hnslb.FamilyOf(ip)) == ip {
			return n
		}
	}
	return nil
}

// removeNetwork takes a network and its endpoints away. Load balancers stay behind,
// dangling (docs/hns.md, Lifecycle and persistence).
func (s *store) removeNetwork(n *network) {
	var gone []*endpoint
	for _, ep := range s.endpointOrder.items {
		if ep.net == n {
			gone = append(gone, ep)
		}
	}
	for _, ep := range gone {
		s.removeEndpoint(ep)
	}
	for i, other := range s.networks {
		if other == n {
			s.networks = append(s.networks[:i:i], s.networks[i+1:]...)
			return
		}
	}
}

func (s *store) insertEndpoint(ep *endpoint) {
	s.endpoints[ep.id] = ep
	s.endpointOrder.add(ep)
	for _, ip := range ep.addrs() {
		s.byIP.add(ip, ep)
	}
	if !ep.remote {
		ep.net.locals++
	}
}

// removeEndpoint takes an endpoint away; load balancers go on naming it.
func (s *store) removeEndpoint(ep *endpoint) {
	delete(s.endpoints, ep.id)
	s.endpointOrder.remove(ep)
	for _, ip := range ep.addrs() {
		s.byIP.remove(ip, ep)
	}
	if !ep.remote {
		ep.net.locals--
	}
	for _, b := range ep.users {
		b.live--
		s.noteLiveness(b)
	}
	ep.users = nil
}

func (s *store) insertLoadBalancer(b *loadBalancer) {
	s.balancers[b.ID] = b
	s.balancerOrder.add(b)
	s.link(b)
	for k := range vfp.Frontends(b.LoadBalancer) {
		s.frontends[k] = b
	}
	s.ports.take(b.LoadBalancer)
	s.noteLiveness(b)
}

func (s *store) removeLoadBalancer(b *loadBalancer) {
	delete(s.balancers, b.ID)
	s.balancerOrder.remove(b)
	for _, k := range b.holds {
		delete(s.ports.leaked, k)
	}
	s.unlink(b)
	for k := range vfp.Frontends(b.LoadBalancer) {
		delete(s.frontends, k)
		s.note(k, nil)
	}
	s.ports.give(b.LoadBalancer)
}

// replaceLoadBalancer changes what modify may change; the frontends stay.
func (s *store) replaceLoadBalancer(b *loadBalancer, lb hnslb.LoadBalancer) {
	s.unlink(b)
	b.LoadBalancer = lb
	if net := s.networkOf(lb); net != nil {
		b.network = net.ID
	}
	s.link(b)
	s.noteLiveness(b)
}

// link makes the endpoints of b know it. IDs that a load balancer keeps are the
// endpoints' own strings, so that a name costs 16 bytes and not 64.
func (s *store) link(b *loadBalancer) {
	b.live = 0
	for i, id := range b.Endpoints {
		if ep := s.endpoints[id]; ep != nil {
			b.Endpoints[i] = ep.id
			b.live++
			ep.users = append(ep.users, b)
		}
	}
}

func (s *store) unlink(b *loadBalancer) {
	for _, id := range b.Endpoints {
		ep := s.endpoints[id]
		if ep == nil {
			continue
		}
		for i, user := range ep.users {
			if user == b {
				last := len(ep.users) - 1
				ep.users[i] = ep.users[last]
				ep.users = ep.users[:last]
				break
			}
		}
	}
}

// noteLiveness tells whom the frontends of b serve.
func (s *store) noteLiveness(b *loadBalancer) {
	for k := range vfp.Frontends(b.LoadBalancer) {
		s.note(k, b)
	}
}

// note tells the dark-time record, and whoever watches, that b serves a frontend; nil for
// nobody.
func (s *store) note(k hnslb.FrontendKey, b *loadBalancer) {
	live := b != nil && b.serves()
	s.dark.note(k, live)
	if s.watch == nil {
		return
	}
	serving := Serving{Frontend: k}
	if live {
		serving.Backends = s.backends(b, k.Family)
	}
	s.watch(serving)
}

// backends returns the addresses of a family of the endpoints of b that exist.
func (s *store) backends(b *loadBalancer, f hnslb.Family) []netip.Addr {
	all := make([]netip.Addr, 0, b.live)
	for _, id := range b.Endpoints {
		if ep := s.endpoints[id]; ep != nil {
			if ip := hnslb.FirstOf(ep.addrs(), f); ip.IsValid() {
				all = append(all, ip)
			}
		}
	}
	return all
}

// newLoadBalancer makes a load balancer whose endpoints are on net, which may be nil.
func newLoadBalancer(lb hnslb.LoadBalancer, net *network) *loadBalancer {
	b := &loadBalancer{LoadBalancer: lb}
	if net == nil {
		return b
	}
	b.network = net.ID
	if isNodePort(lb) {
		b.nodeIP = net.hostIP(familyOf(lb))
	}
	return b
}

// isNodePort tells whether a load balancer answers on the node's own address.
func isNodePort(lb hnslb.LoadBalancer) bool { return len(lb.VIPs) == 0 && len(lb.Mappings) > 0 }

// familyOf returns the family of a node port, which only the flag tells.
func familyOf(lb hnslb.LoadBalancer) hnslb.Family {
	if lb.Flags&hnslb.IPv6Enabled != 0 {
		return hnslb.IPv6
	}
	return hnslb.IPv4
}

// publicEndpoint is the endpoint as a caller may keep it, its addresses in ips.
func publicEndpoint(ep *endpoint, ips []netip.Addr) hnslb.Endpoint {
	return hnslb.Endpoint{
		ID: ep.id, Network: ep.net.ID, Name: ep.name, IPs: ips, MAC: ep.mac,
		Remote: ep.remote, ProviderAddress: ep.provider,
	}
}

// publicLoadBalancer is a copy of a load balancer that a caller may keep.
func publicLoadBalancer(lb hnslb.LoadBalancer) hnslb.LoadBalancer {
	lb.Endpoints = append([]hnslb.ID(nil), lb.Endpoints...)
	lb.VIPs = append([]netip.Addr(nil), lb.VIPs...)
	lb.Mappings = append([]hnslb.PortMapping(nil), lb.Mappings...)
	return lb
}

// publicNetwork is a copy of a network that a caller may keep.
func publicNetwork(n *network) hnslb.Network {
	c := n.Network
	c.Subnets = append([]netip.Prefix(nil), c.Subnets...)
	c.Remotes = append([]hnslb.RemoteSubnet(nil), c.Remotes...)
	c.Adapters = append([]hnslb.Adapter(nil), c.Adapters...)
	return c
}

// shownNetwork is a network as a driver shows it: the MAC is that of the interface which
// carries the management IP, so without the one there is no other.
func shownNetwork(n *network) hnslb.Network {
	c := publicNetwork(n)
	switch {
	case !c.ManagementIP.IsValid():
		c.HostMAC = ""
	case c.HostMAC != "":
		c.Adapters = append(c.Adapters, hnslb.Adapter{IP: c.ManagementIP, MAC: c.HostMAC})
	}
	return c
}

// has tells whether an object of any kind has this ID.
func (s *store) has(id hnslb.ID) bool {
	return s.endpoints[id] != nil || s.balancers[id] != nil || s.networkByID(id) != nil
}

// endpointAt returns the local or the remote endpoint with that address on a network.
func (s *store) endpointAt(net *network, ip netip.Addr, remote bool) *endpoint {
	return s.byIP.find(ip, func(ep *endpoint) bool { return ep.net == net && ep.remote == remote })
}

// takenFrontend returns a frontend of lb that another load balancer has, or that lb itself
// asks for twice.
func (s *store) takenFrontend(lb hnslb.LoadBalancer) (hnslb.FrontendKey, bool) {
	seen := map[hnslb.FrontendKey]bool{}
	for k := range vfp.Frontends(lb) {
		if seen[k] || s.frontends[k] != nil {
			return k, true
		}
		seen[k] = true
	}
	return hnslb.FrontendKey{}, false
}

// networkOf returns the network of the first endpoint that exists, nil if none does.
func (s *store) networkOf(lb hnslb.LoadBalancer) *network {
	for _, id := range lb.Endpoints {
		if ep := s.endpoints[id]; ep != nil {
			return ep.net
		}
	}
	return nil
}

// sameFrontend returns the keys under which a frontend can be taken: a node port and a
// VIP that is a management IP are one.
func (s *store) sameFrontend(k hnslb.FrontendKey) []hnslb.FrontendKey {
	keys := []hnslb.FrontendKey{k}
	if !k.NodePort() {
		if s.networkByManagementIP(k.VIP) != nil {
			k.VIP = netip.Addr{}
			keys = append(keys, k)
		}
		return keys
	}
	for _, n := range s.networks {
		if k.VIP = n.hostIP(k.Family); k.VIP.IsValid() {
			keys = append(keys, k)
		}
	}
	return keys
}

// freeAddresses returns an unused address of the network's first subnet, as HNS picks one
// for an endpoint that is made with a name only [A: hnslib tests]; none if it is full.
func (s *store) freeAddresses(net *network) []netip.Addr {
	if len(net.Subnets) == 0 {
		return nil
	}
	subnet := net.Subnets[0].Masked()
	for ip := subnet.Addr(); subnet.Contains(ip); ip = ip.Next() {
		if !reservedAddress(subnet, ip) && s.byIP.first[ip] == nil {
			return []netip.Addr{ip}
		}
	}
	return nil
}
