// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/multimap"
)

// View is what HNS holds, as far as we know. HNS IDs live here and nowhere else (law 4).
// It is not safe for concurrent use.
//
// What a call of unknown outcome left behind is its caller's to know (law 6).
type View struct {
	network hnslb.Network
	// managementIP is the last valid one. formerMACs are those that the host had before.
	managementIP netip.Addr
	formerMACs   map[string]bool
	sourceVIP    netip.Addr
	endpoints    map[hnslb.ID]*Endpoint
	byIP         multimap.Map[netip.Addr, *Endpoint]
	// secondIPs are the other addresses of dual-stack endpoints, which are few.
	secondIPs     map[*Endpoint]netip.Addr
	loadBalancers loadBalancers
	learned       learnedSettings
	flags         flags
	// providers remembers which provider address HNS shows for one that it was asked for,
	// where the two differ.
	providers map[netip.Addr]netip.Addr
	// freed are addresses of our endpoints that no load balancer names any more.
	freed    []netip.Addr
	ownCount int
	// generation counts the lists. deleted are the objects that HNS reported as deleted,
	// with the generation; a later list that names one shows that the report was wrong.
	generation uint32
	deleted    map[hnslb.ID]uint32
}

// Endpoint is an HNS endpoint as the view keeps it. Callers only read it.
type Endpoint struct {
	ID hnslb.ID
	IP netip.Addr
	// ProviderAddress of a remote endpoint on an overlay.
	ProviderAddress netip.Addr
	Remote          bool
	Ours            bool
	// VIP tells that it carries the host's MAC, as the endpoint of a cluster IP does.
	VIP bool
	// SourceVIP tells that it is the local endpoint that was made for the source VIP, Former
	// that it was made when the host had another MAC.
	SourceVIP, HasFormerMAC bool
	// seen is the generation of the last list that named it, cut short: there may be 150,000 of
	// these in memory.
	seen uint16
	// referencedBy are the load balancers that name it, as HNS holds them.
	referencedBy []*LoadBalancer
}

// InUse tells whether some load balancer in HNS names the endpoint.
func (e *Endpoint) InUse() bool { return len(e.referencedBy) > 0 }

// New makes an empty view: nothing is known yet. sourceVIP may be the zero Addr.
func New(sourceVIP netip.Addr) *View {
	v := &View{sourceVIP: sourceVIP, learned: learnedSettings{}, providers: map[netip.Addr]netip.Addr{}, formerMACs: map[string]bool{}}
	v.clear()
	return v
}

func (v *View) clear() {
	v.endpoints = map[hnslb.ID]*Endpoint{}
	v.byIP = multimap.New[netip.Addr, *Endpoint]()
	v.secondIPs = map[*Endpoint]netip.Addr{}
	v.loadBalancers = newLoadBalancers()
	v.ownCount = 0
	v.deleted = map[hnslb.ID]uint32{}
}

// Network returns the network that the view is of.
func (v *View) Network() hnslb.Network { return v.network }

// SetNetwork says which network the view is of, and tells whether everything has to be listed
// again: another ID means that the endpoints of the old network are gone, another MAC that
// others are ours. With another management IP, which can change at any time (k8s issue
// 75561), node ports have to be re-created: their rules in VFP keep the old one, or none if
// there was none yet. It is compared with the last valid one, whatever the MAC does.
func (v *View) SetNetwork(n hnslb.Network) (unknown bool) {
	if n.ManagementIP.IsValid() && n.ManagementIP != v.managementIP {
		for _, lb := range v.loadBalancers.byFrontend {
			lb.outdated = lb.outdated || lb.Key.NodePort()
		}
		v.managementIP = n.ManagementIP
	}
	if was := strings.ToUpper(v.network.HostMAC); was != "" && !sameMAC(was, n.HostMAC) {
		v.formerMACs[was] = true
	}
	delete(v.formerMACs, strings.ToUpper(n.HostMAC))
	unknown = v.network.ID != n.ID || !strings.EqualFold(v.network.HostMAC, n.HostMAC)
	v.network = n
	return unknown
}

// Replace takes in a whole list at once and returns what was different from what the view
// held, in order.
func (v *View) Replace(eps []hnslb.Endpoint, lbs []hnslb.LoadBalancer) Drift {
	m := v.Merge(List{Endpoints: eps, LoadBalancers: lbs}, NewTouched())
	for m.Step(len(eps) + len(lbs) + 1) {
	}
	d := m.Drift()
	slices.SortFunc(d.Frontends, hnslb.FrontendKey.Compare)
	d.Frontends = slices.Compact(d.Frontends)
	slices.SortFunc(d.Endpoints, netip.Addr.Compare)
	d.Endpoints = slices.Compact(d.Endpoints)
	return d
}

