// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// exampleDump has every kind of line and every word that Dump knows.
const exampleDump = `network Calico Overlay management=10.0.0.5 management6=fd00:10::5 mac=00-15-5D-00-00-05 subnets=10.244.1.0/24,fd00:1::/64 remotes=10.244.2.0/24@10.0.0.6,10.244.3.0/24@10.0.0.7 loopback-dsr
network other+net L2Bridge mac=00-15-5D-00-00-06
endpoint 10.244.1.5,fd00:1::5 local network=Calico mac=0E-2A-0A-F4-01-05
endpoint 10.244.1.6 local network=Calico mac=0E-2A-0A-F4-01-06 detached
endpoint 10.244.2.7 local network=Calico mac=0E-2A-0A-F4-02-07 name=a+%22pod%22
endpoint 10.244.2.7 remote network=Calico mac=02-11-0A-F4-02-07 pa=10.0.0.6
endpoint 10.9.9.9 remote network=other+net mac=02-11-0A-09-09-09
loadbalancer node 30080/TCP>8080+LocalRoutedVIP+VIPExternal node-ip=10.0.0.4 backends=10.244.1.5,dangling
loadbalancer node 30081/TCP>8080 no-node-ip backends=10.244.1.5
loadbalancer 10.96.0.1 443/TCP>6443 flags=DSR network=Calico backends=dangling,dangling
loadbalancer 10.96.0.10 53/UDP>5353+SourceIP flags=DSR source=10.244.1.2 backends=10.244.1.5,10.244.1.5,10.244.2.7/local@Calico,10.244.2.7/remote@Calico
loadbalancer 10.96.0.11,10.96.0.12 80/TCP>8080+ILB+UseMux+PreserveDIP,81/SCTP>1+0x40+distribution-9 flags=DSR+0x10 no-rules backends=10.9.9.9
loadbalancer 10.96.0.13 80/TCP>8080 network-gone backends=dangling
loadbalancer node 30080/TCP>8080+SourceIPProtocol flags=IPv6 backends=fd00:1::5
loadbalancer fd00:96::10 80/TCP>8080 flags=IPv6 backends=fd00:1::5
loadbalancer node - backends=10.244.1.5
listener 53/UDP
listener 10256/TCP
leaked 0.0.0.0:31999/TCP
leaked [fd00:96::9]:80/TCP
`

