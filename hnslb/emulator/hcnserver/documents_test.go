// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const v1Query = `{"SchemaVersion":{"Major":1,"Minor":0}}`

// wantDocument compares a document, in which ID, NETWORK and EP stand for those of the test.
func (r *rig) wantDocument(want, got string, ids map[string]hnslb.ID) {
	r.Helper()
	for name, id := range ids {
		got = strings.ReplaceAll(got, string(id), name)
		got = strings.ReplaceAll(got, strings.ToUpper(string(id)), strings.ToUpper(name)+"!")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("document (-want +got):\n%s", diff)
	}
}

// TestNetworkDocuments: NAT has no type, only overlays show their provider address.
func TestNetworkDocuments(t *testing.T) {
	for _, tc := range []struct{ networkType, v2, v1 string }{
		{
			"L2Bridge",
			`{"ID":"id","Name":"azure","Type":"L2Bridge","Ipams":[{"Type":"Static","Subnets":[` +
				`{"IpAddressPrefix":"10.244.1.0/24","Routes":[{"NextHop":"10.244.1.1","DestinationPrefix":"0.0.0.0/0"}]},` +
				`{"IpAddressPrefix":"fd00:244:1::/64","Routes":[{"NextHop":"fd00:244:1::1","DestinationPrefix":"::/0"}]}]}],` +
				`"SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","Name":"azure","Type":"L2Bridge","NetworkAdapterName":"Ethernet","SourceMac":"00-15-5D-00-00-05",` +
				`"ManagementIP":"10.0.0.5","Subnets":[{"AddressPrefix":"10.244.1.0/24","GatewayAddress":"10.244.1.1"},` +
				`{"AddressPrefix":"fd00:244:1::/64","GatewayAddress":"fd00:244:1::1"}],"Version":64424509445}`,
		}, {
			"NAT",
			`{"ID":"id","Name":"azure","Ipams":[{"Type":"Static","Subnets":[` +
				`{"IpAddressPrefix":"10.244.1.0/24","Routes":[{"NextHop":"10.244.1.1","DestinationPrefix":"0.0.0.0/0"}]},` +
				`{"IpAddressPrefix":"fd00:244:1::/64","Routes":[{"NextHop":"fd00:244:1::1","DestinationPrefix":"::/0"}]}]}],` +
				`"SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","Name":"azure","Type":"NAT","NetworkAdapterName":"Ethernet","SourceMac":"00-15-5D-00-00-05",` +
				`"ManagementIP":"10.0.0.5","Subnets":[{"AddressPrefix":"10.244.1.0/24","GatewayAddress":"10.244.1.1"},` +
				`{"AddressPrefix":"fd00:244:1::/64","GatewayAddress":"fd00:244:1::1"}],"Version":64424509445}`,
		}, {
			"Overlay",
			`{"ID":"id","Name":"azure","Type":"Overlay","Policies":[` +
				`{"Type":"ProviderAddress","Settings":{"ProviderAddress":"10.0.0.5"}},` +
				`{"Type":"DrMacAddress","Settings":{"Address":"00-15-5D-00-00-05"}},` +
				`{"Type":"RemoteSubnetRoute","Settings":{"DestinationPrefix":"10.244.2.0/24","IsolationId":4096,` +
				`"ProviderAddress":"10.0.0.6","DistributedRouterMacAddress":"00-15-5D-00-00-06"}}],` +
				`"Ipams":[{"Type":"Static","Subnets":[{"IpAddressPrefix":"10.244.1.0/24",` +
				`"Policies":[{"Type":"VSID","Settings":{"IsolationId":4096}}],` +
				`"Routes":[{"NextHop":"10.244.1.1","DestinationPrefix":"0.0.0.0/0"}]},` +
				`{"IpAddressPrefix":"fd00:244:1::/64","Policies":[{"Type":"VSID","Settings":{"IsolationId":4096}}],` +
				`"Routes":[{"NextHop":"fd00:244:1::1","DestinationPrefix":"::/0"}]}]}],"SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","Name":"azure","Type":"Overlay","NetworkAdapterName":"Ethernet","SourceMac":"00-15-5D-00-00-05",` +
				`"ManagementIP":"10.0.0.5","DrMacAddress":"00-15-5D-00-00-05",` +
				`"Subnets":[{"AddressPrefix":"10.244.1.0/24","GatewayAddress":"10.244.1.1","Policies":[{"Type":"VSID","VSID":4096}]},` +
				`{"AddressPrefix":"fd00:244:1::/64","GatewayAddress":"fd00:244:1::1","Policies":[{"Type":"VSID","VSID":4096}]}],` +
				`"Version":64424509445}`,
		},
	} {
		t.Run(tc.networkType, func(t *testing.T) {
			r := newRig(t, emulator.Config{Profile: profiles.WS2025()}, tc.networkType)
			if tc.networkType == hnslb.NetworkOverlay {
				err := r.e.SetRemotes("azure", []hnslb.RemoteSubnet{{
					Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.6"),
				}})
				if err != nil {
					t.Fatal(err)
				}
			}
			ids := map[string]hnslb.ID{"id": r.network.ID}
			r.wantDocument(tc.v2, r.document(kindNetwork, r.network.ID), ids)
			r.wantDocument(tc.v1, r.document(kindNetwork, r.network.ID, v1Query), ids)
			r.wantDocument("["+tc.v1+"]", string(r.v1("GET", "/networks/", "").Output), ids)
			r.wantDocument(tc.v1, string(r.v1("GET", "/networks/"+string(r.network.ID), "").Output), ids)
		})
	}
}

