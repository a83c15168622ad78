// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package place

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// networks is a driver that has networks only.
type networks struct {
	hnslb.Driver
	types map[string]string
}

// Network is part of hnslb.Driver.
func (n networks) Network(_ context.Context, name string) (hnslb.Network, error) {
	if n.types[name] == "gone" {
		return hnslb.Network{}, hnslb.NewError(hnslb.VerbNetwork, name, hnslb.ResultNetworkNotFound, "")
	}
	return hnslb.Network{ID: hnslb.ID(name), Name: name, Type: n.types[name]}, nil
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ networks, want string }{
		{"", ErrNoNetwork.Error()},
		{"nat=NAT", ErrNoNetwork.Error()},
		{"External=Overlay nat=NAT", ErrNoNetwork.Error()},
		{"old=gone", ErrNoNetwork.Error()},
		{"nat=NAT azure=L2Bridge", "azure"},
		{"azure=l2tunnel", "azure"},
		{"External=L2Bridge Calico=Overlay", "Calico"},
		{"t=Transparent cbr0=L2Bridge", "cbr0"},
		{"vxlan0=Overlay cbr0=L2Bridge", "found several networks usable for pods: cbr0, vxlan0; use --network-name to choose one"},
	} {
		types := map[string]string{}
		for pair := range strings.FieldsSeq(tt.networks) {
			name, kind, _ := strings.Cut(pair, "=")
			types[name] = kind
		}
		f := Finder{networks{types: types}, func(context.Context) ([]string, error) {
			var names []string
			for name := range types {
				names = append(names, name)
			}
			return names, nil
		}}
		n, err := f.Network(t.Context())
		got := n.Name
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.networks, got, tt.want)
		}
	}
	away := errors.New("HNS is away")
	f := Finder{networks{}, func(context.Context) ([]string, error) { return nil, away }}
	if _, err := f.Network(t.Context()); !errors.Is(err, away) {
		t.Errorf("error %v, want that of the list", err)
	}
}

func TestSourceVIP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoints, want string }{
		{"", "invalid IP"},
		{"pod-1=10.244.1.7", "invalid IP"},
		{"pod-1=10.244.1.7 Calico_ep=10.244.1.2", "10.244.1.2"},
		{"VIPEndpoint=10.132.1.14", "10.132.1.14"},
		{"source_vip=10.244.1.2", "10.244.1.2"},
		{"VXLAN0_ep=10.244.1.2 cbr0_ep=10.244.1.3", "10.244.1.2"},
		{"cbr0_ep=10.244.1.3", "10.244.1.3"},
		{"cbr0_ep=10.244.1.3 other_ep=10.244.1.4", "found several endpoints usable as source VIP: cbr0_ep 10.244.1.3, other_ep 10.244.1.4; use --source-vip to choose one"},
		{"remote:Calico_ep=10.244.2.2", "invalid IP"},
		{"elsewhere:Calico_ep=10.244.2.2", "invalid IP"},
	} {
		var all []hnslb.Endpoint
		for pair := range strings.FieldsSeq(tt.endpoints) {
			name, ip, _ := strings.Cut(pair, "=")
			e := hnslb.Endpoint{Network: "net", Name: name, IPs: []netip.Addr{netip.MustParseAddr(ip)}}
			if rest, ok := strings.CutPrefix(name, "remote:"); ok {
				e.Name, e.Remote = rest, true
			}
			if rest, ok := strings.CutPrefix(name, "elsewhere:"); ok {
				e.Name, e.Network = rest, "other"
			}
			all = append(all, e)
		}
		ip, err := SourceVIP(hnslb.Network{ID: "net", Name: "vxlan0"}, all)
		got := ip.String()
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.endpoints, got, tt.want)
		}
	}
}