// forgetDeleted drops what was deleted before the list that was just taken in: what it did
// not name is gone.
func (v *View) forgetDeleted() {
	for id, generation := range v.deleted {
		if generation < v.generation {
			delete(v.deleted, id)
		}
	}
}

// PutCreatedEndpoint remembers an endpoint that HNS just made, as HNS returned it; asked is
// what we sent, from which the view learns how this HNS shows a provider address. Without
// that an HNS that shows another one would have it re-created forever.
func (v *View) PutCreatedEndpoint(requested, returned hnslb.Endpoint) {
	if v.endpoints[returned.ID] != nil {
		return // a list was faster
	}
	if requested.ProviderAddress != returned.ProviderAddress {
		v.providers[requested.ProviderAddress] = returned.ProviderAddress
	}
	v.PutEndpoint(returned)
}

// ShowsProvider tells whether an endpoint has a provider address, as this HNS shows it.
func (v *View) ShowsProvider(e *Endpoint, want netip.Addr) bool {
	if e.ProviderAddress == want {
		return true
	}
	shown, ok := v.providers[want]
	return ok && shown == e.ProviderAddress
}

// PutEndpoint remembers an endpoint of the view's network.
func (v *View) PutEndpoint(in hnslb.Endpoint) {
	e := &Endpoint{
		ID:              in.ID,
		ProviderAddress: in.ProviderAddress,
		Remote:          in.Remote,
		VIP:             in.Remote && sameMAC(in.MAC, v.network.HostMAC),
		HasFormerMAC:    v.hasFormerMAC(in),
		Ours:            v.ownEndpoint(in),
		SourceVIP:       v.ownSourceVIP(in),
	}
	if len(in.IPs) > 0 {
		e.IP = in.IPs[0]
	}
	if len(in.IPs) > 1 {
		v.secondIPs[e] = in.IPs[1]
	}
	v.endpoints[e.ID] = e
	if e.Ours {
		v.ownCount++
	}
	for _, ip := range v.addresses(e) {
		v.byIP.Add(ip, e)
	}
}

// DeleteEndpoint forgets an endpoint that HNS reported as deleted.
func (v *View) DeleteEndpoint(id hnslb.ID) {
	v.deleted[id] = v.generation
	v.RemoveEndpoint(id)
}

// RemoveEndpoint forgets an endpoint that HNS does not have any more.
func (v *View) RemoveEndpoint(id hnslb.ID) {
	e := v.endpoints[id]
	if e == nil {
		return
	}
	delete(v.endpoints, id)
	if e.Ours {
		v.ownCount--
	}
	for _, ip := range v.addresses(e) {
		v.byIP.Remove(ip, e)
	}
	delete(v.secondIPs, e)
	for _, lb := range e.referencedBy {
		lb.Endpoints = slices.DeleteFunc(lb.Endpoints, func(o *Endpoint) bool { return o == e })
		lb.dangling++
	}
}

func (v *View) addresses(e *Endpoint) []netip.Addr {
	out := make([]netip.Addr, 0, 2)
	if e.IP.IsValid() {
		out = append(out, e.IP)
	}
	if ip, ok := v.secondIPs[e]; ok {
		out = append(out, ip)
	}
	return out
}

// Endpoint returns the endpoint that stands for an address: the local one when there is
// one, since Windows Server 2019 and 2022 let a remote twin live beside it.
func (v *View) Endpoint(ip netip.Addr) *Endpoint {
	var best *Endpoint
	for e := range v.byIP.All(ip) {
		if !e.Remote {
			return e
		}
		if best == nil {
			best = e
		}
	}
	return best
}

// Own yields the endpoints of ours, in no order.
func (v *View) Own(yield func(*Endpoint) bool) {
	for _, e := range v.endpoints {
		if e.Ours && !yield(e) {
			return
		}
	}
}

// OwnEndpoints returns how many endpoints of ours HNS holds.
func (v *View) OwnEndpoints() int { return v.ownCount }

// OwnAt returns the endpoints of ours that stand for an address.
func (v *View) OwnAt(ip netip.Addr) []*Endpoint {
	var out []*Endpoint
	for e := range v.byIP.All(ip) {
		if e.Ours {
			out = append(out, e)
		}
	}
	return out
}
