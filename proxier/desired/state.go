// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/multimap"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// State is the desired state of HNS: the frontends of all Services, and the remote endpoints that
// follow from them. It is not safe for concurrent use.
//
// The cost of Set depends on the Service that changed, and not on the number of Services (law 1).
type State struct {
	services map[services.Name][]*Frontend
	slots    map[hnslb.FrontendKey]*slot
	// users is the index for Wanted and Users: the slots whose winner lists an address. It is
	// derived from slots; CheckIndex verifies it (law 5).
	users multimap.Map[netip.Addr, *slot]
	// owners is the index for Owner: the slots with a claim that owns their VIP.
	owners multimap.Map[netip.Addr, *slot]
}

// slot is a frontend key with all its claims, the winner first.
type slot struct {
	key    hnslb.FrontendKey
	claims []*Frontend
}

func (s *slot) winner() *Frontend {
	if len(s.claims) == 0 {
		return nil
	}
	return s.claims[0]
}

// Changes is the effect of a Set.
type Changes struct {
	// Frontends whose desired value changed.
	Frontends []hnslb.FrontendKey
	// Unused are addresses that no frontend lists any more.
	Unused []netip.Addr
	// Reassigned are addresses that became a cluster IP, or are one no longer. The frontends that
	// list them as a backend have to be planned again.
	Reassigned []netip.Addr
}

// NewState returns an empty state.
func NewState() *State {
	return &State{
		services: map[services.Name][]*Frontend{},
		slots:    map[hnslb.FrontendKey]*slot{},
		users:    multimap.New[netip.Addr, *slot](),
		owners:   multimap.New[netip.Addr, *slot](),
	}
}

// Set replaces the frontends of one Service; an empty list removes it. The result is ordered, so
// that equal inputs lead to equal plans.
func (s *State) Set(name services.Name, frontends []*Frontend) Changes {
	var c Changes
	fresh := make(map[hnslb.FrontendKey]bool, len(frontends))
	for _, f := range frontends {
		fresh[f.Key] = true
	}
	for _, old := range s.services[name] {
		if !fresh[old.Key] {
			s.claim(old.Key, name, nil, &c)
		}
	}
	for _, f := range frontends {
		s.claim(f.Key, name, f, &c)
	}
	if len(frontends) == 0 {
		delete(s.services, name)
	} else {
		s.services[name] = frontends
	}
	c.Unused = slices.DeleteFunc(c.Unused, s.Wanted)
	return c
}

// Owner returns the Service that has an address as a cluster IP, and whether there is one, with or
// without endpoints.
func (s *State) Owner(ip netip.Addr) (services.Name, bool) {
	for sl := range s.owners.All(ip) {
		return sl.owner().Service, true
	}
	return services.Name{}, false
}

// owner returns the first claim that owns its VIP, nil for none.
func (s *slot) owner() *Frontend {
	for _, f := range s.claims {
		if f.OwnsVIP {
			return f
		}
	}
	return nil
}

// claim adds or replaces the claim of a Service on a frontend; a nil f removes it.
func (s *State) claim(key hnslb.FrontendKey, name services.Name, f *Frontend, c *Changes) {
	sl := s.slots[key]
	if sl == nil {
		sl = &slot{key: key}
		s.slots[key] = sl
	}
	before, owned := sl.winner(), sl.owner() != nil
	sl.claims = slices.DeleteFunc(sl.claims, func(o *Frontend) bool { return o.Service == name })
	if f != nil {
		at, _ := slices.BinarySearchFunc(sl.claims, f, (*Frontend).compareClaims)
		sl.claims = slices.Insert(sl.claims, at, f)
	}
	after := sl.winner()
	if after == nil {
		delete(s.slots, key)
	}
	s.updateOwners(sl, owned, c)
	if before != nil && after != nil && before.Equal(after) {
		return
	}
	c.Frontends = append(c.Frontends, key)
	s.updateUsers(sl, before, after, c)
}

// updateOwners updates the index of owners for a slot; owned is whether the slot was in it.
func (s *State) updateOwners(sl *slot, owned bool, c *Changes) {
	ip := sl.key.VIP
	switch owns := sl.owner() != nil; {
	case owns && !owned:
		if !s.owners.Has(ip) {
			c.Reassigned = append(c.Reassigned, ip)
		}
		s.owners.Add(ip, sl)
	case owned && !owns && s.owners.Remove(ip, sl):
		c.Reassigned = append(c.Reassigned, ip)
	}
}

// updateUsers updates the index of users when the winner of a slot has changed.
func (s *State) updateUsers(sl *slot, before, after *Frontend, c *Changes) {
	for ip := range before.addresses() {
		if after.lists(ip) {
			continue
		}
		if s.users.Remove(ip, sl) {
			c.Unused = append(c.Unused, ip)
		}
	}
	for ip := range after.addresses() {
		if !before.lists(ip) {
			s.users.Add(ip, sl)
		}
	}
}

// addresses yields the endpoint addresses of a frontend, including that of its VIP endpoint.
func (f *Frontend) addresses() func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		if !f.Programmable() {
			return
		}
		for _, b := range f.Backends {
			if !yield(b.IP) {
				return
			}
		}
		if f.VIPEndpoint && !containsBackend(f.Backends, f.Key.VIP) {
			yield(f.Key.VIP)
		}
	}
}

func (f *Frontend) lists(ip netip.Addr) bool {
	return f.Programmable() && (f.VIPEndpoint && f.Key.VIP == ip || containsBackend(f.Backends, ip))
}

// Frontend returns the frontend that HNS should have at a key, nil for none.
func (s *State) Frontend(key hnslb.FrontendKey) *Frontend {
	if sl := s.slots[key]; sl != nil {
		return sl.winner()
	}
	return nil
}

