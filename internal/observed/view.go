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

// View is the state of HNS as far as it is known. HNS IDs are stored here and nowhere else (law 4).
// It is not safe for concurrent use.
//
// The caller tracks calls with an unknown outcome (law 6).
type View struct {
	network hnslb.Network
	// managementIP is the last valid management IP. formerMACs are earlier MACs of the host.
	managementIP netip.Addr
	formerMACs   map[string]bool
	sourceVIP    netip.Addr
	endpoints    map[hnslb.ID]*Endpoint
	byIP         multimap.Map[netip.Addr, *Endpoint]
	// secondIPs holds the second addresses of dual-stack endpoints, which are few.
	secondIPs     map[*Endpoint]netip.Addr
	loadBalancers loadBalancers
	learned       learnedSettings
	flags         flags
	// providers maps requested provider addresses to those that HNS shows, where the two differ.
	providers map[netip.Addr]netip.Addr
	// freed holds the addresses of our endpoints that have lost their last load balancer.
	freed    []netip.Addr
	ownCount int
	// generation counts the lists. deleted holds the objects that HNS reported as deleted, with the
	// generation; if a later list contains one, the report was wrong.
	generation uint32
	deleted    map[hnslb.ID]uint32
}

// Endpoint is an endpoint in HNS. Callers must not change it.
type Endpoint struct {
	ID hnslb.ID
	IP netip.Addr
	// ProviderAddress of a remote endpoint on an overlay.
	ProviderAddress netip.Addr
	Remote          bool
	Ours            bool
	// VIP: it carries the host's MAC, as the endpoint of a cluster IP does.
	VIP bool
	// SourceVIP: it is the local endpoint created for the source VIP. HasFormerMAC: it was created
	// when the host had another MAC.
	SourceVIP, HasFormerMAC bool
	// seen is the generation of the last list that contained it, truncated to save memory: there
	// may be 150,000 endpoints.
	seen uint16
	// referencedBy are the load balancers in HNS that reference it.
	referencedBy []*LoadBalancer
}

// InUse returns whether a load balancer in HNS references the endpoint.
func (e *Endpoint) InUse() bool { return len(e.referencedBy) > 0 }

// New returns an empty view. sourceVIP may be the zero Addr.
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

// Network returns the network that the view covers.
func (v *View) Network() hnslb.Network { return v.network }

// SetNetwork sets the network that the view covers, and returns whether everything has to be listed
// again: with another ID the endpoints of the old network are gone, and with another MAC other
// endpoints are ours. When the management IP changes, which can happen at any time (k8s issue
// 75561), node ports have to be re-created, since their rules in VFP keep the old address, or none.
// It is compared with the last valid management IP, whether or not the MAC changes.
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

// Replace merges a complete list at once and returns the differences from the view, in order.
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

// forgetDeleted drops the records of objects that were deleted before the list that was just
// merged.
func (v *View) forgetDeleted() {
	for id, generation := range v.deleted {
		if generation < v.generation {
			delete(v.deleted, id)
		}
	}
}

// PutCreatedEndpoint stores an endpoint that HNS created, as HNS returned it. From requested, which
// was sent, the view learns how this HNS shows a provider address. Otherwise an HNS that shows
// another one would have the endpoint re-created forever.
func (v *View) PutCreatedEndpoint(requested, returned hnslb.Endpoint) {
	if v.endpoints[returned.ID] != nil {
		return // a list already contained it
	}
	if requested.ProviderAddress != returned.ProviderAddress {
		v.providers[requested.ProviderAddress] = returned.ProviderAddress
	}
	v.PutEndpoint(returned)
}

// ShowsProvider returns whether an endpoint has a provider address, as this HNS shows it.
func (v *View) ShowsProvider(e *Endpoint, want netip.Addr) bool {
	if e.ProviderAddress == want {
		return true
	}
	shown, ok := v.providers[want]
	return ok && shown == e.ProviderAddress
}

// PutEndpoint stores an endpoint of the view's network.
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

// DeleteEndpoint removes an endpoint that HNS reported as deleted.
func (v *View) DeleteEndpoint(id hnslb.ID) {
	v.deleted[id] = v.generation
	v.RemoveEndpoint(id)
}

// RemoveEndpoint removes an endpoint that no longer exists in HNS.
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

// Endpoint returns the endpoint at an address. It prefers a local one, since Windows Server 2019
// and 2022 allow a remote endpoint with the same address beside it.
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

// Own yields the endpoints that are ours, in no particular order.
func (v *View) Own(yield func(*Endpoint) bool) {
	for _, e := range v.endpoints {
		if e.Ours && !yield(e) {
			return
		}
	}
}

// OwnEndpoints returns the number of endpoints that are ours.
func (v *View) OwnEndpoints() int { return v.ownCount }

// OwnAt returns the endpoints at an address that are ours.
func (v *View) OwnAt(ip netip.Addr) []*Endpoint {
	var out []*Endpoint
	for e := range v.byIP.All(ip) {
		if e.Ours {
			out = append(out, e)
		}
	}
	return out
}