func TestEndpointDocuments(t *testing.T) {
	for _, tc := range []struct{ name, document, v2, v1 string }{
		{
			"remote, as it stands behind a load balancer",
			`{"IpConfigurations":[{"IpAddress":"10.244.2.7"}],"MacAddress":"02-11-0a-f4-02-07","Flags":1}`,
			`{"ID":"id","HostComputeNetwork":"network","HostComputeNamespace":"00000000-0000-0000-0000-000000000000",` +
				`"IpConfigurations":[{"IpAddress":"10.244.2.7","PrefixLength":32}],"MacAddress":"02-11-0A-F4-02-07","Flags":1,` +
				`"SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","VirtualNetwork":"NETWORK!","VirtualNetworkName":"azure","MacAddress":"02-11-0A-F4-02-07",` +
				`"IPAddress":"10.244.2.7","PrefixLength":32,"IsRemoteEndpoint":true,"State":1,"Version":64424509445}`,
		}, {
			"remote on another host of an overlay",
			`{"IpConfigurations":[{"IpAddress":"10.244.2.7"}],"Flags":1,"MacAddress":"02-11-0a-f4-02-07",` +
				`"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"10.0.0.6"}}]}`,
			`{"ID":"id","HostComputeNetwork":"network","HostComputeNamespace":"00000000-0000-0000-0000-000000000000",` +
				`"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"10.0.0.6"}}],` +
				`"IpConfigurations":[{"IpAddress":"10.244.2.7","PrefixLength":32}],"MacAddress":"02-11-0A-F4-02-07","Flags":1,` +
				`"SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","VirtualNetwork":"NETWORK!","VirtualNetworkName":"azure","Policies":[{"Type":"PA","PA":"10.0.0.6"}],` +
				`"MacAddress":"02-11-0A-F4-02-07","IPAddress":"10.244.2.7","PrefixLength":32,"IsRemoteEndpoint":true,` +
				`"State":1,"Version":64424509445}`,
		}, {
			"local pod of both families; other policies and flags are dropped",
			`{"Name":"pod","IpConfigurations":[{"IpAddress":"10.244.1.7","PrefixLength":24},{"IpAddress":"fd00:244:1::7"}],` +
				`"Flags":16,"Policies":[{"Type":"OutBoundNAT","Settings":{}}],"Dns":{"Domain":"x"}}`,
			`{"ID":"id","Name":"pod","HostComputeNetwork":"network","HostComputeNamespace":"00000000-0000-0000-0000-000000000000",` +
				`"IpConfigurations":[{"IpAddress":"10.244.1.7","PrefixLength":24},{"IpAddress":"fd00:244:1::7","PrefixLength":64}],` +
				`"Routes":[{"NextHop":"10.244.1.1","DestinationPrefix":"0.0.0.0/0"},{"NextHop":"fd00:244:1::1","DestinationPrefix":"::/0"}],` +
				`"MacAddress":"0E-2A-0A-F4-01-07","SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","Name":"pod","VirtualNetwork":"NETWORK!","VirtualNetworkName":"azure","MacAddress":"0E-2A-0A-F4-01-07",` +
				`"IPAddress":"10.244.1.7","IPv6Address":"fd00:244:1::7","PrefixLength":24,"IPv6PrefixLength":64,` +
				`"GatewayAddress":"10.244.1.1","GatewayAddressV6":"fd00:244:1::1","State":3,"Version":64424509445}`,
		}, {
			"with nothing but a name HNS chooses an address",
			`{"Name":"pod"}`,
			`{"ID":"id","Name":"pod","HostComputeNetwork":"network","HostComputeNamespace":"00000000-0000-0000-0000-000000000000",` +
				`"IpConfigurations":[{"IpAddress":"10.244.1.2","PrefixLength":24}],` +
				`"Routes":[{"NextHop":"10.244.1.1","DestinationPrefix":"0.0.0.0/0"}],` +
				`"MacAddress":"0E-2A-0A-F4-01-02","SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","Name":"pod","VirtualNetwork":"NETWORK!","VirtualNetworkName":"azure","MacAddress":"0E-2A-0A-F4-01-02",` +
				`"IPAddress":"10.244.1.2","PrefixLength":24,"GatewayAddress":"10.244.1.1","State":3,"Version":64424509445}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := ws2025(t)
			id := r.create(kindEndpoint, tc.document)
			ids := map[string]hnslb.ID{"id": id, "network": r.network.ID}
			r.wantDocument(tc.v2, r.document(kindEndpoint, id), ids)
			r.wantDocument(tc.v1, r.document(kindEndpoint, id, v1Query), ids)
			r.wantDocument("["+tc.v1+"]", string(r.v1("GET", "/endpoints/", "").Output), ids)
		})
	}
}

func TestLoadBalancerDocuments(t *testing.T) {
	for _, tc := range []struct{ name, document, v2, v1 string }{
		{
			"cluster IP",
			`{"HostComputeEndpoints":["EP"],"FrontendVIPs":["10.96.0.10"],"PortMappings":[{"Protocol":17,"InternalPort":5353,"ExternalPort":53}]}`,
			`{"ID":"id","HostComputeEndpoints":["ep"],"FrontendVIPs":["10.96.0.10"],` +
				`"PortMappings":[{"Protocol":17,"InternalPort":5353,"ExternalPort":53}],"SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","References":["/endpoints/ep"],"Policies":[{"Type":"ELB","Protocol":17,"InternalPort":5353,"ExternalPort":53,` +
				`"VIPs":["10.96.0.10"]}],"HostComputeNetwork":"NETWORK!","IsApplied":false,"State":2,"Version":64424509445}`,
		}, {
			"node port, as in calico issue 7305, with a VIP that is empty",
			`{"HostComputeEndpoints":["EP"],"SourceVIP":"10.244.1.2","FrontendVIPs":[""],` +
				`"PortMappings":[{"Protocol":6,"InternalPort":80,"ExternalPort":31416,"Flags":2}]}`,
			`{"ID":"id","HostComputeEndpoints":["ep"],"SourceVIP":"10.244.1.2",` +
				`"PortMappings":[{"Protocol":6,"InternalPort":80,"ExternalPort":31416,"Flags":2}],"SchemaVersion":{"Major":2,"Minor":0}}`,
			`{"ID":"ID!","References":["/endpoints/ep"],"Policies":[{"Type":"ELB","Protocol":6,"InternalPort":80,"ExternalPort":31416,` +
				`"SourceVIP":"10.244.1.2","LocalRoutedVip":true}],"HostComputeNetwork":"NETWORK!","IsApplied":false,"State":2,` +
				`"Version":64424509445}`,
		}, {
			"every flag",
			`{"HostComputeEndpoints":["EP"],"FrontendVIPs":["2001:db8::1"],"Flags":3,` +
				`"PortMappings":[{"Protocol":6,"InternalPort":80,"ExternalPort":80,"DistributionType":2,"Flags":31}]}`,
			`{"ID":"id","HostComputeEndpoints":["ep"],"FrontendVIPs":["2001:db8::1"],"PortMappings":[{"Protocol":6,"InternalPort":80,` +
				`"ExternalPort":80,"DistributionType":2,"Flags":31}],"SchemaVersion":{"Major":2,"Minor":0},"Flags":3}`,
			`{"ID":"ID!","References":["/endpoints/ep"],"Policies":[{"Type":"ELB","Protocol":6,"InternalPort":80,"ExternalPort":80,` +
				`"VIPs":["2001:db8::1"],"ILB":true,"IsDSR":true,"LocalRoutedVip":true,"IsVipExternalIP":true}],` +
				`"HostComputeNetwork":"NETWORK!","IsApplied":false,"State":2,"Version":64424509445}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := ws2025(t)
			ep := r.remote("10.244.2.7")
			id := r.create(kindLoadBalancer, strings.ReplaceAll(tc.document, "EP", strings.ToUpper(string(ep))))
			ids := map[string]hnslb.ID{"id": id, "ep": ep, "network": r.network.ID}
			r.wantDocument(tc.v2, r.document(kindLoadBalancer, id), ids)
			r.wantDocument(tc.v1, r.document(kindLoadBalancer, id, v1Query), ids)
			r.wantDocument("["+tc.v1+"]", string(r.v1("GET", "/policylists/", "").Output), ids)
		})
	}
}

