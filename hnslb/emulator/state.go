// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// State is everything that a host's HNS would still know after a reboot: objects with
// their IDs and in their order, and taken ports. Faults, counts and dark times are not
// part of it. It is a plain value, written as JSON.
type State struct {
	// Profile that the state was saved under, for people; Restore does not read it.
	Profile       string
	Networks      []NetworkState
	Endpoints     []EndpointState
	LoadBalancers []LoadBalancerState
	// Listeners are ports that programs of the host hold, LeakedPorts what HNS leaked.
	Listeners   []HostPort
	LeakedPorts []hnslb.FrontendKey
	// Issued counts the IDs handed out, so that a restored host goes on with new ones.
	Issued uint64
}

// NetworkState is a network in a State.
type NetworkState struct {
	hnslb.Network
	ManagementIPv6 netip.Addr
	LoopbackDSR    bool
}

// EndpointState is an endpoint in a State.
type EndpointState struct {
	hnslb.Endpoint
	// Detached: the switch port is missing.
	Detached bool
}

// LoadBalancerState is a load balancer in a State.
type LoadBalancerState struct {
	hnslb.LoadBalancer
	// Network that the endpoints were on, NodeIP the management IP in the rules.
	Network hnslb.ID
	NodeIP  netip.Addr
	NoRules bool
	// Restored: HNS brought it back after a restart. DeleteFailed: it failed to be
	// deleted once.
	Restored, DeleteFailed bool
}

// State returns a copy of the host's state.
func (e *Emulator) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := e.store.state()
	st.Profile, st.Issued = e.profile.Name, e.ids.issued
	return st
}

// state returns the objects and ports of a store.
func (s *store) state() State {
	st := State{
		Networks: s.networkStates(), Endpoints: s.endpointStates(), LoadBalancers: s.loadBalancerStates(),
	}
	st.Listeners, st.LeakedPorts = s.ports.listed()
	return st
}

func (s *store) networkStates() []NetworkState {
	var all []NetworkState
	for _, n := range s.networks {
		all = append(all, stateOfNetwork(n))
	}
	return all
}

func (s *store) endpointStates() []EndpointState {
	var all []EndpointState
	for i, ep := range publicEndpoints(s.endpointOrder.items) {
		all = append(all, EndpointState{ep, s.endpointOrder.items[i].detached})
	}
	return all
}

func (s *store) loadBalancerStates() []LoadBalancerState {
	var all []LoadBalancerState
	for _, b := range s.balancerOrder.items {
		all = append(all, stateOfLoadBalancer(b))
	}
	return all
}

func stateOfNetwork(n *network) NetworkState {
	return NetworkState{publicNetwork(n), n.hostIPv6, n.loopbackDSR}
}

func stateOfLoadBalancer(b *loadBalancer) LoadBalancerState {
	return LoadBalancerState{
		LoadBalancer: publicLoadBalancer(b.LoadBalancer), Network: b.network, NodeIP: b.nodeIP,
		NoRules: b.noRules, Restored: b.restored, DeleteFailed: b.deleteFailed,
	}
}

