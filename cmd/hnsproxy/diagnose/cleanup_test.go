// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// crowded is a node with objects of ours and of others. foreign is what it holds without ours.
func crowded(t *testing.T) (e *emulator.Emulator, hns HNS, foreign string) {
	t.Helper()
	e, hns = emulated(t)
	ours := e.State().Endpoints[2].ID // the remote endpoint
	if err := e.DeleteBehind(ours); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := e.AddNetwork(emulator.NetworkSpec{Name: "nat", Type: "Transparent", Subnets: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16")}})
	must(err)
	elsewhere, err := e.AddLocalEndpoint("nat", ip("172.16.0.9"))
	must(err)
	_, err = e.AddForeignEndpoint("Calico", hnslb.Endpoint{IPs: []netip.Addr{ip("10.244.3.3")}, MAC: "0E-2A-0A-F4-03-03", Remote: true, Name: "plugin"})
	must(err)
	remote(t, e, "10.244.2.9") // ours by its MAC, but named by a foreign load balancer
	balance(t, e, "10.96.0.20", func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Flags = hnslb.ILB }, "10.244.1.5", "10.244.2.9")
	_, err = e.AddForeignLoadBalancer(hnslb.LoadBalancer{Endpoints: []hnslb.ID{elsewhere.ID}, VIPs: []netip.Addr{ip("10.96.0.21")},
		Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 80, InternalPort: 80}}})
	must(err)
	foreign = e.Dump()
	for _, a := range []string{"10.244.2.7", "10.244.2.8"} {
		remote(t, e, a)
	}
	balance(t, e, "10.96.0.10", dsr, "10.244.1.5", "10.244.2.7")
	balance(t, e, "10.96.0.11", nil, "10.244.2.7", "10.244.2.8", "10.244.2.9")
	_, err = e.AddForeignLoadBalancer(hnslb.LoadBalancer{Endpoints: []hnslb.ID{elsewhere.ID}, VIPs: []netip.Addr{ip("10.96.0.22")}}) // half-made, of others
	must(err)
	return e, hns, foreign
}

// left compares what HNS holds with what is foreign.
func left(t *testing.T, e *emulator.Emulator, foreign string) {
	t.Helper()
	lines := strings.Split(e.Dump(), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "loadbalancer 10.96.0.22 -") })
	if got := strings.Join(lines, "\n"); got != foreign {
		t.Errorf("HNS holds\n%s\nwant\n%s", got, foreign)
	}
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	e, hns, foreign := crowded(t)
	before := e.Dump()
	saved := 0
	hns.Save = func() error { saved++; return nil }
	args := []string{"cleanup", "--network-name=Calico", "--hns-driver=emulator"}

	out, _, err := execute(t, testHost(hns), args...) // says no
	if err == nil || err.Error() != "nothing was done" || e.Dump() != before || !strings.Contains(out, "2 load balancers and 2 remote endpoints, others stay: 3 load balancers and 5 endpoints") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _, err = execute(t, testHost(hns), append(args, "--dry-run", "--yes")...); err != nil || e.Dump() != before || !strings.Contains(out, "Would be removed") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = execute(t, testHost(hns), append(args, "--yes", "-o", "json")...)
	var doc removal
	if err != nil || json.Unmarshal([]byte(out), &doc) != nil || len(doc.LoadBalancers) != 2 || len(doc.Endpoints) != 2 || saved != 1 {
		t.Errorf("%v, saved %d times\n%s", err, saved, out)
	}
	left(t, e, foreign)
	if out, _, err = execute(t, testHost(hns), args...); err != nil || !strings.Contains(out, "There is nothing of hnsproxy on network Calico.") {
		t.Errorf("again: %v\n%s", err, out)
	}
	if _, _, err = execute(t, testHost(hns), append(args, "--yes", "--all")...); err != nil || strings.Contains(e.Dump(), "loadbalancer") || !strings.Contains(e.Dump(), "10.244.3.3 remote") {
		t.Errorf("all: %v\n%s", err, e.Dump())
	}
	for _, bad := range [][]string{{"cleanup", "everything"}, {"cleanup", "-o", "toml", "--hns-driver=emulator"}} {
		if _, _, err := execute(t, testHost(hns), bad...); err == nil || !strings.Contains(err.Error(), "invalid command line") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// dying ends a program at its nth deletion, which is done or not.
func dying(d hnslb.Driver, n int, kill func()) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
		if c.Verb == hnslb.VerbDeleteLoadBalancer || c.Verb == hnslb.VerbDeleteEndpoint {
			if n--; n == 0 {
				kill()
			}
		}
		return next(ctx)
	})
}

// TestCleanupKilled: killed at any point, and run again, it leaves what is foreign.
func TestCleanupKilled(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 4; at++ {
		e, hns, foreign := crowded(t)
		ctx, kill := context.WithCancel(t.Context())
		h := testHost(HNS{Driver: dying(e, at, kill), Names: hns.Names})
		o := options.New()
		o.Network = "Calico"
		if err := CleanUp(ctx, h, o, &bytes.Buffer{}); !errors.Is(err, context.Canceled) && at < 4 {
			t.Errorf("killed at %d: %v", at, err)
		}
		if err := CleanUp(t.Context(), testHost(hns), o, &bytes.Buffer{}); err != nil {
			t.Errorf("again: %v", err)
		}
		left(t, e, foreign)
	}
}

// TestCleanupRefused: what HNS refuses stays with its endpoints, the rest goes, and the error
// says so.
func TestCleanupRefused(t *testing.T) {
	t.Parallel()
	e, hns, foreign := crowded(t)
	e.FailNext(hnslb.VerbDeleteLoadBalancer, 1, hnslb.ResultServerUnavailable)
	o := options.New()
	o.Network = "Calico"
	var out bytes.Buffer
	if err := CleanUp(t.Context(), testHost(hns), o, &out); err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if dump := e.Dump(); !strings.Contains(dump, "loadbalancer 10.96.0.10") || strings.Contains(dump, "loadbalancer 10.96.0.11") || !strings.Contains(dump, "10.244.2.7 remote") {
		t.Errorf("HNS holds\n%s", dump)
	}
	if err := CleanUp(t.Context(), testHost(hns), o, &out); err != nil {
		t.Error(err)
	}
	left(t, e, foreign)
}
