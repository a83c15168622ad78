// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// host is what the network plugin and other programs of the node want HNS to hold. The node
// keeps trying until HNS does: HNS may be away, or an address may be taken.
type host struct {
	// things are endpoints and load balancers of others, by what they are called.
	things map[string]thing
	// networkGone: the plugin has deleted the network and not made it again.
	networkGone bool
	// idle: the plugin does nothing for now.
	idle         bool
	managementIP netip.Addr
	router       netip.Addr
	// placed are the things that HNS took, with the IDs that it gave.
	placed map[string]hnslb.ID
	// since is when they were placed.
	since map[string]time.Time
	// foreign are the IDs of all things that ever were, with what they were called.
	mu      sync.Mutex // guards foreign
	foreign map[hnslb.ID]string
}

// own notes that an object is the host's.
func (h *host) own(name string, id hnslb.ID) {
	h.placed[name], h.since[name] = id, time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.foreign[id] = name
}

// placedFor returns how long HNS has had a thing, 0 if it has not.
func (w *simulation) placedFor(name string) time.Duration {
	if w.host.placed[name] == "" {
		return 0
	}
	return time.Since(w.host.since[name])
}

// name returns what an object of the host is called, "" for the objects of the proxy.
func (h *host) name(id hnslb.ID) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.foreign[id]
}

// thing is one object that is not the proxy's.
type thing struct {
	network  string
	endpoint *hnslb.Endpoint
	balancer *hnslb.LoadBalancer
	detached bool
}

func newHost() *host {
	h := &host{
		things: map[string]thing{}, placed: map[string]hnslb.ID{}, since: map[string]time.Time{}, foreign: map[hnslb.ID]string{},
		managementIP: nodeIP, router: addressOf("peer"),
	}
	h.things["root"] = thing{network: podNetwork, endpoint: &hnslb.Endpoint{Name: rootName, IPs: []netip.Addr{addressOf("l0")}}}
	h.things["other"] = thing{network: "other", endpoint: &hnslb.Endpoint{IPs: []netip.Addr{netip.MustParseAddr("172.16.0.10")}}}
	return h
}

func podThing(word string) thing {
	return thing{network: podNetwork, endpoint: &hnslb.Endpoint{IPs: []netip.Addr{addressOf(word)}}}
}

func podName(word string) string { return "pod " + word }

// pods returns the words of the addresses that have a pod, with its UID.
func (w *simulation) pods() map[string]string {
	out := map[string]string{}
	for name, uid := range w.uids {
		if word, ok := strings.CutPrefix(name, "pod "); ok && w.host.things[name].endpoint != nil {
			out[word] = uid
		}
	}
	return out
}

// reconcile makes HNS hold what the host wants, and tells whether all is so.
func (w *simulation) reconcile() bool {
	h := w.host
	if h.idle {
		return true
	}
	ok := w.reconcileNetworks()
	state := w.hns.State()
	present := map[hnslb.ID]bool{}
	for _, ep := range state.Endpoints {
		present[ep.ID] = true
		if want := h.things[h.name(ep.ID)]; want.endpoint != nil && want.detached != ep.Detached {
			ok = w.hns.SetAttached(ep.IPs[0], !want.detached) == nil && ok
		}
	}
	for _, lb := range state.LoadBalancers {
		present[lb.ID] = true
	}
	for _, name := range slices.Sorted(maps.Keys(h.placed)) {
		if _, wanted := h.things[name]; wanted {
			continue
		}
		if present[h.placed[name]] && w.hns.DeleteBehind(h.placed[name]) != nil {
			ok = false
			continue
		}
		delete(h.placed, name)
	}
	for _, name := range slices.Sorted(maps.Keys(h.things)) {
		if !present[h.placed[name]] || h.placed[name] == "" {
			ok = w.place(name) && ok
		}
	}
	return ok
}

func (w *simulation) reconcileNetworks() bool {
	h := w.host
	var pods, other *emulator.NetworkState
	state := w.hns.State()
	for i, n := range state.Networks {
		if n.Name == podNetwork {
			pods = &state.Networks[i]
		} else {
			other = &state.Networks[i]
		}
	}
	ok := true
	try := func(err error) { ok = ok && err == nil }
	if other == nil {
		_, err := w.hns.AddNetwork(emulator.NetworkSpec{Name: "other", Type: "NAT", HostMAC: "00-15-5D-00-00-99",
			Subnets: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/24")}})
		try(err)
	}
	remotes := []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: h.router}}
	switch {
	case pods == nil && !h.networkGone:
		_, err := w.hns.AddNetwork(emulator.NetworkSpec{
			Name: podNetwork, Type: w.script.network, ManagementIP: h.managementIP, HostMAC: "00-15-5D-00-00-04",
			Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}, Remotes: remotes,
		})
		try(err)
	case pods != nil && h.networkGone:
		try(w.hns.DeleteNetwork(podNetwork))
	case pods != nil:
		if pods.ManagementIP != h.managementIP {
			try(w.hns.SetManagementIP(podNetwork, h.managementIP))
		}
		if !slices.Equal(pods.Remotes, remotes) {
			try(w.hns.SetRemotes(podNetwork, remotes))
		}
	}
	return ok
}

// place makes one thing.
func (w *simulation) place(name string) bool {
	h, t := w.host, w.host.things[name]
	if t.balancer != nil {
		lb := *t.balancer
		lb.Endpoints = []hnslb.ID{h.placed["other"]}
		made, err := w.hns.AddForeignLoadBalancer(lb)
		if code := codeOf(err); code == hnslb.ResultPortAlreadyExists {
			delete(h.things, name) // the frontend is taken: its owner gives up
			return true
		}
		if err == nil {
			h.own(name, made.ID)
		}
		return err == nil
	}
	ep := *t.endpoint
	made, err := w.hns.AddForeignEndpoint(t.network, ep)
	if err != nil {
		return false
	}
	h.own(name, made.ID)
	return !t.detached || w.hns.SetAttached(ep.IPs[0], false) == nil
}

// codeOf returns the HRESULT of an error of the emulator's host side, which has it in words
// only.
func codeOf(err error) hnslb.HRESULT {
	if err != nil && strings.Contains(err.Error(), emulator.ErrorText(hnslb.ResultPortAlreadyExists, "")) {
		return hnslb.ResultPortAlreadyExists
	}
	return 0
}
