// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// rig is a server with a network, called as a DLL would call it.
type rig struct {
	*testing.T
	e       *emulator.Emulator
	s       *Server
	network hnslb.Network
}

func newRig(t *testing.T, c emulator.Config, networkType string) *rig {
	t.Helper()
	r := &rig{T: t, e: emulator.New(c)}
	n, err := r.e.AddNetwork(emulator.NetworkSpec{
		Name: "azure", Type: networkType, HostMAC: "00-15-5D-00-00-05",
		ManagementIP: netip.MustParseAddr("10.0.0.5"),
		Subnets:      []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:244:1::/64")},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.s, r.network = New(r.e), n
	return r
}

// ws2025 is a rig on an L2Bridge network of a release with modify.
func ws2025(t *testing.T) *rig {
	t.Helper()
	return newRig(t, emulator.Config{Profile: profiles.WS2025()}, "L2Bridge")
}

func (r *rig) call(function string, handle uint64, id hnslb.ID, args ...string) reply {
	req := request{function: function, handle: handle, id: id}
	copy(req.args[:], args)
	return r.s.call(r.Context(), req)
}

// ok is call, for a function that must succeed.
func (r *rig) ok(function string, handle uint64, id hnslb.ID, args ...string) reply {
	r.Helper()
	p := r.call(function, handle, id, args...)
	if p.code != 0 || p.record != nil {
		r.Fatalf("%s %v: code 0x%08x, record %s", function, args, uint32(p.code), show(p.record))
	}
	return p
}

// fails wants a code, and the record that belongs to it.
func (r *rig) fails(want hnslb.HRESULT, p reply) {
	r.Helper()
	if p.code != want {
		r.Errorf("code 0x%08x, want 0x%08x, record %s", uint32(p.code), uint32(want), show(p.record))
		return
	}
	if p.text != nil || p.handle != 0 {
		r.Errorf("a failed call returns text %s and handle %d", show(p.text), p.handle)
	}
	if fromRPC(want) {
		if p.record != nil {
			r.Errorf("HNS cannot be reached and says %s", *p.record)
		}
		return
	}
	var record struct {
		Success   *bool
		Error     string
		ErrorCode uint32
	}
	if err := json.Unmarshal([]byte(show(p.record)), &record); err != nil {
		r.Errorf("record %s: %v", show(p.record), err)
	} else if record.Success == nil || *record.Success || record.Error == "" || record.ErrorCode != uint32(want) {
		r.Errorf("record %s for code %d", *p.record, uint32(want))
	}
}

func show(s *string) string {
	if s == nil {
		return "NULL"
	}
	return *s
}

// v1 makes a V1 call that must reach HNS, and returns its answer.
func (r *rig) v1(method, path, body string) v1Answer {
	r.Helper()
	p := r.ok("HNSCall", 0, "", method, path, body)
	var a v1Answer
	if err := json.Unmarshal([]byte(show(p.text)), &a); err != nil {
		r.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// open opens an object of a kind.
func (r *rig) open(kind string, id hnslb.ID) uint64 {
	r.Helper()
	return r.ok("HcnOpen"+kind, 0, id).handle
}

// create makes an object and returns its ID.
func (r *rig) create(kind, document string) hnslb.ID {
	r.Helper()
	var parent uint64
	if kind == kindEndpoint {
		parent = r.open(kindNetwork, r.network.ID)
		defer r.ok("HcnCloseNetwork", parent, "")
	}
	handle := r.ok("HcnCreate"+kind, parent, "", document).handle
	defer r.ok("HcnClose"+kind, handle, "")
	var made struct{ ID hnslb.ID }
	if err := json.Unmarshal([]byte(r.query(kind, handle)), &made); err != nil {
		r.Fatal(err)
	}
	return made.ID
}

func (r *rig) query(kind string, handle uint64, query ...string) string {
	r.Helper()
	return show(r.ok("HcnQuery"+kind+"Properties", handle, "", query...).text)
}

// document returns the document of an object.
func (r *rig) document(kind string, id hnslb.ID, query ...string) string {
	r.Helper()
	handle := r.open(kind, id)
	defer r.ok("HcnClose"+kind, handle, "")
	return r.query(kind, handle, query...)
}

// remote makes a remote endpoint.
func (r *rig) remote(ip string) hnslb.ID {
	r.Helper()
	return r.create(kindEndpoint, fmt.Sprintf(
		`{"IpConfigurations":[{"IpAddress":%q}],"MacAddress":"02-11-00-00-00-01","Flags":1,"SchemaVersion":{"Major":2,"Minor":0}}`, ip))
}

// balancer is the document of a load balancer of endpoints on a VIP and port 80.
func balancer(vip string, endpoints ...hnslb.ID) string {
	return mustJSON(map[string]any{
		"HostComputeEndpoints": endpoints, "FrontendVIPs": []string{vip},
		"PortMappings":  []map[string]int{{"Protocol": 6, "InternalPort": 8080, "ExternalPort": 80}},
		"SchemaVersion": schema(),
	})
}
