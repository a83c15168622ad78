// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/hcn"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	guid1 = "0f8fad5b-d9cb-469f-a165-70867728950e"
	guid2 = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

// decode reads a document as hcsshim does.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var doc T
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// encode writes a document as hcsshim does.
func encode(t *testing.T, doc any) string {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestComposeText holds the documents that HNS gets, letter by letter: flags, protocol and
// distribution as numbers, no ID, nothing that is zero.
func TestComposeText(t *testing.T) {
	endpoint, err := composeEndpoint(hnslb.Endpoint{
		Network: guid1, Name: "remote", IPs: []netip.Addr{netip.MustParseAddr("10.0.1.2")},
		MAC: "02-11-0a-00-01-02", Remote: true, ProviderAddress: netip.MustParseAddr("192.168.0.2"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Name":"remote","HostComputeNetwork":"` + guid1 + `",` +
		`"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.0.2"}}],` +
		`"IpConfigurations":[{"IpAddress":"10.0.1.2"}],"Dns":{},"MacAddress":"02-11-0a-00-01-02","Flags":1,` +
		`"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`
	if diff := cmp.Diff(want, encode(t, endpoint)); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}

	nodePort, err := composeLoadBalancer(hnslb.LoadBalancer{
		ID: guid1, Endpoints: []hnslb.ID{guid1, guid2}, Flags: hnslb.DSR | hnslb.IPv6Enabled,
		SourceVIP: netip.MustParseAddr("fd00::2"),
		Mappings: []hnslb.PortMapping{{
			Protocol: hnslb.UDP, InternalPort: 53, ExternalPort: 30053, Distribution: hnslb.SourceIP,
			Flags: hnslb.LocalRoutedVIP | hnslb.VIPExternal,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want = `{"HostComputeEndpoints":["` + guid1 + `","` + guid2 + `"],"SourceVIP":"fd00::2",` +
		`"PortMappings":[{"Protocol":17,"InternalPort":53,"ExternalPort":30053,"DistributionType":2,"Flags":18}],` +
		`"SchemaVersion":{"Major":2,"Minor":0},"Flags":3}`
	if diff := cmp.Diff(want, encode(t, nodePort)); diff != "" {
		t.Errorf("node port (-want +got):\n%s", diff)
	}
}

func TestComposeRefuses(t *testing.T) {
	if doc, err := composeEndpoint(hnslb.Endpoint{IPs: []netip.Addr{{}}}); err == nil {
		t.Errorf("endpoint with an empty address became %s", encode(t, doc))
	}
	if doc, err := composeLoadBalancer(hnslb.LoadBalancer{VIPs: []netip.Addr{{}}}); err == nil {
		t.Errorf("load balancer with an empty VIP became %s", encode(t, doc))
	}
}

// addrs draws addresses in the form that HNS returns them in.
func addrs(min, max int) *rapid.Generator[[]netip.Addr] {
	one := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v6") {
			b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")
			b[0] = 0xfd // never mapped, never unspecified
			return netip.AddrFrom16([16]byte(b))
		}
		b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")
		b[0] |= 8
		return netip.AddrFrom4([4]byte(b))
	})
	return rapid.SliceOfN(one, min, max)
}

func first(all []netip.Addr) netip.Addr {
	if len(all) == 0 {
		return netip.Addr{}
	}
	return all[0]
}

// TestRoundTrip: what we write reads back as what we meant, through JSON as HNS sees it.
func TestRoundTrip(t *testing.T) {
	ids := rapid.Map(rapid.StringMatching(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), func(s string) hnslb.ID { return hnslb.ID(s) })
	t.Run("endpoint", rapid.MakeCheck(func(t *rapid.T) {
		want := hnslb.Endpoint{
			Network: ids.Draw(t, "network"), Name: rapid.StringMatching(`[a-z]{0,9}`).Draw(t, "name"),
			IPs: addrs(0, 2).Draw(t, "ips"), MAC: "02-11-0a-00-01-02", Remote: rapid.Bool().Draw(t, "remote"),
		}
		if want.Remote {
			want.ProviderAddress = first(addrs(0, 1).Draw(t, "provider"))
		}
		doc, err := composeEndpoint(want)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(doc)
		var back hcn.HostComputeEndpoint
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(normal(want), parseEndpoint(back), addrsAreValues); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}))
	t.Run("load balancer", rapid.MakeCheck(func(t *rapid.T) {
		mapping := rapid.Custom(func(t *rapid.T) hnslb.PortMapping {
			return hnslb.PortMapping{
				Protocol:     rapid.SampledFrom([]hnslb.Protocol{hnslb.TCP, hnslb.UDP}).Draw(t, "protocol"),
				InternalPort: rapid.Uint16().Draw(t, "internal"), ExternalPort: rapid.Uint16().Draw(t, "external"),
				Distribution: rapid.SampledFrom([]hnslb.Distribution{hnslb.FiveTuple, hnslb.SourceIPProtocol, hnslb.SourceIP}).Draw(t, "distribution"),
				Flags:        hnslb.MappingFlags(rapid.IntRange(0, 31).Draw(t, "flags")),
			}
		})
		want := hnslb.LoadBalancer{
			Endpoints: rapid.SliceOfN(ids, 1, 5).Draw(t, "endpoints"), SourceVIP: first(addrs(0, 1).Draw(t, "source")),
			VIPs: addrs(0, 2).Draw(t, "vips"), Mappings: rapid.SliceOfN(mapping, 1, 2).Draw(t, "mappings"),
			Flags: hnslb.LoadBalancerFlags(rapid.IntRange(0, 3).Draw(t, "flags")),
		}
		doc, err := composeLoadBalancer(want)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(doc)
		var back hcn.HostComputeLoadBalancer
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if len(want.VIPs) == 0 {
			want.VIPs = nil
		}
		if diff := cmp.Diff(want, parseLoadBalancer(back), addrsAreValues); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}))
}

func normal(e hnslb.Endpoint) hnslb.Endpoint {
	if len(e.IPs) == 0 {
		e.IPs = nil
	}
	return e
}

func TestParseLoadBalancer(t *testing.T) {
	for _, tc := range []struct {
		name, doc string
		want      hnslb.LoadBalancer
	}{
		{
			name: "node port as calico issue 7305 shows it",
			doc: `{"ID":"` + guid1 + `","HostComputeEndpoints":["7C9E6679-7425-40DE-944B-E07FC1F90AE7"],"SourceVIP":"10.244.1.2",` +
				`"PortMappings":[{"Protocol":6,"InternalPort":80,"ExternalPort":31416,"Flags":2}],"SchemaVersion":{"Major":2,"Minor":0},"Unknown":{"x":1}}`,
			want: hnslb.LoadBalancer{
				ID: guid1, Endpoints: []hnslb.ID{guid2}, SourceVIP: netip.MustParseAddr("10.244.1.2"),
				Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 80, ExternalPort: 31416, Flags: hnslb.LocalRoutedVIP}},
			},
		},
		{
			name: "half-made",
			doc:  `{"ID":"` + guid1 + `","FrontendVIPs":["10.96.0.1"],"SchemaVersion":{"Major":2,"Minor":0}}`,
			want: hnslb.LoadBalancer{ID: guid1, VIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")}},
		},
		{
			name: "a VIP that does not parse is not a node port",
			doc:  `{"ID":"` + guid1 + `","FrontendVIPs":["10.96.0"],"PortMappings":[{"Protocol":6,"InternalPort":80,"ExternalPort":80}]}`,
			want: hnslb.LoadBalancer{ID: guid1},
		},
		{
			name: "a protocol that would come out as TCP",
			doc:  `{"ID":"` + guid1 + `","PortMappings":[{"Protocol":262,"InternalPort":80,"ExternalPort":80}]}`,
			want: hnslb.LoadBalancer{ID: guid1},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := parseLoadBalancer(decode[hcn.HostComputeLoadBalancer](t, tc.doc))
			if diff := cmp.Diff(tc.want, got, addrsAreValues); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseEndpoints: V2 and V1 show one endpoint, and it comes out the same.
func TestParseEndpoints(t *testing.T) {
	for _, tc := range []struct {
		name, v2, v1 string
		want         hnslb.Endpoint
	}{
		{
			name: "remote on an overlay",
			v2: `{"ID":"` + guid1 + `","HostComputeNetwork":"` + guid2 + `","Flags":1,"MacAddress":"02-11-0a-00-01-02","IpConfigurations":[{"IpAddress":"10.0.1.2","PrefixLength":24}],` +
				`"Policies":[{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/8"]}},{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.0.2"}}]}`,
			v1: `{"ID":"0F8FAD5B-D9CB-469F-A165-70867728950E","VirtualNetwork":"7C9E6679-7425-40DE-944B-E07FC1F90AE7","IsRemoteEndpoint":true,"MacAddress":"02-11-0a-00-01-02","IPAddress":"10.0.1.2","PrefixLength":24,` +
				`"Policies":[{"ExceptionList":["10.0.0.0/8"],"Type":"OutBoundNAT"},{"PA":"192.168.0.2","Type":"PA"}],"State":1}`,
			want: hnslb.Endpoint{
				ID: guid1, Network: guid2, MAC: "02-11-0a-00-01-02", Remote: true,
				IPs: []netip.Addr{netip.MustParseAddr("10.0.1.2")}, ProviderAddress: netip.MustParseAddr("192.168.0.2"),
			},
		},
		{
			name: "dual-stack pod, whose provider address is the node's own",
			v2: `{"ID":"` + guid1 + `","Name":"pod","HostComputeNetwork":"` + guid2 + `","MacAddress":"00-15-5D-00-00-01","IpConfigurations":[{"IpAddress":"10.0.1.2"},{"IpAddress":"fd00::2"}],` +
				`"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.0.2"}}]}`,
			v1: `{"ID":"0F8FAD5B-D9CB-469F-A165-70867728950E","Name":"pod","VirtualNetwork":"7C9E6679-7425-40DE-944B-E07FC1F90AE7","MacAddress":"00-15-5D-00-00-01","IPAddress":"10.0.1.2","IPv6Address":"fd00::2","Policies":[{"PA":"192.168.0.2","Type":"PA"}]}`,
			want: hnslb.Endpoint{
				ID: guid1, Network: guid2, Name: "pod", MAC: "00-15-5D-00-00-01",
				IPs: []netip.Addr{netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("fd00::2")},
			},
		},
		{
			name: "cluster IP's endpoint of kube-proxy",
			v2:   `{"ID":"` + guid1 + `","HostComputeNetwork":"` + guid2 + `","Flags":1,"MacAddress":"00:15:5d:00:00:01","IpConfigurations":[{"IpAddress":"10.96.0.10"}]}`,
			v1:   `{"ID":"0F8FAD5B-D9CB-469F-A165-70867728950E","VirtualNetwork":"7C9E6679-7425-40DE-944B-E07FC1F90AE7","IsRemoteEndpoint":true,"MacAddress":"00:15:5d:00:00:01","IPAddress":"10.96.0.10"}`,
			want: hnslb.Endpoint{
				ID: guid1, Network: guid2, MAC: "00-15-5d-00-00-01", Remote: true,
				IPs: []netip.Addr{netip.MustParseAddr("10.96.0.10")},
			},
		},
		{
			name: "no address yet",
			v2:   `{"ID":"` + guid1 + `","HostComputeNetwork":"` + guid2 + `","IpConfigurations":[{"IpAddress":"0.0.0.0"},{}]}`,
			v1:   `{"ID":"0F8FAD5B-D9CB-469F-A165-70867728950E","VirtualNetwork":"7C9E6679-7425-40DE-944B-E07FC1F90AE7","IPAddress":""}`,
			want: hnslb.Endpoint{ID: guid1, Network: guid2},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v2 := parseEndpoint(decode[hcn.HostComputeEndpoint](t, tc.v2))
			if diff := cmp.Diff(tc.want, v2, addrsAreValues); diff != "" {
				t.Errorf("V2 (-want +got):\n%s", diff)
			}
			v1 := parseV1Endpoint(decode[hcsshim.HNSEndpoint](t, tc.v1))
			v1.IPs = normal(hnslb.Endpoint{IPs: v1.IPs}).IPs
			if diff := cmp.Diff(tc.want, v1, addrsAreValues); diff != "" {
				t.Errorf("V1 (-want +got):\n%s", diff)
			}
			if !sameEndpoint(v1, v2) {
				t.Error("V1 and V2 count as different")
			}
		})
	}
}

func TestParseNetwork(t *testing.T) {
	got := parseNetwork(decode[hcn.HostComputeNetwork](t, `{"ID":"0F8FAD5B-D9CB-469F-A165-70867728950E","Name":"vxlan0","Type":"Overlay",
		"Ipams":[{"Type":"Static","Subnets":[{"IpAddressPrefix":"10.244.1.0/24"},{"IpAddressPrefix":"fd00:1::7/64"},{}]}],
		"Policies":[
			{"Type":"HostRoute","Settings":{}},
			{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.0.1"}},
			{"Type":"RemoteSubnetRoute","Settings":{"DestinationPrefix":"10.244.2.0/24","IsolationId":4096,"ProviderAddress":"192.168.0.2","DistributedRouterMacAddress":"00-15-5D-00-00-02"}},
			{"Type":"RemoteSubnetRoute","Settings":{"DestinationPrefix":"10.244.3.0/24","IsolationId":4096}},
			{"Type":"RemoteSubnetRoute","Settings":"broken"}]}`))
	want := hnslb.Network{
		ID: guid1, Name: "vxlan0", Type: "Overlay", ManagementIP: netip.MustParseAddr("192.168.0.1"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:1::/64")},
		Remotes: []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("192.168.0.2")}},
	}
	if diff := cmp.Diff(want, got, addrsAreValues, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "169.254.3.4", "0.0.0.0", "?"} {
		if got := parseManagementIP(text); got.IsValid() {
			t.Errorf("management address %q became %v, want none", text, got)
		}
	}
}