// TestDegradedDocument: only V1 has a place for it.
func TestDegradedDocument(t *testing.T) {
	profile := profiles.WS2025()
	profile.Quirks.ShowsDegraded = true
	r := newRig(t, emulator.Config{Profile: profile}, "L2Bridge")
	id := r.create(kindLoadBalancer, balancer("10.96.0.1", r.remote("10.244.2.7")))
	key := hnslb.FrontendKey{Family: hnslb.IPv4, Protocol: hnslb.TCP, VIP: netip.MustParseAddr("10.96.0.1"), Port: 80}
	v2 := r.document(kindLoadBalancer, id)
	for _, tc := range []struct {
		broken bool
		want   string
	}{{false, `"State":2`}, {true, `"State":4`}, {false, `"State":2`}} {
		if err := r.e.BreakDataPath(key, tc.broken); err != nil {
			t.Fatal(err)
		}
		if got := r.document(kindLoadBalancer, id); got != v2 {
			t.Errorf("V2: %s, want %s", got, v2)
		}
		if got := string(r.v1("GET", "/policylists/", "").Output); !strings.Contains(got, tc.want) {
			t.Errorf("without rules %v: %s, want %s", tc.broken, got, tc.want)
		}
	}
}

// TestHalfMadeDocuments: a half-made load balancer has no mappings in V2 and no policies in V1.
func TestHalfMadeDocuments(t *testing.T) {
	r := ws2025(t)
	made, err := r.e.AddForeignLoadBalancer(hnslb.LoadBalancer{})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]hnslb.ID{"id": made.ID}
	r.wantDocument(`{"ID":"id","SchemaVersion":{"Major":2,"Minor":0}}`, r.document(kindLoadBalancer, made.ID), ids)
	r.wantDocument(`{"ID":"ID!","IsApplied":false,"State":2,"Version":64424509445}`,
		r.document(kindLoadBalancer, made.ID, v1Query), ids)
}