// Restore replaces the state of the host by st, or changes nothing and says what is wrong
// with it. Dark times begin again.
func (e *Emulator) Restore(st State) error {
	s, err := storeOf(st, newStore(e.clock, nil))
	if err != nil {
		return fmt.Errorf("emulator: restore: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.watch = e.store.watch
	e.store = s
	e.ids.issued = max(e.ids.issued, st.Issued)
	return nil
}

// storeOf fills an empty store from a state.
func storeOf(st State, s *store) (*store, error) {
	for _, n := range st.Networks {
		if err := s.restoreNetwork(n); err != nil {
			return nil, fmt.Errorf("network %q: %w", n.Name, err)
		}
	}
	for _, ep := range st.Endpoints {
		if err := s.restoreEndpoint(ep); err != nil {
			return nil, fmt.Errorf("endpoint %s %v: %w", ep.ID, ep.IPs, err)
		}
	}
	for _, lb := range st.LoadBalancers {
		if err := s.restoreLoadBalancer(lb); err != nil {
			return nil, fmt.Errorf("load balancer %s (%s): %w", lb.ID, lb.ObjectName(), err)
		}
	}
	for _, p := range st.Listeners {
		s.ports.listeners[p] = true
	}
	for _, k := range st.LeakedPorts {
		if k.VIP.IsValid() && !usableAddress(k.VIP) {
			return nil, fmt.Errorf("leaked port: VIP %s", k.VIP)
		}
		s.ports.leaked[k] = true
	}
	return s, nil
}

func (s *store) restoreNetwork(n NetworkState) error {
	if n.ID = hnslb.NewID(string(n.ID)); n.ID == "" || s.has(n.ID) || s.networkByName(n.Name) != nil {
		return fmt.Errorf("name or ID %q is missing or used twice", n.ID)
	}
	n.Subnets, n.Remotes, n.Adapters = slices.Clone(n.Subnets), slices.Clone(n.Remotes), slices.Clone(n.Adapters)
	own := &network{Network: n.Network, hostIPv6: n.ManagementIPv6, loopbackDSR: n.LoopbackDSR}
	if err := ruleNetwork(own); err != nil {
		return err
	}
	s.networks = append(s.networks, own)
	return nil
}

func (s *store) restoreEndpoint(ep EndpointState) error {
	ep.ID = hnslb.NewID(string(ep.ID))
	net := s.networkByID(hnslb.NewID(string(ep.Network)))
	mac, ok := foldMAC(ep.MAC)
	switch {
	case ep.ID == "" || s.has(ep.ID):
		return fmt.Errorf("its ID is missing or used twice")
	case net == nil:
		return fmt.Errorf("there is no network %q", ep.Network)
	case !ok:
		return fmt.Errorf("%q is no MAC with dashes", ep.MAC)
	case ep.ProviderAddress.IsValid() && !usableAddress(ep.ProviderAddress):
		return fmt.Errorf("provider address %s", ep.ProviderAddress)
	}
	if err := ruleAddresses(ep.IPs); err != nil {
		return err
	}
	for _, ip := range ep.IPs {
		if s.endpointAt(net, ip, ep.Remote) != nil {
			return fmt.Errorf("%s has another endpoint of that kind", ip)
		}
	}
	ep.MAC = mac
	made := newEndpoint(net, ep.Endpoint)
	made.detached = ep.Detached
	s.insertEndpoint(made)
	return nil
}

func (s *store) restoreLoadBalancer(st LoadBalancerState) error {
	lb := publicLoadBalancer(st.LoadBalancer)
	if lb.ID = hnslb.NewID(string(lb.ID)); lb.ID == "" || s.has(lb.ID) {
		return fmt.Errorf("its ID is missing or used twice")
	}
	foldIDs(lb.Endpoints)
	if err := ruleLoadBalancerAddresses(lb); err != nil {
		return err
	}
	if st.NodeIP.IsValid() && !usableAddress(st.NodeIP) {
		return fmt.Errorf("node IP %s", st.NodeIP)
	}
	if k, taken := s.takenFrontend(lb); taken {
		return fmt.Errorf("%s is taken", k)
	}
	s.insertLoadBalancer(&loadBalancer{
		LoadBalancer: lb, network: hnslb.NewID(string(st.Network)), nodeIP: st.NodeIP,
		noRules: st.NoRules, restored: st.Restored, deleteFailed: st.DeleteFailed,
	})
	return nil
}

// ReadState reads what State.Write wrote.
func ReadState(r io.Reader) (State, error) {
	var st State
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&st); err != nil {
		return State{}, fmt.Errorf("emulator: read state: %w", err)
	}
	return st, nil
}

// Write writes the state as JSON.
func (st State) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	if err := enc.Encode(st); err != nil {
		return fmt.Errorf("emulator: write state: %w", err)
	}
	return nil
}

// LoadFile restores the state from a file that SaveFile wrote.
func (e *Emulator) LoadFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("emulator: load: %w", err)
	}
	defer func() { _ = f.Close() }() // read only: nothing is lost
	st, err := ReadState(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return e.Restore(st)
}

// SaveFile writes the state to a file. It appears whole or not at all: a reader never
// meets half a file, and a crash leaves the old one.
func (e *Emulator) SaveFile(path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("emulator: save: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // after the rename there is nothing left to remove
	err = e.State().Write(tmp)
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("emulator: save %s: %w", path, err)
	}
	return nil
}
