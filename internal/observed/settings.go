// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Settings is what of a load balancer is neither its frontend nor its backends.
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

// learnedSettings remembers how HNS shows what it was asked for, where the two differ.
//
// No Windows build is known to change a flag, and none is proven not to. Without this
// memory such a build would look like drift forever, and every load balancer would be
// re-created at each comparison; with it, one is, and the rest follow.
type learnedSettings map[Settings]Settings

func (s learnedSettings) learn(requested, shown Settings) {
	if requested != shown {
		s[requested] = shown
	}
}

// flags is how this HNS shows flags otherwise than it was asked for.
type flags struct {
	// loadBalancer and mapping are bits that HNS shows on what did not ask for them. They say
	// nothing of who made an object.
	loadBalancer hnslb.LoadBalancerFlags
	mapping      hnslb.MappingFlags
	// seen are the bits that HNS was seen to show.
	seen hnslb.MappingFlags
}

// asRequested returns what a shape that HNS shows stands for, when asked is wanted: asked
// itself where the difference is only in how HNS shows things.
func (v *View) asRequested(shown, requested Settings) Settings {
	if learned, ok := v.learned[requested]; ok && learned == shown {
		return requested
	}
	shown.Flags &^= v.flags.loadBalancer
	shown.MappingFlags &^= v.flags.mapping
	return shown
}

// mayBeHidden are flags that HNS may keep without showing them: hcsshim does not name one, and
// node ports were seen without it (calico issue 7305). They follow from the kind of a
// frontend and not from what an operator may change.
const mayBeHidden = hnslb.LocalRoutedVIP | hnslb.VIPExternal

// hiddenFlags returns the flags that a load balancer lacks and may have all the same: it was
// adopted, so that nobody knows how HNS shows what it was asked for, and no load balancer
// shows them. That is no reason to re-create it; when it has to be written for another
// reason it is, and what HNS shows then is known.
func (v *View) hiddenFlags(lb *LoadBalancer, requested Settings) hnslb.MappingFlags {
	if lb.created {
		return 0
	}
	return requested.MappingFlags & mayBeHidden &^ v.flags.seen
}

// MatchesSettings tells whether HNS made a load balancer what it was asked for, but for its endpoints.
func (v *View) MatchesSettings(requested, returned hnslb.LoadBalancer) bool {
	if len(returned.Mappings) != 1 {
		return false
	}
	want := settingsOf(requested)
	return returned.Mappings[0].InternalPort == requested.Mappings[0].InternalPort && v.asRequested(settingsOf(returned), want) == want
}

// LearnFlags takes it for a habit of HNS when every load balancer on our network shows a
// flag that neither hnsproxy nor kube-proxy.exe sets, and tells whether that made some ours.
// It must not be called unless at least one of them is just what somebody desires: then the
// flag is not the mark of another program.
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

// ignoreFlags notes that flags say nothing, and tells whether that made load balancers ours.
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

// WithUnknownFlags yields the load balancers on our network that would be ours but for their flags.
func (v *View) WithUnknownFlags(yield func(*LoadBalancer) bool) {
	for lb := range v.loadBalancers.all {
		if lb.clean && !lb.Ours && len(lb.Endpoints) > 0 && !yield(lb) {
			return
		}
	}
}

// Match says how a load balancer in HNS differs from what is wanted.
type Match uint8

// The ways to differ.
const (
	// Equal: nothing to do.
	Equal Match = iota
	// InPlace: the endpoint list, internal port or source VIP differ. HNS with modify can
	// change them.
	InPlace
	// Different: a flag or the distribution differ, or a node port has the address of
	// yesterday in its rules. Only delete and create helps.
	Different
)

// Match compares a load balancer with the wanted one, whose endpoints are given in their
// own order.
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
