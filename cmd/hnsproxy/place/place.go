// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package place detects what is not configured about the place of hnsproxy on a node: the HNS
// network that carries the pods, and the source VIP that a network plugin keeps on it.
package place

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// placeholder is the network that start scripts for Windows make before that of the pods, so
// that the host does not lose its connections when the virtual switch comes.
const placeholder = "External"

// podTypes are the types of networks that carry pods.
func podTypes() []string { return []string{"L2Bridge", "L2Tunnel", hnslb.NetworkOverlay} }

// vipNames are names of endpoints that carry a source VIP: of Calico, of OVN-Kubernetes'
// hybrid overlay, and of scripts for flannel.
func vipNames() []string { return []string{"Calico_ep", "VIPEndpoint", "source_vip"} }

// suffix ends the names that flannel gives.
const suffix = "_ep"

// ErrNoNetwork says that there is no network for pods yet.
var ErrNoNetwork = errors.New("no L2Bridge, L2Tunnel or Overlay network exists yet")

// AmbiguousError says that several things might be meant.
type AmbiguousError struct {
	What  string
	Names []string
	// Flag decides.
	Flag string
}

// Error names them.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("found several %s: %s; use --%s to choose one", e.What, strings.Join(e.Names, ", "), e.Flag)
}

// Finder looks at HNS.
type Finder struct {
	Driver hnslb.Driver
	// Names lists the names of all networks.
	Names func(context.Context) ([]string, error)
}

// Network returns the only network that carries pods. An error may not come again, as the
// network may be about to be made.
func (f Finder) Network(ctx context.Context) (hnslb.Network, error) {
	names, err := f.Names(ctx)
	if err != nil {
		return hnslb.Network{}, fmt.Errorf("list HNS networks: %w", err)
	}
	var found []hnslb.Network
	for _, name := range names {
		if strings.EqualFold(name, placeholder) {
			continue
		}
		n, err := f.Driver.Network(ctx, name)
		switch {
		case hnslb.ErrorClass(err) == hnslb.NotFound:
		case err != nil:
			return hnslb.Network{}, err
		case slices.ContainsFunc(podTypes(), func(t string) bool { return strings.EqualFold(t, n.Type) }):
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return hnslb.Network{}, ErrNoNetwork
	case 1:
		return found[0], nil
	}
	e := &AmbiguousError{What: "networks usable for pods", Flag: "network-name"}
	for _, n := range found {
		e.Names = append(e.Names, n.Name)
	}
	slices.Sort(e.Names)
	return hnslb.Network{}, e
}

// SourceVIP returns the address of the endpoint that the network plugin made for the source
// VIP, or the zero Addr if there is none.
func SourceVIP(network hnslb.Network, endpoints []hnslb.Endpoint) (netip.Addr, error) {
	local := slices.DeleteFunc(slices.Clone(endpoints), func(e hnslb.Endpoint) bool {
		return e.Remote || e.Network != network.ID || len(e.IPs) == 0
	})
	named := func(name string) bool {
		return slices.ContainsFunc(vipNames(), func(n string) bool { return strings.EqualFold(n, name) }) ||
			strings.EqualFold(name, network.Name+suffix)
	}
	for _, is := range []func(name string) bool{
		named,
		func(name string) bool { return strings.HasSuffix(strings.ToLower(name), suffix) },
	} {
		var found []hnslb.Endpoint
		for _, e := range local {
			if is(e.Name) {
				found = append(found, e)
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0].IPs[0], nil
		}
		e := &AmbiguousError{What: "endpoints usable as source VIP", Flag: "source-vip"}
		for _, f := range found {
			e.Names = append(e.Names, f.Name+" "+f.IPs[0].String())
		}
		slices.Sort(e.Names)
		return netip.Addr{}, e
	}
	return netip.Addr{}, nil
}
