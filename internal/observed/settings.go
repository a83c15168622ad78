// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Settings are the properties of a load balancer other than its frontend and backends.
type Settings struct {
	Flags        hnslb.LoadBalancerFlags
	MappingFlags hnslb.MappingFlags
	Distribution hnslb.Distribution
	SourceVIP    netip.Addr
}

func settingsOf(lb hnslb.LoadBalancer) Settings {
	m := lb.Mappings[0]
	return Settings{Flags: lb.Flags, MappingFlags: m.Flags, Distribution: m.Distribution, SourceVIP: lb.SourceVIP}
}

// learnedSettings maps requested settings to what HNS shows, where the two differ.
//
// No Windows build is known to change a flag, and none is proven not to. Without this map such a
// build would look like drift forever, and every comparison would re-create every load balancer.
// With it, one is re-created, and the others match.
type learnedSettings map[Settings]Settings

func (s learnedSettings) learn(requested, shown Settings) {
	if requested != shown {
		s[requested] = shown
	}
}

// flags records how the flags that this HNS shows differ from the requested ones.
type flags struct {
	// loadBalancer and mapping are flags that HNS shows on objects for which they were not
	// requested. They say nothing about the owner of an object.
	loadBalancer hnslb.LoadBalancerFlags
	mapping      hnslb.MappingFlags
	// seen are the mapping flags that HNS was observed to show on any load balancer.
	seen hnslb.MappingFlags
}

// asRequested translates settings that HNS shows back into requested ones: it returns requested if
// this HNS is known to show that as shown, and otherwise shown without the flags that HNS adds.
func (v *View) asRequested(shown, requested Settings) Settings {
	if learned, ok := v.learned[requested]; ok && learned == shown {
		return requested
	}
	shown.Flags &^= v.flags.loadBalancer
	shown.MappingFlags &^= v.flags.mapping
	return shown
}

// mayBeHidden are flags that HNS may apply without showing them: hcsshim does not define one of
// them, and node ports were observed without it (calico issue 7305). They depend on the type of the
// frontend, and not on anything that an operator can change.
const mayBeHidden = hnslb.LocalRoutedVIP | hnslb.VIPExternal

// hiddenFlags returns the flags that HNS may have applied to a load balancer without showing them.
// This is assumed for adopted load balancers, as long as no load balancer shows these flags. Their
// absence alone does not justify re-creating one; once it is written for another reason, HNS shows
// how it treats them.
func (v *View) hiddenFlags(lb *LoadBalancer, requested Settings) hnslb.MappingFlags {
	if lb.created {
		return 0
	}
	return requested.MappingFlags & mayBeHidden &^ v.flags.seen
}

// MatchesSettings returns whether a returned load balancer has the requested settings, apart from
// its endpoints.
func (v *View) MatchesSettings(requested, returned hnslb.LoadBalancer) bool {
	if len(returned.Mappings) != 1 {
		return false
	}
	want := settingsOf(requested)
	return returned.Mappings[0].InternalPort == requested.Mappings[0].InternalPort && v.asRequested(settingsOf(returned), want) == want
}

// LearnFlags ignores, from now on, flags that neither hnsproxy nor kube-proxy.exe sets and that
// every load balancer on our network shows, and returns whether load balancers became ours by that.
// It must only be called if at least one of them is exactly as desired, since otherwise the flag
// may mark objects of another program.
func (v *View) LearnFlags() bool {
	loadBalancer, mapping := ^ownFlags, ^ownMappingFlags
	for lb := range v.loadBalancers.all {
		if lb.clean {
			loadBalancer &= lb.Settings.Flags
			mapping &= lb.Settings.MappingFlags
		}
	}
	return v.ignoreFlags(loadBalancer, mapping)
}

// ignoreFlags adds flags to those that say nothing about the owner, and returns whether load
// balancers became ours by that.
func (v *View) ignoreFlags(loadBalancer hnslb.LoadBalancerFlags, mapping hnslb.MappingFlags) (changed bool) {
	if loadBalancer&^v.flags.loadBalancer == 0 && mapping&^v.flags.mapping == 0 {
		return false
	}
	v.flags.loadBalancer |= loadBalancer
	v.flags.mapping |= mapping
	for lb := range v.loadBalancers.all {
		if !lb.Ours && lb.clean && v.ownSettings(lb.Settings) {
			lb.Ours, changed = true, true
		}
	}
	return changed
}

// WithUnknownFlags yields the load balancers on our network that would be ours except for their
// flags.
func (v *View) WithUnknownFlags(yield func(*LoadBalancer) bool) {
	for lb := range v.loadBalancers.all {
		if lb.clean && !lb.Ours && len(lb.Endpoints) > 0 && !yield(lb) {
			return
		}
	}
}

// Match is how a load balancer in HNS differs from the desired one.
type Match uint8

// The results of a comparison.
const (
	// Equal: nothing to do.
	Equal Match = iota
	// InPlace: the endpoints, internal port or source VIP differ. An HNS with modify support can
	// update them in place.
	InPlace
	// Different: a flag or the distribution differs, or the rules of a node port contain an earlier
	// node address. The load balancer has to be deleted and created.
	Different
)

// Match compares a load balancer with the desired one, whose endpoints are passed separately.
func (v *View) Match(lb *LoadBalancer, want hnslb.LoadBalancer, endpoints []*Endpoint) Match {
	requested := settingsOf(want)
	shown := v.asRequested(lb.Settings, requested)
	withHidden := shown
	withHidden.MappingFlags |= v.hiddenFlags(lb, requested)
	sameVIP := shown
	sameVIP.SourceVIP = requested.SourceVIP
	differs := lb.uncertain || shown.SourceVIP != requested.SourceVIP || lb.InternalPort != want.Mappings[0].InternalPort ||
		lb.dangling > 0 || !sameSet(lb.Endpoints, endpoints)
	switch {
	case lb.outdated:
		return Different
	case withHidden == requested && !differs:
		return Equal
	case sameVIP == requested:
		return InPlace
	}
	return Different
}

func sameSet(a, b []*Endpoint) bool {
	return len(a) == len(b) && slices.Equal(sortedIDs(a), sortedIDs(b))
}

func sortedIDs(eps []*Endpoint) []hnslb.ID {
	out := make([]hnslb.ID, 0, len(eps))
	for _, e := range eps {
		out = append(out, e.ID)
	}
	slices.Sort(out)
	return out
}