func parse(t *testing.T, text string) *emulator.Emulator {
	t.Helper()
	st, err := emulator.ParseDump(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Config{})
	if err := e.Restore(st); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDumpReadsBack(t *testing.T) {
	if diff := cmp.Diff(exampleDump, parse(t, exampleDump).Dump()); diff != "" {
		t.Errorf("the dump reads back differently (-want +got):\n%s", diff)
	}
}

// TestDumpIsFreeOfIDs: two hosts that came to the same state in another order, with other
// IDs, look the same.
func TestDumpIsFreeOfIDs(t *testing.T) {
	a := nodeOf(t, emulator.Config{Seed: 1}, spec("L2Bridge"))
	a.balance([]hnslb.ID{a.local("10.244.1.5"), a.remote("10.244.2.7")})
	b := nodeOf(t, emulator.Config{Seed: 2}, spec("L2Bridge"))
	remote, extra := b.remote("10.244.2.7"), b.remote("10.244.2.8")
	b.balance([]hnslb.ID{remote, b.local("10.244.1.5")})
	b.must(b.DeleteEndpoint(t.Context(), extra))
	if diff := cmp.Diff(a.Dump(), b.Dump()); diff != "" {
		t.Errorf("the dumps differ:\n%s", diff)
	}
	if a.State().LoadBalancers[0].ID == b.State().LoadBalancers[0].ID {
		t.Error("two seeds gave one ID")
	}
}

// TestParsedDumpWorks: a parsed dump is a host like any other.
func TestParsedDumpWorks(t *testing.T) {
	e := parse(t, `
# a comment, then an empty line

network Calico L2Bridge management=10.0.0.5 mac=00-15-5D-00-00-05 subnets=10.244.1.0/24
endpoint 10.244.1.5 local network=Calico mac=0E-2A-0A-F4-01-05
loadbalancer node 30080/TCP>8080 backends=10.244.1.5
loadbalancer 10.96.0.1 80/TCP>80 network=Calico
`)
	if err := e.SetRemotes("Calico", []hnslb.RemoteSubnet{
		{Prefix: netip.MustParsePrefix("10.244.9.0/24"), ProviderAddress: ip("10.0.0.9")},
		{Prefix: netip.MustParsePrefix("10.244.8.0/24"), ProviderAddress: ip("10.0.0.8")},
	}); err != nil {
		t.Fatal(err)
	}
	if want := "remotes=10.244.8.0/24@10.0.0.8,10.244.9.0/24@10.0.0.9"; !strings.Contains(e.Dump(), want) {
		t.Errorf("the dump lacks %q:\n%s", want, e.Dump())
	}
	v := e.Trace(emulator.Packet{From: emulator.Outside(ip("203.0.113.9")), To: addrPort("10.0.0.5:30080"), Protocol: hnslb.TCP})
	if want := "10.244.1.5:8080 from 10.0.0.5"; v.String() != want {
		t.Errorf("trace says %q, want %q", v, want)
	}
	v = e.Trace(emulator.Packet{From: emulator.LocalPod(ip("10.244.1.5")), To: addrPort("10.96.0.1:80"), Protocol: hnslb.TCP})
	if want := "lost: the load balancer names no endpoint"; v.String() != want {
		t.Errorf("trace says %q, want %q", v, want)
	}
}

func TestParseDumpErrors(t *testing.T) {
	const head = "network Calico L2Bridge mac=00-15-5D-00-00-05\n" +
		"endpoint 10.244.1.5 local network=Calico mac=0E-2A-0A-F4-01-05\n"
	for bad, want := range map[string]string{
		"switch 1":  "unknown kind",
		"endpoint":  "0 words",
		"network x": "1 words",
		"network Calico L2Bridge mac=00-15-5D-00-00-05":                              "used twice",
		"network %zz L2Bridge":                                                       "invalid URL escape",
		"network x L2Bridge mac=1":                                                   "MAC",
		"network x L2Bridge mac=00-15-5D-00-00-05 subnets=1":                         "ParsePrefix",
		"network x L2Bridge mac=00-15-5D-00-00-05 remotes=10.0.0.0/8":                "unable to parse IP",
		"network x L2Bridge mac=00-15-5D-00-00-05 management=x":                      "unable to parse IP",
		"endpoint 10.0.0.1 near network=Calico":                                      "neither local nor remote",
		"endpoint 10.0.0.1 local network=none":                                       "not in the dump",
		"endpoint 10.0.0.x local network=Calico mac=0E-2A-0A-F4-01-05":               "ParseAddr",
		"endpoint 10.0.0.1,10.0.0.2 local network=Calico mac=0E-2A-0A-F4-01-05":      "one family",
		"endpoint 10.244.1.5 local network=Calico mac=0E-2A-0A-F4-01-05":             "another endpoint",
		"endpoint 10.0.0.1 local network=Calico":                                     "MAC",
		"endpoint 10.0.0.1 local network=Calico mac=0E-2A-0A-F4-01-05 colour=red":    `unknown field "colour"`,
		"endpoint 10.0.0.1 local network=Calico mac=0E-2A-0A-F4-01-05 red":           `unknown word "red"`,
		"endpoint 10.0.0.1 local network=Calico mac=0E-2A-0A-F4-01-05 name=a name=b": "stands twice",
		"loadbalancer 10.96.0.1 80/TCP>80 backends=10.244.1.6":                       "0 endpoints",
		"loadbalancer 10.96.0.1 80/TCP>80 backends=nobody":                           "backend",
		"loadbalancer 10.96.0.1 80/QUIC>80":                                          "unknown protocol",
		"loadbalancer 10.96.0.1 80/TCP":                                              "parsing",
		"loadbalancer 10.96.0.1 66000/TCP>80":                                        "out of range",
		"loadbalancer 10.96.0.1 80/TCP>80+Fast":                                      "unknown flag",
		"loadbalancer 10.96.0.1 80/TCP>80 flags=Fast":                                "unknown flag",
		"loadbalancer 10.96.0.1,10.96.0.1 80/TCP>80":                                 "is taken",
		"loadbalancer 0.0.0.0 80/TCP>80":                                             "VIP 0.0.0.0",
		"loadbalancer 10.96.0.1 80/TCP>80 network=none":                              "not in the dump",
		"listener x/TCP":                         "parsing",
		"leaked x":                               "no frontend",
		"leaked x/TCP":                           "not an ip:port",
		"listener " + strings.Repeat("1", 2<<20): "token too long",
	} {
		_, err := emulator.ParseDump(strings.NewReader(head + bad))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 3: ") {
			t.Errorf("%.60s: error %v, want line 3 and %q", bad, err, want)
		}
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add(exampleDump)
	for _, line := range strings.SplitAfter(exampleDump, "\n") {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		st, err := emulator.ParseDump(strings.NewReader(text))
		if err != nil {
			if !strings.Contains(err.Error(), "line ") {
				t.Errorf("the error names no line: %v", err)
			}
			return
		}
		e := emulator.New(emulator.Config{})
		if err := e.Restore(st); err != nil {
			t.Fatalf("a dump that was parsed is refused: %v", err)
		}
		once := e.Dump()
		if twice := parse(t, once).Dump(); once != twice {
			t.Errorf("the dump reads back differently:\n%s\nthen\n%s", once, twice)
		}
	})
}

func TestStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hns.json")
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	lb := n.balance([]hnslb.ID{n.local("10.244.1.5"), n.remote("10.244.2.7")})
	n.must(os.WriteFile(path, []byte("what stood there before"), 0o600))
	n.must(n.SaveFile(path))
	again := emulator.New(emulator.Config{})
	if err := again.LoadFile(path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(n.Dump(), again.Dump()); diff != "" {
		t.Errorf("the loaded state differs:\n%s", diff)
	}
	made, err := again.CreateEndpoint(t.Context(), hnslb.Endpoint{Network: n.net.ID})
	if err != nil || made.ID == lb.ID {
		t.Errorf("an endpoint after the load got ID %s, %v", made.ID, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	n.must(err)
	if len(left) != 1 {
		t.Errorf("files %v, want the state alone", left)
	}
	if err := n.SaveFile(filepath.Join(path, "below a file")); err == nil {
		t.Error("saving below a file worked")
	}
}

func TestBadStates(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	n.balance([]hnslb.ID{n.local("10.244.1.5")})
	for name, spoil := range map[string]func(*emulator.State){
		"network twice":        func(st *emulator.State) { st.Networks = append(st.Networks, st.Networks[0]) },
		"network without ID":   func(st *emulator.State) { st.Networks[0].ID = "" },
		"network with bad MAC": func(st *emulator.State) { st.Networks[0].HostMAC = "nonsense" },
		"adapter with bad MAC": func(st *emulator.State) { st.Networks[0].Adapters = []hnslb.Adapter{{IP: ip("10.0.1.5")}} },
		"endpoint twice":       func(st *emulator.State) { st.Endpoints = append(st.Endpoints, st.Endpoints[0]) },
		"endpoint nowhere":     func(st *emulator.State) { st.Endpoints[0].Network = unknownID },
		"address twice": func(st *emulator.State) {
			st.Endpoints = append(st.Endpoints, st.Endpoints[0])
			st.Endpoints[1].ID = unknownID
		},
		"provider with zone":       func(st *emulator.State) { st.Endpoints[0].ProviderAddress = ip("fe80::1%x") },
		"load balancer twice":      func(st *emulator.State) { st.LoadBalancers = append(st.LoadBalancers, st.LoadBalancers[0]) },
		"load balancer without ID": func(st *emulator.State) { st.LoadBalancers[0].ID = "" },
		"load balancer, node IP":   func(st *emulator.State) { st.LoadBalancers[0].NodeIP = ip("0.0.0.0") },
		"leaked VIP":               func(st *emulator.State) { st.LeakedPorts = []hnslb.FrontendKey{{VIP: ip("0.0.0.0")}} },
	} {
		st := n.State()
		spoil(&st)
		had := n.Dump()
		if err := n.Restore(st); err == nil {
			t.Errorf("%s: the state was restored", name)
		}
		if n.Dump() != had {
			t.Errorf("%s: the refused state changed something", name)
		}
	}
	for _, text := range []string{"", "[]", `{"Surprise":1}`} {
		if _, err := emulator.ReadState(strings.NewReader(text)); err == nil {
			t.Errorf("state %q was read", text)
		}
	}
	if err := n.LoadFile(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was loaded")
	}
}
