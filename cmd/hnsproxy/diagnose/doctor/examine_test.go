// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/snapshot"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

const hostMAC = "00-15-5D-00-00-05"

// healthy is an overlay node, where the most can be wrong: a cluster IP, a node port, their endpoints.
func healthy() *Facts {
	node := ip("10.0.0.5")
	remote := hnslb.Endpoint{ID: "r", Network: "n", IPs: []netip.Addr{ip("10.244.2.7")}, MAC: hnslb.RemoteMAC(ip("10.244.2.7")), Remote: true, ProviderAddress: ip("10.0.0.6")}
	return &Facts{
		HNS: snapshot.Snapshot{
			Version: hnslb.Version{Major: 13, Minor: 2}, Build: "10.0.20348.1970",
			Networks: []hnslb.Network{{ID: "x", Name: "External", Type: "Overlay"}, {ID: "n", Name: "flannel", Type: "Overlay", ManagementIP: node, HostMAC: hostMAC}},
			Endpoints: []hnslb.Endpoint{
				{ID: "p", Network: "n", Name: "pod", IPs: []netip.Addr{ip("10.244.1.5")}, MAC: "0E-2A-0A-F4-01-05"},
				{ID: "s", Network: "n", Name: "flannel_ep", IPs: []netip.Addr{ip("10.244.1.2")}, MAC: hostMAC},
				{ID: "v", Network: "n", IPs: []netip.Addr{ip("10.96.0.10")}, MAC: hostMAC, Remote: true, ProviderAddress: node},
				remote,
			},
			LoadBalancers: []hnslb.LoadBalancer{
				{ID: "a", Endpoints: []hnslb.ID{"p", "r"}, VIPs: []netip.Addr{ip("10.96.0.10")}, Flags: hnslb.DSR, Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 80, InternalPort: 8080}}},
				{ID: "b", Endpoints: []hnslb.ID{"p"}, Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 30080, InternalPort: 8080}}},
			},
		},
		EnableDSR: true, Node: "win-node-1", NodeIPs: []netip.Addr{node},
		Frontends: map[string]int{"programmed": 2, "blocked": 1},
		Processes: []string{"hnsproxy.exe", "kubelet.exe", "containerd.exe"},
		Dynamic:   map[hnslb.Protocol][]Ports{hnslb.TCP: {{First: 49152, Last: 65535}}, hnslb.UDP: {{First: 49152, Last: 65535}}},
		Excluded:  map[hnslb.Protocol][]Ports{hnslb.TCP: {{First: 30080, Last: 30080, Administered: true}, {First: 5357, Last: 5357}}},
		NodePorts: Ports{First: 30000, Last: 32767},
		Settings:  map[string]uint64{CiliumOnWindows: 0, StaleBackends: 0},
		API:       API{Asked: true, Skew: 2 * time.Second},
	}
}

// fault is something that is wrong with an otherwise healthy node.
type fault struct {
	name string
	make func(*Facts)
	// want are the findings.
	want []string
}

