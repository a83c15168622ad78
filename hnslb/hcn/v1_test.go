// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// TestParseV1LoadBalancer reads policy lists in the words of HNS (calico issue 8465 shows
// the first one).
func TestParseV1LoadBalancer(t *testing.T) {
	const id = "D680D0E7-185B-46A7-B097-37A8B439F588"
	refs := []string{"/endpoints/C55B2C86-bd06-400e-bca7-8fb7de11e635"}
	seen := hnslb.LoadBalancer{
		ID:        "d680d0e7-185b-46a7-b097-37a8b439f588",
		Endpoints: []hnslb.ID{"c55b2c86-bd06-400e-bca7-8fb7de11e635"},
	}
	with := func(vips []netip.Addr, source netip.Addr, m hnslb.PortMapping) hnslb.LoadBalancer {
		lb := seen
		lb.VIPs, lb.SourceVIP, lb.Mappings = vips, source, []hnslb.PortMapping{m}
		return lb
	}
	vip := []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	tcp := hnslb.PortMapping{Protocol: hnslb.TCP, InternalPort: 55680, ExternalPort: 80}
	for _, tc := range []struct {
		name     string
		policies []string
		want     v1LoadBalancer
		notALB   bool
	}{
		{
			name:     "DSR on an overlay",
			policies: []string{`{"ExternalPort":80,"InternalPort":55680,"IsDSR":true,"Protocol":6,"SourceVIP":"10.244.178.2","Type":"ELB","VIPs":["10.96.0.10"]}`},
			want:     v1LoadBalancer{with(vip, netip.MustParseAddr("10.244.178.2"), tcp), true},
		},
		{
			name:     "node port, flags are not taken over",
			policies: []string{`{"ExternalPort":80,"InternalPort":55680,"IsVipExternalIP":true,"LocalRoutedVip":true,"ILB":true,"Protocol":6,"Type":"elb"}`},
			want:     v1LoadBalancer{with(nil, netip.Addr{}, tcp), true},
		},
		{
			name:     "an empty VIP is none",
			policies: []string{`{"ExternalPort":80,"InternalPort":55680,"Protocol":6,"Type":"ELB","VIPs":[""]}`},
			want:     v1LoadBalancer{with(nil, netip.Addr{}, tcp), true},
		},
		{
			name:     "a VIP that does not parse",
			policies: []string{`{"ExternalPort":80,"InternalPort":55680,"Protocol":6,"Type":"ELB","VIPs":["10.96.0"]}`},
			want:     v1LoadBalancer{with(nil, netip.Addr{}, tcp), false},
		},
		{
			name:     "two mappings",
			policies: []string{`{"ExternalPort":80,"InternalPort":55680,"Protocol":6,"Type":"ELB"}`, `{"ExternalPort":81,"Protocol":6,"Type":"ELB"}`},
			want:     v1LoadBalancer{with(nil, netip.Addr{}, tcp), false},
		},
		{
			name:     "wildcard protocol",
			policies: []string{`{"Type":"ELB","ILB":true,"VIPs":["10.96.0.10"]}`},
			want:     v1LoadBalancer{with(vip, netip.Addr{}, hnslb.PortMapping{}), false},
		},
		{
			name:     "a policy beside it that does not decode",
			policies: []string{`{"ExternalPort":80,"InternalPort":55680,"Protocol":6,"Type":"ELB"}`, `{"Type":7}`},
			want:     v1LoadBalancer{with(nil, netip.Addr{}, tcp), false},
		},
		{name: "half-made", want: v1LoadBalancer{seen, false}},
		{name: "not decodable", policies: []string{`{"Type":"ELB","Protocol":"six"}`}, want: v1LoadBalancer{seen, false}},
		{name: "route", policies: []string{`{"Type":"ROUTE","DestinationPrefix":"10.0.0.0/8","NeedEncap":true}`}, notALB: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var raw []json.RawMessage
			for _, p := range tc.policies {
				raw = append(raw, json.RawMessage(p))
			}
			got, ok := parseV1LoadBalancer(v1PolicyList{ID: id, References: append(refs, "/networks/x"), Policies: raw})
			if ok == tc.notALB {
				t.Fatalf("is a load balancer: %t", ok)
			}
			if diff := cmp.Diff(tc.want, got, addrsAreValues); ok && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseV1LoadBalancers: a list has other things than load balancers, too, and tells which
// load balancers are degraded. A state that is missing tells nothing.
func TestParseV1LoadBalancers(t *testing.T) {
	const policies = `"Policies":[{"Type":"ELB","Protocol":6,"InternalPort":80,"ExternalPort":80}]`
	for _, tc := range []struct{ name, text, want string }{
		{"no answer", ``, ""},
		{"none", `[]`, ""},
		{"healthy", `[{"ID":"A","State":2,` + policies + `}]`, "a"},
		{"degraded", `[{"ID":"A","State":4,"IsApplied":false,` + policies + `}]`, "a degraded"},
		{"in another state", `[{"ID":"A","State":1,` + policies + `}]`, "a degraded"},
		{"not told", `[{"ID":"A",` + policies + `}]`, "a"},
		{"one of several", `[{"ID":"A","State":2,` + policies + `},{"ID":"R","State":4,"Policies":[{"Type":"ROUTE"}]},` +
			`{"ID":"B","State":4,` + policies + `}]`, "a, b degraded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all, err := parseV1LoadBalancers([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, lb := range all {
				if lb.Degraded {
					lb.ID += " degraded"
				}
				got = append(got, string(lb.ID))
			}
			if text := strings.Join(got, ", "); text != tc.want {
				t.Errorf("%q, want %q", text, tc.want)
			}
		})
	}
	if _, err := parseV1LoadBalancers([]byte(`{}`)); err == nil {
		t.Error("what is no list passes for one")
	}
}

func TestV1ProviderAddress(t *testing.T) {
	raw := func(policies ...string) (all []json.RawMessage) {
		for _, p := range policies {
			all = append(all, json.RawMessage(p))
		}
		return all
	}
	for _, tc := range []struct {
		name     string
		policies []json.RawMessage
		want     netip.Addr
	}{
		{"none", nil, netip.Addr{}},
		{"among others", raw(`{"Type":"ACL","Protocol":256}`, `{"Type":"OutBoundNAT","ExceptionList":["10.96.0.0/12"]}`, `{"PA":"10.1.0.5","Type":"PA"}`), netip.MustParseAddr("10.1.0.5")},
		{"empty", raw(`{"Type":"PA"}`), netip.Addr{}},
		{"unspecified", raw(`{"Type":"PA","PA":"0.0.0.0"}`), netip.Addr{}},
	} {
		if got := v1ProviderAddress(tc.policies); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestAddrs: every address comes out in one form, so that addresses compare with ==.
func TestAddrs(t *testing.T) {
	v4 := netip.MustParseAddr("10.0.0.1")
	if got := parseAddr("::ffff:10.0.0.1"); got != v4 {
		t.Errorf("mapped text: %v", got)
	}
	if got := addrOf(net.ParseIP("10.0.0.1")); got != v4 {
		t.Errorf("16-byte form: %v", got)
	}
	if got, ok := parseVIPs([]string{"::ffff:10.0.0.1"}); !ok || len(got) != 1 || got[0] != v4 {
		t.Errorf("VIP: %v", got)
	}
	if got := addrsOf(addrOf(nil), addrOf(net.IPv4zero), v4, parseAddr("")); len(got) != 1 || got[0] != v4 {
		t.Errorf("missing ones: %v", got)
	}
}

// TestCodes: the code of a failed call is found wherever it hides.
func TestCodes(t *testing.T) {
	for _, tc := range []struct {
		name     string
		returned uint32
		text     string
		want     hnslb.HRESULT
	}{
		{"Win32 code, folded by hcsshim", 0x490, "hcnOpenEndpoint failed in Win32: Element not found. (0x490)", hnslb.ResultElementNotFound},
		{"other facility, whole", 0x803b0013, "", hnslb.ResultPortAlreadyExists},
		{"in the record only", 0, `hcnCreateLoadBalancer failed in Win32: A device attached to the system is not functioning. (0x1f) {"Success":false,"Error":"The specified port already exists. ","ErrorCode":2151350291}`, hnslb.ResultPortAlreadyExists},
		{"general failure and a record", 31, `(0x1f) {"ErrorCode" : 2147942487}`, hnslb.ResultInvalidArgument},
		{"vague code and a record that says more", 0x80004005, `{"Success":false,"Error":"Element not found. ","ErrorCode":2147943568}`, hnslb.ResultElementNotFound},
		{"vague code and a vague record", 0x80004005, `{"ErrorCode":2147500037}`, 0x80004005},
		{"code with a class beats the record", 0x803b001c, `{"ErrorCode":2147942487}`, hnslb.ResultInvalidJSONReference},
		{"signed record", 0, `{"ErrorCode":-2143617005}`, hnslb.ResultPortAlreadyExists},
		{"printed only", 0, "hnsCall failed in Win32: The RPC server is unavailable. (0x6ba)", hnslb.ResultServerUnavailable},
		{"V1 without a code", 0, "hns failed with error : The service has not been started. ", hnslb.ResultServiceNotActive},
		{"nothing", 0, "hns failed with error : something", 0},
		{"general failure and nothing", 31, "something", 0},
		{"unknown code", 0x803b0009, "something", 0x803b0009},
		{"record out of range", 0, `{"ErrorCode":99999999999999999999999}`, 0},
	} {
		if got := bestCode(unfold(tc.returned), codeInText(tc.text)); got != tc.want {
			t.Errorf("%s: 0x%08x, want 0x%08x", tc.name, uint32(got), uint32(tc.want))
		}
	}
}

func TestAdapters(t *testing.T) {
	mac := func(last byte) net.HardwareAddr { return net.HardwareAddr{0, 0x15, 0x5d, 0, 0xab, last} }
	all := []net.Interface{{Name: "lo"}, {Name: "gone", HardwareAddr: mac(1)}, {Name: "pods", HardwareAddr: mac(2)}, {Name: "host", HardwareAddr: mac(3)}}
	addrs := func(i net.Interface) ([]net.Addr, error) {
		switch i.Name {
		case "gone":
			return nil, errors.New("no such interface")
		case "host":
			return []net.Addr{&net.IPAddr{IP: net.IPv4zero}, &net.IPNet{IP: net.ParseIP("192.168.0.4")}, &net.IPNet{IP: net.ParseIP("fd00::4")}}, nil
		}
		return []net.Addr{&net.IPNet{IP: net.ParseIP("10.0.0.1")}}, nil
	}
	got, err := adaptersOf(all, addrs)
	if err == nil {
		t.Error("an interface could not be read: want an error beside the others")
	}
	for ip, want := range map[string]string{"192.168.0.4": "00-15-5D-00-AB-03", "fd00::4": "00-15-5D-00-AB-03",
		"10.0.0.1": "00-15-5D-00-AB-02", "192.168.0.9": ""} {
		if mac := macOf(netip.MustParseAddr(ip), got); mac != want {
			t.Errorf("%s: %q, want %q", ip, mac, want)
		}
	}
	if mac := macOf(netip.Addr{}, got); mac != "" {
		t.Errorf("no address: %q, want none", mac)
	}
	if _, err := adaptersOf(all[2:], addrs); err != nil {
		t.Errorf("all interfaces can be read: %v", err)
	}
	if _, err := hostAdapters(); err != nil {
		t.Errorf("real interfaces: %v", err)
	}
}

// TestSameEndpointNames: V1 and V2 agree about an endpoint also when one of them shows the name
// that HNS gave it.
func TestSameEndpointNames(t *testing.T) {
	for _, tc := range []struct {
		v1, v2 string
		same   bool
	}{{"", "", true}, {"Ethernet", "", true}, {"", "Ethernet", true}, {"a", "a", true}, {"a", "", false}, {"a", "Ethernet", false}} {
		if got := sameEndpoint(hnslb.Endpoint{Name: tc.v1}, hnslb.Endpoint{Name: tc.v2}); got != tc.same {
			t.Errorf("%q through V1, %q through V2: same %v, want %v", tc.v1, tc.v2, got, tc.same)
		}
	}
}
