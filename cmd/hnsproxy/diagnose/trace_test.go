// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/trace"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// emulated is an HNS with a network, two pods and a remote endpoint.
func emulated(t *testing.T) (*emulator.Emulator, HNS) {
	t.Helper()
	e := emulator.New(emulator.Config{Profile: profiles.WS2022()})
	if _, err := e.AddNetwork(emulator.NetworkSpec{Name: "Calico", ManagementIP: ip("10.0.0.5"), HostMAC: "00-15-5D-00-00-05",
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"10.244.1.5", "10.244.1.9"} {
		if _, err := e.AddLocalEndpoint("Calico", ip(a)); err != nil {
			t.Fatal(err)
		}
	}
	remote(t, e, "10.244.2.7")
	return e, HNS{Driver: e, Build: "10.0.20348.2700", Names: func(context.Context) ([]string, error) {
		var names []string
		for _, n := range e.State().Networks {
			names = append(names, n.Name)
		}
		return names, nil
	}}
}

// remote makes a remote endpoint as hnsproxy does.
func remote(t *testing.T, e *emulator.Emulator, a string) {
	t.Helper()
	_, err := e.CreateEndpoint(t.Context(), hnslb.Endpoint{Network: e.State().Networks[0].ID, IPs: []netip.Addr{ip(a)}, MAC: hnslb.RemoteMAC(ip(a)), Remote: true})
	if err != nil {
		t.Fatal(err)
	}
}

// balance makes a load balancer on all endpoints with these addresses.
func balance(t *testing.T, e *emulator.Emulator, vip string, change func(*hnslb.LoadBalancer), backends ...string) hnslb.LoadBalancer {
	t.Helper()
	lb := hnslb.LoadBalancer{VIPs: []netip.Addr{ip(vip)}, Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 80, InternalPort: 8080}}}
	for _, ep := range e.State().Endpoints {
		for _, b := range backends {
			if ep.IPs[0] == ip(b) {
				lb.Endpoints = append(lb.Endpoints, ep.ID)
			}
		}
	}
	if change != nil {
		change(&lb)
	}
	made, err := e.CreateLoadBalancer(t.Context(), lb)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func dsr(lb *hnslb.LoadBalancer) { lb.Flags |= hnslb.DSR }

func TestTrace(t *testing.T) {
	t.Parallel()
	e, hns := emulated(t)
	balance(t, e, "10.96.0.10", dsr, "10.244.1.5", "10.244.2.7")
	file := filepath.Join(t.TempDir(), "hns.json")
	if err := e.SaveFile(file); err != nil {
		t.Fatal(err)
	}
	for _, where := range [][]string{{"--network-name=Calico", "--hns-driver=emulator"}, {"--file=" + file}} {
		run := func(args ...string) (string, error) {
			out, _, err := execute(t, testHost(hns), append(append([]string{"trace"}, args...), where...)...)
			return out, err
		}
		out, err := run("10.244.1.9", "10.96.0.10:80", "-o", "json", "--from-port=7")
		var r trace.Result
		if err != nil || json.Unmarshal([]byte(out), &r) != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if len(r.Outcomes) != 2 || r.Outcomes[0].Backend != "10.244.1.5:8080" || r.Outcomes[0].SourceIP != "10.244.1.9" || !r.Outcomes[0].Local ||
			r.Outcomes[0].Chosen == r.Outcomes[1].Chosen || r.LoadBalancer.Mode != "DSR" {
			t.Errorf("got %+v", r)
		}
		out, err = run("203.0.113.9", "10.96.0.10:80")
		if !errors.Is(err, ErrFound) || err.Error() != "1 of 2 ways lose the packet" || !strings.Contains(out, "DSR carries traffic from outside") {
			t.Errorf("%v\n%s", err, out)
		}
		out, err = run("10.244.1.5", "10.96.0.10:80")
		if !errors.Is(err, ErrFound) || !strings.Contains(out, "--loopback-dsr says that it does") {
			t.Errorf("%v\n%s", err, out)
		}
		if out, err = run("10.244.1.5", "10.96.0.10:80", "--loopback-dsr"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		out, err = run("host", "10.0.0.5:10250")
		if !errors.Is(err, ErrFound) || err.Error() != "the packet is lost" || !strings.Contains(out, "--listener names one") {
			t.Errorf("%v\n%s", err, out)
		}
		if out, err = run("host", "10.0.0.5:10250", "--listener=10250/TCP"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for _, args := range [][]string{{}, {"host"}, {"host", "web"}, {"web", "10.96.0.10:80", "--file=" + file}, {"host", "10.96.0.10:80", "-o", "x"},
		{"host", "10.96.0.10:80", "--listener=x"}} {
		if _, _, err := execute(t, testHost(hns), append([]string{"trace"}, args...)...); err == nil || !strings.Contains(err.Error(), "invalid command line") {
			t.Errorf("trace %q: %v", args, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(empty, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{empty, empty + "-none"} {
		if _, _, err := execute(t, testHost(hns), "trace", "host", "10.96.0.10:80", "--file="+name); err == nil || errors.Is(err, ErrFound) {
			t.Errorf("file %s: %v", name, err)
		}
	}
}