func faults() []fault {
	lb := func(f *Facts) *hnslb.LoadBalancer { return &f.HNS.LoadBalancers[0] }
	net := func(f *Facts) *hnslb.Network { return &f.HNS.Networks[1] }
	addEndpoint := func(f *Facts, e hnslb.Endpoint) { f.HNS.Endpoints = append(f.HNS.Endpoints, e) }
	leaked := hnslb.Endpoint{ID: "l", Network: "n", IPs: []netip.Addr{ip("10.244.2.9")}, MAC: hnslb.RemoteMAC(ip("10.244.2.9")), Remote: true, ProviderAddress: ip("10.0.0.6")}
	return []fault{
		{"HNS is stopped", func(f *Facts) { f.HNSError, f.HNS = errors.New("0x800706ba"), snapshot.Snapshot{} }, []string{"hns"}},
		{"no administrator", func(f *Facts) { f.HNSError, f.HNS = errors.New("Access is denied (0x80070005)"), snapshot.Snapshot{} }, []string{"rights"}},
		{"Server 2019 as it came out", func(f *Facts) { f.HNS.Version = hnslb.Version{Major: 9, Minor: 1}; f.EnableDSR = false }, []string{"hns-version"}},
		{"DSR on HNS 9.2", func(f *Facts) { f.HNS.Version = hnslb.Version{Major: 9, Minor: 2} }, []string{"dsr-version"}},
		{"Server 2025 as it came out", func(f *Facts) { f.HNS.Version = hnslb.Version{Major: 15, Minor: 4} }, []string{"hns-modify"}},
		{"a build that broke Services", func(f *Facts) { f.HNS.Build = "10.0.20348.2113" }, []string{"build"}},
		{"no network", func(f *Facts) { f.HNS.Networks = f.HNS.Networks[:1] }, []string{"network"}},
		{"several networks", func(f *Facts) {
			f.HNS.Networks = append(f.HNS.Networks, hnslb.Network{ID: "m", Name: "other", Type: "L2Bridge"})
		}, []string{"network"}},
		{"wrong name of the network", func(f *Facts) { f.Network = "Flannel" }, []string{"network"}},
		{"no management IP", func(f *Facts) { net(f).ManagementIP, net(f).HostMAC = netip.Addr{}, "" }, []string{"management-ip"}},
		{"a link-local management IP", func(f *Facts) { net(f).ManagementIP = ip("169.254.3.4") }, []string{"management-ip"}},
		{"no adapter has the management IP", func(f *Facts) {
			net(f).HostMAC = ""
			f.HNS.Endpoints = slices.Delete(f.HNS.Endpoints, 2, 3)
		}, []string{"host-mac"}},
		{"the other NIC", func(f *Facts) { net(f).ManagementIP = ip("192.168.7.5") }, []string{"several-nics"}},
		{"no source VIP", func(f *Facts) { f.HNS.Endpoints[1].Name = "" }, []string{"source-vip"}},
		{"two source VIPs", func(f *Facts) {
			addEndpoint(f, hnslb.Endpoint{ID: "t", Network: "n", Name: "source_vip", IPs: []netip.Addr{ip("10.244.1.3")}, MAC: hostMAC})
		}, []string{"source-vip"}},
		{"half-made", func(f *Facts) {
			f.HNS.LoadBalancers = append(f.HNS.LoadBalancers, hnslb.LoadBalancer{ID: "h", Endpoints: []hnslb.ID{"p"}, Flags: hnslb.DSR})
		}, []string{"half-made"}},
		{"an endpoint was deleted", func(f *Facts) { lb(f).Endpoints = append(lb(f).Endpoints, "gone") }, []string{"dangling"}},
		{"degraded", func(f *Facts) { lb(f).Degraded = true }, []string{"degraded"}},
		{"twins", func(f *Facts) { twin := *lb(f); twin.ID = "t"; f.HNS.LoadBalancers = append(f.HNS.LoadBalancers, twin) }, []string{"twins"}},
		{"a pod got the address of a remote endpoint", func(f *Facts) {
			addEndpoint(f, hnslb.Endpoint{ID: "q", Network: "n", Name: "pod2", IPs: []netip.Addr{ip("10.244.2.7")}, MAC: "0E-2A-0A-F4-02-07"})
		}, []string{"duplicate-address"}},
		{"a leaked remote endpoint", func(f *Facts) { addEndpoint(f, leaked) }, []string{"leaked-endpoints"}},
		{"too many without DSR", func(f *Facts) { f.Dynamic[hnslb.UDP] = []Ports{{First: 65280, Last: 65343}} }, []string{"port-exhaustion"}},
		{"kube-proxy runs", func(f *Facts) { f.Processes = append(f.Processes, "kube-proxy.exe") }, []string{"other-proxy"}},
		{"Cilium", func(f *Facts) { f.Settings[CiliumOnWindows] = 1 }, []string{"cilium"}},
		{"stale backends", func(f *Facts) { f.Settings[StaleBackends] = 1 }, []string{"vfp-stale-backends"}},
		{"dynamic ports among node ports", func(f *Facts) { f.Dynamic[hnslb.TCP] = []Ports{{First: 1025, Last: 65000}} }, []string{"dynamic-ports"}},
		{"excluded ports among node ports", func(f *Facts) { f.Excluded[hnslb.UDP] = []Ports{{First: 30100, Last: 30199}} }, []string{"excluded-ports"}},
		{"a leaked port", func(f *Facts) {
			f.Excluded[hnslb.TCP] = append(f.Excluded[hnslb.TCP], Ports{First: 31000, Last: 31000, Administered: true})
		}, []string{"leaked-port"}},
		{"API server away", func(f *Facts) { f.API.Error = errors.New("connection refused") }, []string{"api-server"}},
		{"another node name", func(f *Facts) { f.API.NodeMissing = true }, []string{"node-name"}},
		{"no rights", func(f *Facts) { f.API.Denied = []string{"list services"} }, []string{"rbac"}},
		{"clock", func(f *Facts) { f.API.Skew = -5 * time.Minute }, []string{"clock"}},
		{"hnsproxy is away", func(f *Facts) { f.NotRunning = errors.New("connection refused") }, []string{"not-running"}},
		{"HNS refuses", func(f *Facts) { f.Frontends["failing"] = 1 }, []string{"failing"}},
		{"two at once, errors first", func(f *Facts) { f.API.Skew = time.Hour; f.API.Denied = []string{"list services"} }, []string{"rbac", "clock"}},
	}
}

