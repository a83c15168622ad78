// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package snapshot has what an HNS holds at one moment, as a value that can be written to a
// file and looked at elsewhere.
package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Snapshot is what one HNS holds. A state file of the emulator reads as one, too.
type Snapshot struct {
	// Time it was taken, Build of Windows, Version of HNS. Profile is the release that an
	// emulator's state file names instead.
	Time          time.Time     `json:",omitzero"`
	Profile       string        `json:",omitempty"`
	Build         string        `json:",omitempty"`
	Version       hnslb.Version `json:",omitzero"`
	Networks      []hnslb.Network
	Endpoints     []hnslb.Endpoint
	LoadBalancers []hnslb.LoadBalancer
}

// Take asks an HNS. names lists the names of its networks. A network that vanishes meanwhile is
// left out.
func Take(ctx context.Context, d hnslb.Driver, names func(context.Context) ([]string, error)) (Snapshot, error) {
	var s Snapshot
	fail := func(err error) (Snapshot, error) { return Snapshot{}, fmt.Errorf("read HNS: %w", err) }
	f, err := d.Features(ctx)
	if err != nil {
		return fail(err)
	}
	s.Version = f.Version
	all, err := names(ctx)
	if err != nil {
		return fail(err)
	}
	for _, name := range all {
		n, err := d.Network(ctx, name)
		if hnslb.ErrorClass(err) == hnslb.NotFound && err != nil {
			continue
		}
		if err != nil {
			return fail(err)
		}
		s.Networks = append(s.Networks, n)
	}
	if s.Endpoints, err = d.Endpoints(ctx); err != nil {
		return fail(err)
	}
	if s.LoadBalancers, err = d.LoadBalancers(ctx); err != nil {
		return fail(err)
	}
	return s, nil
}

// Read reads what JSON wrote, or a state file of the emulator.
func Read(body []byte) (Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("is no state of an HNS: %w", err)
	}
	if len(s.Networks) == 0 && len(s.Endpoints) == 0 && len(s.LoadBalancers) == 0 && s.Version == (hnslb.Version{}) {
		return s, fmt.Errorf("is no state of an HNS: it names nothing of one")
	}
	return s, nil
}

// Release is the known release next to the version of HNS, with that version. Without one it is
// Server 2022.
func (s Snapshot) Release() profiles.Profile {
	if named, err := profiles.ByName(s.Profile); err == nil {
		return named
	}
	if s.Version == (hnslb.Version{}) {
		return profiles.WS2022()
	}
	p := profiles.Of(s.Version)
	p.Version = s.Version
	return p
}

// JSON writes the snapshot.
func (s Snapshot) JSON() ([]byte, error) { return json.MarshalIndent(s, "", "  ") }

// Network returns the network of that name, or without a name the only one that carries
// Services.
func (s Snapshot) Network(name string) (hnslb.Network, error) {
	var found []hnslb.Network
	var names []string
	for _, n := range s.Networks {
		names = append(names, n.Name)
		if name == n.Name || name == "" && carriesPods(n) {
			found = append(found, n)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case name != "":
		return hnslb.Network{}, fmt.Errorf("HNS has no network %q; it has: %s", name, strings.Join(names, ", "))
	}
	return hnslb.Network{}, fmt.Errorf("HNS has %d networks that can carry pods; --network-name says which: %s", len(found), strings.Join(names, ", "))
}

// carriesPods tells whether a network may be that of the pods. Start scripts for Windows make
// another one, External, before it.
func carriesPods(n hnslb.Network) bool {
	return !strings.EqualFold(n.Name, "External") && slices.ContainsFunc([]string{"L2Bridge", "L2Tunnel", hnslb.NetworkOverlay},
		func(t string) bool { return strings.EqualFold(t, n.Type) })
}
