// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const unknownID hnslb.ID = "00000000-0000-4000-8000-0000000000ff"

// filter is a query with a filter, as hcsshim writes it: JSON in a text.
func filter(keysAndValues ...string) string {
	keys := map[string]string{}
	for i := 0; i < len(keysAndValues); i += 2 {
		keys[keysAndValues[i]] = keysAndValues[i+1]
	}
	return mustJSON(map[string]any{"SchemaVersion": schema(), "Flags": 0, "Filter": mustJSON(keys)})
}

// TestQueries: an enumeration returns IDs, a filter that nothing passes an empty list.
func TestQueries(t *testing.T) {
	r := ws2025(t)
	if _, err := r.e.AddNetwork(emulator.NetworkSpec{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	other, err := r.e.AddForeignEndpoint("other", hnslb.Endpoint{Name: "b", IPs: []netip.Addr{netip.MustParseAddr("10.9.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	a := r.create(kindEndpoint, `{"Name":"a","IpConfigurations":[{"IpAddress":"10.244.1.7"}]}`)
	b := r.create(kindEndpoint, `{"Name":"b","IpConfigurations":[{"IpAddress":"10.244.1.8"}]}`)
	lb := r.create(kindLoadBalancer, balancer("10.96.0.1", a))
	network := string(r.network.ID)
	for _, tc := range []struct {
		name, kind, query string
		want              []hnslb.ID
	}{
		{"no query", kindEndpoint, "", []hnslb.ID{other.ID, a, b}},
		{"no filter", kindEndpoint, `{"SchemaVersion":{"Major":2,"Minor":0},"Flags":1}`, []hnslb.ID{other.ID, a, b}},
		{"ID", kindEndpoint, filter("ID", string(a)), []hnslb.ID{a}},
		{"ID in upper case", kindEndpoint, filter("ID", strings.ToUpper(string(a))), []hnslb.ID{a}},
		{"unknown ID", kindEndpoint, filter("ID", string(unknownID)), []hnslb.ID{}},
		{"ID of another kind", kindEndpoint, filter("ID", string(lb)), []hnslb.ID{}},
		{"name, of which there may be several", kindEndpoint, filter("Name", "b"), []hnslb.ID{other.ID, b}},
		{"a name is no pattern", kindNetwork, filter("Name", "az*"), []hnslb.ID{}},
		{"a name has its case", kindNetwork, filter("Name", "Azure"), []hnslb.ID{}},
		{"network by name", kindNetwork, filter("Name", "azure"), []hnslb.ID{r.network.ID}},
		{"endpoints of a network", kindEndpoint, filter("VirtualNetwork", strings.ToUpper(network)), []hnslb.ID{a, b}},
		{"two keys", kindEndpoint, filter("VirtualNetwork", network, "Name", "b"), []hnslb.ID{b}},
		{"ID and another's name", kindEndpoint, filter("ID", string(a), "Name", "b"), []hnslb.ID{}},
		{"load balancers", kindLoadBalancer, "", []hnslb.ID{lb}},
		{"load balancer by ID", kindLoadBalancer, filter("ID", string(lb)), []hnslb.ID{lb}},
		{"V1 prints upper case", kindLoadBalancer, v1Query, []hnslb.ID{hnslb.ID(strings.ToUpper(string(lb)))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []hnslb.ID
			text := show(r.ok("HcnEnumerate"+tc.kind+"s", 0, "", tc.query).text)
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("IDs (-want +got):\n%s", diff)
			}
		})
	}
	for query, code := range map[string]hnslb.HRESULT{
		`{`:                                hnslb.ResultInvalidJSON,
		`{"Filter":{"ID":"x"}}`:            hnslb.ResultInvalidJSON, // an object, not a text that holds one
		`{"Filter":"{"}`:                   hnslb.ResultInvalidJSON,
		filter("HostComputeNetwork", "x"):  hnslb.ResultInvalidArgument,
		filter("VirtualNetworkName", "xx"): hnslb.ResultInvalidArgument,
	} {
		r.fails(code, r.call("HcnEnumerateEndpoints", 0, "", query))
		handle := r.open(kindEndpoint, a)
		r.fails(code, r.call("HcnQueryEndpointProperties", handle, "", query))
	}
}

// TestErrorRecords are the records that logs show [A: k8s issue 100962, hcsshim issue 1043].
func TestErrorRecords(t *testing.T) {
	r := ws2025(t)
	ep := r.remote("10.244.2.7")
	r.create(kindLoadBalancer, balancer("10.96.0.1", ep))
	network := r.open(kindNetwork, r.network.ID)
	for _, tc := range []struct {
		name string
		got  reply
		want string
	}{
		{"unknown object", r.call("HcnOpenLoadBalancer", 0, unknownID),
			`{"Success":false,"Error":"Element not found. ","ErrorCode":2147943568}`},
		{"delete of an unknown object", r.call("HcnDeleteEndpoint", 0, unknownID),
			`{"Success":false,"Error":"Element not found. ","ErrorCode":2147943568}`},
		{"frontend taken", r.call("HcnCreateLoadBalancer", 0, "", balancer("10.96.0.1", ep)),
			`{"Success":false,"Error":"The specified port already exists. ","ErrorCode":2151350291}`},
		{"no endpoints", r.call("HcnCreateLoadBalancer", 0, "", balancer("10.96.0.2")),
			`{"Success":false,"Error":"The reference is invalid in the JSON document. A Reference is required","ErrorCode":2151350300}`},
		{"reserved address", r.call("HcnCreateEndpoint", network, "", `{"IpConfigurations":[{"IpAddress":"10.244.1.1"}]}`),
			`{"Success":false,"Error":"An address provided is invalid or reserved. ","ErrorCode":2151350319}`},
	} {
		if got := show(tc.got.record); got != tc.want {
			t.Errorf("%s: record\n%s\nwant\n%s", tc.name, got, tc.want)
		}
	}
}

// TestHandles: each open handle is counted until it is closed, and is of one kind.
func TestHandles(t *testing.T) {
	r := ws2025(t)
	ep := r.remote("10.244.2.7")
	first, second := r.open(kindEndpoint, ep), r.open(kindEndpoint, ep)
	network := r.open(kindNetwork, r.network.ID)
	callback := r.ok("HcnRegisterServiceCallback", 0, "").handle
	if first == 0 || first == second {
		t.Errorf("handles %#x and %#x", first, second)
	}
	want := Handles{Open: map[string]int{"Endpoint": 2, "Network": 1, "Callback": 1}, AfterFailure: map[string]int{}}
	if diff := cmp.Diff(want, r.s.Handles()); diff != "" {
		t.Errorf("handles (-want +got):\n%s", diff)
	}
	r.fails(resultInvalidHandle, r.call("HcnQueryEndpointProperties", network, ""))
	r.fails(resultInvalidHandle, r.call("HcnCreateEndpoint", first, "", "{}"))
	r.ok("HcnCloseEndpoint", first, "")
	for _, function := range []string{"HcnCloseEndpoint", "HcnCloseNetwork"} {
		if p := r.call(function, first, ""); p.code != resultInvalidHandle || p.record != nil {
			t.Errorf("%s of a closed handle: code 0x%08x, record %s", function, uint32(p.code), show(p.record))
		}
	}
	r.ok("HcnUnregisterServiceCallback", callback, "")
	// The network handle met a call that failed, as in hcsshim's create: not its caller's leak.
	want = Handles{Open: map[string]int{"Endpoint": 1, "Network": 1}, AfterFailure: map[string]int{"Network": 1}}
	if diff := cmp.Diff(want, r.s.Handles()); diff != "" {
		t.Errorf("handles (-want +got):\n%s", diff)
	}
	if n := r.s.Handles().Leaked(); n != 1 {
		t.Errorf("%d handles leaked, want 1", n)
	}
	r.s.DropHandles()
	if n := len(r.s.Handles().Open); n != 0 {
		t.Errorf("%d kinds of handles are open after the process ended", n)
	}
}

// TestHandleOfGoneObject: the object may go while a handle is open.
func TestHandleOfGoneObject(t *testing.T) {
	r := ws2025(t)
	ep := r.remote("10.244.2.7")
	handle := r.open(kindEndpoint, ep)
	r.ok("HcnDeleteEndpoint", 0, ep)
	r.fails(hnslb.ResultElementNotFound, r.call("HcnQueryEndpointProperties", handle, ""))
	r.ok("HcnCloseEndpoint", handle, "")
}

// everyCall calls every function, with arguments that are right.
func (r *rig) everyCall() map[string]func() reply {
	ep := r.remote("10.244.2.7")
	lb := r.create(kindLoadBalancer, balancer("10.96.0.1", ep))
	ids := map[string]hnslb.ID{kindNetwork: r.network.ID, kindEndpoint: ep, kindLoadBalancer: lb}
	calls := map[string]func() reply{
		"HNSCall GET":                  func() reply { return r.call("HNSCall", 0, "", "GET", "/policylists/", "") },
		"HNSCall version":              func() reply { return r.call("HNSCall", 0, "", "GET", "/globals/version", "") },
		"HNSCall unknown":              func() reply { return r.call("HNSCall", 0, "", "GET", "/portpools", "") },
		"HNSCall DELETE":               func() reply { return r.call("HNSCall", 0, "", "DELETE", "/endpoints/"+string(ep), "") },
		"HcnRegisterServiceCallback":   func() reply { return r.call("HcnRegisterServiceCallback", 0, "") },
		"HcnUnregisterServiceCallback": func() reply { return r.call("HcnUnregisterServiceCallback", 1, "") },
	}
	for kind, id := range ids {
		handle := r.open(kind, id)
		document := map[string]string{kindLoadBalancer: balancer("10.96.0.1", ep), kindNetwork: `{"ResourceType":"Policy","RequestType":"Add"}`}[kind]
		parent := r.open(kindNetwork, r.network.ID)
		for function, call := range map[string]func(function string) reply{
			"HcnEnumerate" + kind + "s":      func(f string) reply { return r.call(f, 0, "") },
			"HcnOpen" + kind:                 func(f string) reply { return r.call(f, 0, id) },
			"HcnQuery" + kind + "Properties": func(f string) reply { return r.call(f, handle, "") },
			"HcnModify" + kind:               func(f string) reply { return r.call(f, handle, "", document) },
			"HcnCreate" + kind:               func(f string) reply { return r.call(f, parent, "", balancer("10.96.0.9", ep)) },
			"HcnDelete" + kind:               func(f string) reply { return r.call(f, 0, id) },
			"HcnClose" + kind:                func(f string) reply { return r.call(f, handle, "") },
		} {
			calls[function] = func() reply { return call(function) }
		}
	}
	return calls
}

// TestServiceAway: every function of a stopped HNS fails as a dead RPC server does, without a word of HNS's; a call on its way
// fails, too; handles do not outlive it.
func TestServiceAway(t *testing.T) {
	r := ws2025(t)
	calls := r.everyCall()
	old := r.open(kindNetwork, r.network.ID)
	r.e.Stop()
	for name, call := range calls {
		if p := call(); p.code != hnslb.ResultServerUnavailable || p.text != nil || p.record != nil {
			t.Errorf("%s: code 0x%08x, text %s, record %s", name, uint32(p.code), show(p.text), show(p.record))
		}
	}
	r.e.Start(emulator.RestartOptions{})
	if open := r.s.Handles().Open; len(open) != 0 {
		t.Errorf("handles %v are left of before the restart", open)
	}
	r.fails(resultInvalidHandle, r.call("HcnQueryNetworkProperties", old, ""))
	r.open(kindNetwork, r.network.ID)
}

// TestModify: the release decides what a modify does; the document is whole, and the handle says what it replaces.
func TestModify(t *testing.T) {
	for _, tc := range []struct {
		profile profiles.Profile
		code    hnslb.HRESULT
		changed bool
	}{
		{profiles.WS2019(), hnslb.ResultNotImplemented, false},
		{profiles.WS2022(), hnslb.ResultNotImplemented, false},
		{profiles.WS2025RTM(), 0, false},
		{profiles.WS2025(), 0, true},
		{profiles.Next(), 0, true},
	} {
		t.Run(tc.profile.Name, func(t *testing.T) {
			r := newRig(t, emulator.Config{Profile: tc.profile}, "L2Bridge")
			a, b := r.remote("10.244.2.7"), r.remote("10.244.2.8")
			id := r.create(kindLoadBalancer, balancer("10.96.0.1", a))
			before := r.document(kindLoadBalancer, id)
			handle := r.open(kindLoadBalancer, id)
			p := r.call("HcnModifyLoadBalancer", handle, "", balancer("10.96.0.1", a, b))
			if tc.code != 0 {
				r.fails(tc.code, p)
			} else if p.code != 0 || p.record != nil {
				t.Errorf("code 0x%08x, record %s", uint32(p.code), show(p.record))
			}
			after := r.document(kindLoadBalancer, id)
			if (after != before) != tc.changed || strings.Contains(after, string(b)) != tc.changed {
				t.Errorf("before %s\nafter  %s", before, after)
			}
		})
	}
}

// TestNetworkCalls: what network plugins do through HCN.
func TestNetworkCalls(t *testing.T) {
	r := newRig(t, emulator.Config{}, hnslb.NetworkOverlay)
	id := r.create(kindNetwork, `{"Name":"vxlan","Type":"Overlay","Ipams":[{"Type":"Static","Subnets":[`+
		`{"IpAddressPrefix":"10.245.0.0/24","Routes":[{"NextHop":"10.245.0.1","DestinationPrefix":"0.0.0.0/0"}]}]}],"Flags":8}`)
	if doc := r.document(kindNetwork, id); strings.Contains(doc, policyProviderAddress) {
		t.Errorf("a new network has its management IP at once: %s", doc)
	}
	handle := r.open(kindNetwork, id)
	request := func(verb, prefix string) string {
		return fmt.Sprintf(`{"ResourceType":"Policy","RequestType":%q,"Settings":{"Policies":[{"Type":"RemoteSubnetRoute",`+
			`"Settings":{"DestinationPrefix":%q,"IsolationId":4096,"ProviderAddress":"10.0.0.6"}}]}}`, verb, prefix)
	}
	r.ok("HcnModifyNetwork", handle, "", request("Add", "10.245.1.0/24"))
	r.ok("HcnModifyNetwork", handle, "", request("Add", "10.245.2.0/24"))
	r.ok("HcnModifyNetwork", handle, "", request("Remove", "10.245.1.0/24"))
	n, err := r.e.Network(t.Context(), "vxlan")
	if err != nil || len(n.Remotes) != 1 || n.Remotes[0].Prefix.String() != "10.245.2.0/24" {
		t.Errorf("remote subnets %v, error %v", n.Remotes, err)
	}
	r.fails(resultPolicyExists, r.call("HcnModifyNetwork", handle, "", request("Add", "10.245.2.0/24")))
	r.fails(resultPolicyNotFound, r.call("HcnModifyNetwork", handle, "", request("Remove", "10.245.1.0/24")))
	r.fails(hnslb.ResultRequestUnsupported, r.call("HcnModifyNetwork", handle, "", request("Refresh", "10.245.1.0/24")))
	r.fails(hnslb.ResultRequestUnsupported, r.call("HcnModifyNetwork", handle, "",
		`{"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[{"Type":"HostRoute","Settings":{}}]}}`))
	r.fails(hnslb.ResultRequestUnsupported, r.call("HcnModifyEndpoint", func() uint64 {
		return r.open(kindEndpoint, r.remote("10.244.2.7"))
	}(), "", `{}`))
	r.ok("HcnDeleteNetwork", 0, id)
	r.fails(hnslb.ResultElementNotFound, r.call("HcnOpenNetwork", 0, id))
	r.fails(hnslb.ResultElementNotFound, r.call("HcnModifyNetwork", handle, "", request("Add", "10.245.1.0/24")))
}

// TestV1: the V1 interface works on the same store, and fails with words.
func TestV1(t *testing.T) {
	r := ws2025(t)
	if got := string(r.v1("GET", "/globals/version", "").Output); got != `{"Major":15,"Minor":5}` {
		t.Errorf("version %s", got)
	}
	for _, path := range []string{"/policylists/", "/policylists", "/endpoints/"} {
		if got := string(r.v1("GET", path, "").Output); got != "[]" {
			t.Errorf("GET %s of nothing: %s, want []", path, got)
		}
	}
	made := func(path, body string) hnslb.ID {
		a := r.v1("POST", path, body)
		var doc struct{ ID string }
		if err := json.Unmarshal(a.Output, &doc); err != nil || doc.ID != strings.ToUpper(doc.ID) {
			t.Fatalf("POST %s %s: %+v, %v", path, body, a, err)
		}
		return hnslb.NewID(doc.ID)
	}
	network := made("/networks/", `{"Name":"n","Type":"Overlay","ManagementIP":"10.0.0.7","Subnets":[{"AddressPrefix":"10.1.0.0/24","GatewayAddress":"10.1.0.1"}]}`)
	ep := made("/endpoints/", fmt.Sprintf(
		`{"VirtualNetwork":%q,"IPAddress":"10.1.1.2","MacAddress":"02-11-0a-01-01-02","IsRemoteEndpoint":true,"Policies":[{"Type":"PA","PA":"10.0.0.8"}]}`,
		strings.ToUpper(string(network))))
	lb := made("/policylists/", fmt.Sprintf(`{"References":["/endpoints/%s"],"Policies":[{"Type":"ELB","Protocol":6,"InternalPort":80,`+
		`"ExternalPort":8080,"VIPs":["2001:db8::1"],"IsDSR":true,"IsVipExternalIP":true,"LocalRoutedVip":true,"ILB":true}]}`,
		strings.ToUpper(string(ep))))
	want := "endpoint 10.1.1.2 remote network=n mac=02-11-0A-01-01-02 pa=10.0.0.8\n" +
		"loadbalancer 2001:db8::1 8080/TCP>80+ILB+LocalRoutedVIP+VIPExternal flags=DSR+IPv6 backends=10.1.1.2\n"
	if _, dump, _ := strings.Cut(r.e.Dump(), "subnets=10.1.0.0/24\n"); dump != want {
		t.Errorf("HNS holds\n%swant\n%s", dump, want)
	}
	if a := r.v1("DELETE", "/policylists/"+strings.ToUpper(string(lb)), ""); !a.Success || a.Output != nil {
		t.Errorf("delete: %+v", a)
	}
	r.fails(hnslb.ResultElementNotFound, r.call("HcnOpenLoadBalancer", 0, lb))
	for _, tc := range []struct{ method, path, body, want string }{
		{"DELETE", "/policylists/" + string(lb), "", "Element not found. "},
		{"DELETE", "/endpoints/" + string(unknownID), "", "The endpoint was not found. "},
		{"GET", "/endpoints/" + string(unknownID), "", "The endpoint was not found. "},
		{"GET", "/networks/" + string(unknownID), "", "The network was not found. "},
		{"POST", "/networks/", `{"Name":"n"}`, "A network with this name already exists. "},
		{"POST", "/endpoints/", fmt.Sprintf(`{"VirtualNetwork":%q,"IPAddress":"10.1.1.9"}`, unknownID), "The network was not found. "},
		{"POST", "/endpoints/" + string(ep), `{}`, "The specified request is unsupported. POST of endpoints"},
		{"POST", "/endpoints/" + string(ep) + "/attach", `{}`, "The specified request is unsupported. POST of endpoints"},
		{"DELETE", "/endpoints/", "", "The specified request is unsupported. DELETE of endpoints"},
		{"GET", "/portpools", "", "The specified request is unsupported. GET of portpools"},
		{"POST", "/policylists/", `{"Policies":[{"Type":"ROUTE"}]}`, "The specified request is unsupported. policy ROUTE"},
		{"POST", "/policylists/", `{`, "Invalid JSON document string. unexpected end of JSON input"},
	} {
		if a := r.v1(tc.method, tc.path, tc.body); a.Success || a.Error != tc.want || a.Output != nil {
			t.Errorf("%s %s %s: %+v, want error %q", tc.method, tc.path, tc.body, a, tc.want)
		}
	}
}

// TestFaults: a fault of a verb strikes the function that does its work, and no other.
func TestFaults(t *testing.T) {
	r := ws2025(t)
	a := r.remote("10.244.2.7")
	lb := r.create(kindLoadBalancer, balancer("10.96.0.1", a))
	network := r.open(kindNetwork, r.network.ID)
	handle := r.open(kindLoadBalancer, lb)
	for _, tc := range []struct {
		verb hnslb.Verb
		call func() reply
	}{
		{hnslb.VerbNetwork, func() reply { return r.call("HcnEnumerateNetworks", 0, "", filter("Name", "azure")) }},
		{hnslb.VerbEndpoints, func() reply { return r.call("HcnEnumerateEndpoints", 0, "") }},
		{hnslb.VerbLoadBalancers, func() reply { return r.call("HcnEnumerateLoadBalancers", 0, "") }},
		{hnslb.VerbCreateEndpoint, func() reply {
			return r.call("HcnCreateEndpoint", network, "", `{"Flags":1,"IpConfigurations":[{"IpAddress":"10.244.2.8"}]}`)
		}},
		{hnslb.VerbCreateLoadBalancer, func() reply { return r.call("HcnCreateLoadBalancer", 0, "", balancer("10.96.0.2", a)) }},
		{hnslb.VerbUpdateLoadBalancer, func() reply { return r.call("HcnModifyLoadBalancer", handle, "", balancer("10.96.0.1", a)) }},
		{hnslb.VerbDeleteEndpoint, func() reply { return r.call("HcnDeleteEndpoint", 0, a) }},
		{hnslb.VerbDeleteLoadBalancer, func() reply { return r.call("HcnDeleteLoadBalancer", 0, lb) }},
	} {
		r.e.FailNext(tc.verb, 1, hnslb.ResultManagerStopped)
		// Lookups and what stands around the work are not struck.
		r.ok("HcnEnumerateEndpoints", 0, "", filter("ID", string(a)))
		r.document(kindLoadBalancer, lb)
		before := r.e.Dump()
		r.fails(hnslb.ResultManagerStopped, tc.call())
		if diff := cmp.Diff(before, r.e.Dump()); diff != "" {
			t.Errorf("%s: the failed call changed HNS:\n%s", tc.verb, diff)
		}
	}
	r.e.FailNext(hnslb.VerbEndpoints, 1, hnslb.ResultManagerStopped)
	if got := r.v1("GET", "/endpoints/", ""); got.Success || got.Error != "Operation cannot be performed while service is stopping. " {
		t.Errorf("V1 list: %+v", got)
	}
	r.e.LoseAnswers(hnslb.VerbDeleteEndpoint, 1)
	r.fails(hnslb.ResultCallFailed, r.call("HcnDeleteEndpoint", 0, a))
	r.fails(hnslb.ResultElementNotFound, r.call("HcnOpenEndpoint", 0, a))
}

// TestVanishDuringList: what a list has shown is gone when it is opened.
func TestVanishDuringList(t *testing.T) {
	r := ws2025(t)
	a, b := r.remote("10.244.2.7"), r.remote("10.244.2.8")
	r.e.SetFaults(profiles.Faults{VanishDuringList: 1})
	var ids []hnslb.ID
	if err := json.Unmarshal([]byte(show(r.ok("HcnEnumerateEndpoints", 0, "").text)), &ids); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids, []hnslb.ID{a, b}) {
		t.Errorf("enumerated %v, want %v", ids, []hnslb.ID{a, b})
	}
	r.fails(hnslb.ResultElementNotFound, r.call("HcnOpenEndpoint", 0, a))
	r.open(kindEndpoint, b)
}

// TestCounts: each function counts; the verbs count the work alone.
func TestCounts(t *testing.T) {
	r := ws2025(t)
	ep := r.remote("10.244.2.7")
	r.ok("HcnEnumerateEndpoints", 0, "", filter("ID", string(ep)))
	r.ok("HcnEnumerateNetworks", 0, "", filter("Name", "azure"))
	r.v1("GET", "/endpoints/"+string(ep), "")
	r.v1("get", "/Endpoints/", "")
	r.v1("GET", "/globals/version", "")
	r.ok("HcnDeleteEndpoint", 0, ep)
	r.fails(hnslb.ResultElementNotFound, r.call("HcnDeleteEndpoint", 0, ep))
	r.fails(hnslb.ResultNotImplemented, r.call("HcnOpenSdnRoute", 0, ep))
	if diff := cmp.Diff(map[string]int{
		"HcnOpenNetwork": 1, "HcnCreateEndpoint": 1, "HcnQueryEndpointProperties": 1, "HcnCloseEndpoint": 1, "HcnCloseNetwork": 1,
		"HcnEnumerateEndpoints": 1, "HcnEnumerateNetworks": 1, "HNSCall GET /endpoints/{id}": 1, "HNSCall GET /endpoints/": 1,
		"HNSCall GET /globals/version": 1, "HcnDeleteEndpoint": 2, Malformed: 1,
	}, r.s.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[hnslb.Verb]int{
		hnslb.VerbCreateEndpoint: 1, hnslb.VerbNetwork: 1, hnslb.VerbEndpoints: 1, hnslb.VerbFeatures: 1, hnslb.VerbDeleteEndpoint: 2,
	}, r.e.Counts()); diff != "" {
		t.Errorf("verbs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[hnslb.Verb]int{hnslb.VerbDeleteEndpoint: 1}, r.e.Errors()); diff != "" {
		t.Errorf("errors by verb (-want +got):\n%s", diff)
	}
	r.s.ResetCalls()
	if n := len(r.s.Calls()); n != 0 {
		t.Errorf("%d functions are counted after a reset", n)
	}
}

// TestLatency: reads take the time of reads and do not wait; writes come one at a time.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, emulator.Config{Latency: emulator.WS2022Latency()}, "L2Bridge")
		took := func(what string, want time.Duration, do func()) {
			t.Helper()
			start := time.Now()
			do()
			if got := time.Since(start); got != want {
				t.Errorf("%s took %v, want %v", what, got, want)
			}
		}
		read, write := 100*time.Microsecond, 8*time.Millisecond
		var ep hnslb.ID
		took("create endpoint", 4*read+write, func() { ep = r.remote("10.244.2.7") })
		took("V1 list", read, func() { r.v1("GET", "/endpoints/", "") })
		took("create network", write, func() { r.ok("HcnCreateNetwork", 0, "", `{"Name":"n","Type":"L2Bridge"}`) })
		took("three writes at once and a read", 3*write, func() {
			done := make(chan struct{})
			for i := range 3 {
				go func() {
					r.call("HcnCreateLoadBalancer", 0, "", balancer(fmt.Sprintf("10.96.0.%d", i+1), ep))
					done <- struct{}{}
				}()
			}
			r.v1("GET", "/policylists/", "")
			for range 3 {
				<-done
			}
		})
		if got := r.e.WriteTime(); got != 5*write {
			t.Errorf("HNS was busy writing for %v, want %v", got, 5*write)
		}
	})
}

// TestCodeOf: a call that the end of the server cut off has failed, done or not.
func TestCodeOf(t *testing.T) {
	for _, err := range []error{errors.New("x"), &hnslb.Error{Class: hnslb.Timeout, Err: errors.New("ended")}} {
		if p := failed(err); p.code != hnslb.ResultCallFailed || p.record != nil {
			t.Errorf("%v: code 0x%08x", err, uint32(p.code))
		}
	}
}