// TestRefusedDocuments: what HNS's reader refuses, with the code and where it is.
func TestRefusedDocuments(t *testing.T) {
	mapping := `"PortMappings":[{"Protocol":6,"InternalPort":8080,"ExternalPort":80}]`
	for _, tc := range []struct {
		name, kind, document string
		code                 hnslb.HRESULT
	}{
		{"no JSON", kindLoadBalancer, `{`, hnslb.ResultInvalidJSON},
		{"no document", kindEndpoint, ``, hnslb.ResultInvalidJSON},
		{"an enumeration as text", kindLoadBalancer, `{"HostComputeEndpoints":["EP"],"Flags":"EnableDirectServerReturn",` + mapping + `}`,
			hnslb.ResultInvalidJSON},
		{"a VIP that is no address", kindLoadBalancer, `{"HostComputeEndpoints":["EP"],"FrontendVIPs":["x"],` + mapping + `}`,
			hnslb.ResultInvalidIP},
		{"a source VIP that is none", kindLoadBalancer, `{"HostComputeEndpoints":["EP"],"SourceVIP":"x",` + mapping + `}`,
			hnslb.ResultInvalidIP},
		{"SCTP", kindLoadBalancer,
			`{"HostComputeEndpoints":["EP"],"PortMappings":[{"Protocol":132,"InternalPort":80,"ExternalPort":80}]}`,
			hnslb.ResultInvalidArgument},
		{"a protocol number that would wrap", kindLoadBalancer,
			`{"HostComputeEndpoints":["EP"],"PortMappings":[{"Protocol":262,"InternalPort":80,"ExternalPort":80}]}`,
			hnslb.ResultInvalidArgument},
		{"a distribution that nobody knows", kindLoadBalancer,
			`{"HostComputeEndpoints":["EP"],"PortMappings":[{"Protocol":6,"InternalPort":80,"ExternalPort":80,"DistributionType":3}]}`,
			hnslb.ResultInvalidArgument},
		{"a port that is too large", kindLoadBalancer, `{"PortMappings":[{"Protocol":6,"InternalPort":65536}]}`, hnslb.ResultInvalidJSON},
		{"no endpoints", kindLoadBalancer, `{"FrontendVIPs":["10.96.0.1"],` + mapping + `}`, hnslb.ResultInvalidJSONReference},
		{"an ID that is no GUID", kindLoadBalancer, `{"ID":"LBID-1","HostComputeEndpoints":["EP"],` + mapping + `}`, resultGUIDConversion},
		{"an endpoint ID that is no GUID", kindEndpoint, `{"ID":"x"}`, resultGUIDConversion},
		{"an address that is none", kindEndpoint, `{"IpConfigurations":[{"IpAddress":"x"}]}`, hnslb.ResultInvalidIP},
		{"a provider address that is none", kindEndpoint,
			`{"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"x"}}]}`, hnslb.ResultInvalidIP},
		{"an address outside the subnet", kindEndpoint, `{"IpConfigurations":[{"IpAddress":"10.9.9.9"}]}`, hnslb.ResultAddressReserved},
		{"a network without a name", kindNetwork, `{"Type":"L2Bridge"}`, hnslb.ResultInvalidArgument},
		{"a name that is taken", kindNetwork, `{"Name":"azure","Type":"L2Bridge"}`, 0x803b0010},
		{"a prefix that is none", kindNetwork, `{"Name":"n","Ipams":[{"Subnets":[{"IpAddressPrefix":"x"}]}]}`, hnslb.ResultInvalidArgument},
		{"a route without a prefix", kindNetwork, `{"Name":"n","Policies":[{"Type":"RemoteSubnetRoute","Settings":{}}]}`,
			hnslb.ResultInvalidArgument},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := ws2025(t)
			ep, before := r.remote("10.244.2.7"), r.e.Dump()
			handle := r.open(kindNetwork, r.network.ID)
			r.fails(tc.code, r.call("HcnCreate"+tc.kind, handle, "", strings.ReplaceAll(tc.document, "EP", string(ep))))
			if diff := cmp.Diff(before, r.e.Dump()); diff != "" {
				t.Errorf("a refused call changed HNS:\n%s", diff)
			}
		})
	}
}

// TestChosenIDs: the parameter's ID comes before the document's, and either is kept.
func TestChosenIDs(t *testing.T) {
	const one, two = "00000000-0000-4000-8000-00000000000A", "00000000-0000-4000-8000-00000000000b"
	r := ws2025(t)
	ep := r.remote("10.244.2.7")
	document := func(id, vip string) string {
		return fmt.Sprintf(`{"ID":%q,%s`, id, balancer(vip, ep)[1:])
	}
	r.ok("HcnCreateLoadBalancer", 0, "", document(one, "10.96.0.1"))
	r.open(kindLoadBalancer, hnslb.NewID(one))
	r.ok("HcnCreateLoadBalancer", 0, two, document(one, "10.96.0.2"))
	r.open(kindLoadBalancer, two)
	r.fails(hnslb.ResultWin32AlreadyExists, r.call("HcnCreateLoadBalancer", 0, two, document("", "10.96.0.3")))
	r.fails(hnslb.ResultWin32AlreadyExists, r.call("HcnCreateNetwork", 0, two, `{"Name":"n","Type":"L2Bridge"}`))
}