// Frontends returns the frontends of one Service.
func (s *State) Frontends(name services.Name) []*Frontend { return s.services[name] }

// Conflict returns the note for a frontend whose key another Service holds, and whether that is so.
func (s *State) Conflict(f *Frontend) (Note, bool) {
	w := s.Frontend(f.Key)
	if w == nil || w.Service == f.Service {
		return Note{}, false
	}
	why := "which sorts first by namespace and name"
	switch {
	case w.Reserved:
		return Note{Conflict, fmt.Sprintf("temporarily reserved: was the cluster IP of deleted Service %s", w.Service)}, true
	case w.rank() != f.rank():
		why = fmt.Sprintf("which takes precedence over its use as %s", f.Kind.Description())
	case !w.Created.Equal(f.Created):
		why = "which is older"
	}
	return Note{Conflict, fmt.Sprintf("held as %s by Service %s, %s", w.Kind.Description(), w.Service, why)}, true
}

// Reserve returns frontends that keep the cluster IPs of a critical Service from being claimed as
// external or ingress IPs while it is deleted and re-created, as during an upgrade of cluster DNS.
// They are not programmed.
func Reserve(frontends []*Frontend) []*Frontend {
	var out []*Frontend
	for _, f := range frontends {
		if !f.Critical || !f.OwnsVIP || f.Reserved {
			continue
		}
		out = append(out, &Frontend{Key: f.Key, Kind: f.Kind, Service: f.Service, Port: f.Port, UID: f.UID, Created: f.Created,
			Critical: true, OwnsVIP: true, Reserved: true, Blocked: Note{NoEndpoints, "the Service was deleted"}})
	}
	return out
}

// All yields every frontend of every Service, including those that lost their key, in no particular
// order.
func (s *State) All(yield func(*Frontend) bool) {
	for _, fs := range s.services {
		for _, f := range fs {
			if !yield(f) {
				return
			}
		}
	}
}

// Keys yields every frontend key that a Service claims, in no particular order.
func (s *State) Keys(yield func(hnslb.FrontendKey) bool) {
	for k := range s.slots {
		if !yield(k) {
			return
		}
	}
}

// Wanted returns whether a frontend lists an address.
func (s *State) Wanted(ip netip.Addr) bool { return s.users.Has(ip) }

// Users returns the frontends that list an address.
func (s *State) Users(ip netip.Addr) []hnslb.FrontendKey {
	var out []hnslb.FrontendKey
	for sl := range s.users.All(ip) {
		out = append(out, sl.key)
	}
	return out
}

// Role is what an address is used for.
type Role uint8

// The roles of an address, weakest first.
const (
	Unwanted Role = iota
	// AsVIP: the endpoint of a cluster IP.
	AsVIP
	// AsLocal: a backend whose endpoint the network plugin creates.
	AsLocal
	// AsRemote: a backend whose endpoint hnsproxy creates.
	AsRemote
)

// Role returns the role of an address. A cluster IP has no other role, even if it is listed as a
// backend (law 12); otherwise the strongest role among the backends applies. The desired endpoint
// at an address therefore depends on the frontends alone, and no two of them can replace each
// other's endpoint in turn.
func (s *State) Role(ip netip.Addr) Role {
	role := Unwanted
	_, owned := s.Owner(ip)
	for sl := range s.users.All(ip) {
		f := sl.winner()
		if owned {
			if f.VIPEndpoint && f.Key.VIP == ip {
				return AsVIP
			}
			continue
		}
		r := AsVIP
		if i, ok := findBackend(f.Backends, ip); ok {
			r = AsRemote
			if f.Backends[i].Local {
				r = AsLocal
			}
		}
		if role = max(role, r); role == AsRemote {
			break
		}
	}
	return role
}

// Claims returns all frontends that claim a key, the winner first.
func (s *State) Claims(key hnslb.FrontendKey) []*Frontend {
	if sl := s.slots[key]; sl != nil {
		return sl.claims
	}
	return nil
}

// CheckIndex compares the indexes with ones built from scratch. It is for tests: law 5 requires
// that they agree after every change.
func (s *State) CheckIndex() error {
	if err := s.checkOwners(); err != nil {
		return err
	}
	want := map[netip.Addr]map[*slot]bool{}
	for _, sl := range s.slots {
		for ip := range sl.winner().addresses() {
			if want[ip] == nil {
				want[ip] = map[*slot]bool{}
			}
			want[ip][sl] = true
		}
	}
	if len(want) != len(s.users) {
		return fmt.Errorf("index holds %d addresses, the frontends list %d", len(s.users), len(want))
	}
	for ip := range s.users {
		users := slices.Collect(s.users.All(ip))
		if len(users) != len(want[ip]) {
			return fmt.Errorf("index holds %d users of %s, %d frontends list it", len(users), ip, len(want[ip]))
		}
		for _, sl := range users {
			if !want[ip][sl] {
				return fmt.Errorf("index holds %s as user of %s, which it does not list", sl.key, ip)
			}
		}
	}
	return nil
}

// checkOwners compares the index of owners with one built from scratch.
func (s *State) checkOwners() error {
	slots := 0
	for _, sl := range s.slots {
		owns := sl.owner() != nil
		if held := slices.Contains(slices.Collect(s.owners.All(sl.key.VIP)), sl); held != owns {
			return fmt.Errorf("index holds %s as owner of its VIP: %v, want %v", sl.key, held, owns)
		}
		if owns {
			slots++
		}
	}
	for ip := range s.owners {
		slots -= len(slices.Collect(s.owners.All(ip)))
	}
	if slots != 0 {
		return fmt.Errorf("index of owners holds %d slots too many", -slots)
	}
	return nil
}