// TestFaults: each fault is found, and nothing else is.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range append(faults(), fault{"healthy", func(*Facts) {}, nil}) {
		facts := healthy()
		f.make(facts)
		var got []string
		for _, x := range Examine(facts) {
			got = append(got, x.Name)
			if x.Text == "" || x.Remedy == "" || !slices.Contains([]Severity{Error, Warning, Note}, x.Severity) {
				t.Errorf("%s: %+v", f.name, x)
			}
		}
		if !slices.Equal(got, f.want) {
			t.Errorf("%s: found %q, want %q", f.name, got, f.want)
		}
	}
	nameless := healthy()
	nameless.HNS.Version = hnslb.Version{}
	if got := Examine(nameless); len(got) > 0 {
		t.Errorf("without a version: found %+v", got)
	}
	// A node without anything but HNS: what is not known is no fault.
	if got := Examine(&Facts{HNS: healthy().HNS, NodePorts: healthy().NodePorts}); len(got) > 0 {
		t.Errorf("found %+v", got)
	}
}

func TestNetsh(t *testing.T) {
	t.Parallel()
	const dynamic = "\r\nProtokoll tcp - Dynamischer Portbereich\r\n---------------------------------\r\nStartport      : 49152\r\nAnzahl von Ports : 16384\r\n\r\n"
	if got := ParseDynamic(dynamic); !slices.Equal(got, []Ports{{49152, 65535, false}}) {
		t.Errorf("dynamic %v", got)
	}
	const excluded = "\r\nProtocol tcp Port Exclusion Ranges\r\n\r\nStart Port    End Port      \r\n----------    --------      \r\n      5357        5357      \r\n" +
		"     30080       30080     *\r\n     70000       70001\r\n\r\n* - Administered port exclusions.\r\n\r\n"
	if got := ParseExcluded(excluded); !slices.Equal(got, []Ports{{5357, 5357, false}, {30080, 30080, true}}) {
		t.Errorf("excluded %v", got)
	}
	for _, bad := range []string{"", "x", "a : 5\nb : 99999\n", "a : 9\n"} {
		if ParseDynamic(bad) != nil || ParseExcluded(bad) != nil {
			t.Errorf("%q is read", bad)
		}
	}
}
