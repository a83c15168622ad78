// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/winlab/control"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator/hcnserver"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// rig is an emulator and its controls.
type rig struct {
	*testing.T
	e *emulator.Emulator
	c control.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	e := emulator.New(emulator.Config{})
	web := httptest.NewServer(control.Handler(e, hcnserver.New(e)))
	t.Cleanup(web.Close)
	return &rig{t, e, control.Client{URL: web.URL}}
}

func (r *rig) ok(operation string, argument, answer any) {
	r.Helper()
	if err := r.c.Call(r.Context(), operation, argument, answer); err != nil {
		r.Fatal(err)
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestOperations plays a host's life.
func TestOperations(t *testing.T) {
	r := newRig(t)
	var n hnslb.Network
	r.ok("add-network", emulator.NetworkSpec{Name: "azure", Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}, &n)
	r.ok("set-management-ip", control.On{Network: "azure", Addresses: []netip.Addr{ip("10.0.0.5"), ip("fd00::5")}}, nil)
	r.ok("set-remotes", control.On{Network: "azure", Remotes: []hnslb.RemoteSubnet{
		{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: ip("10.0.0.6")},
	}}, nil)
	var a, b hnslb.Endpoint
	r.ok("add-local-endpoint", control.On{Network: "azure", Addresses: []netip.Addr{ip("10.244.1.7")}}, &a)
	r.ok("add-local-endpoint", control.On{Network: "azure"}, &b)
	if a.ID == "" || a.Network != n.ID || len(b.IPs) != 1 {
		t.Errorf("endpoints %+v and %+v on network %s", a, b, n.ID)
	}
	r.ok("detach", control.Address{IP: ip("10.244.1.7")}, nil)
	r.ok("reserve", emulator.HostPort{Protocol: hnslb.TCP, Port: 10256}, nil)
	var dump string
	r.ok("dump", nil, &dump)
	for _, want := range []string{"management=10.0.0.5", "management6=fd00::5", "10.244.2.0/24@10.0.0.6", "detached", "listener 10256/TCP"} {
		if !strings.Contains(dump, want) {
			t.Errorf("no %q in\n%s", want, dump)
		}
	}
	var held emulator.State
	r.ok("state", nil, &held)
	r.ok("attach", control.Address{IP: ip("10.244.1.7")}, nil)
	r.ok("release", emulator.HostPort{Protocol: hnslb.TCP, Port: 10256}, nil)
	r.ok("remove-local-endpoint", control.Address{IP: b.IPs[0]}, nil)
	r.ok("delete-behind", control.ID{ID: a.ID}, nil)
	var again hnslb.Network
	r.ok("replace-network", control.Name{Network: "azure"}, &again)
	if again.ID == n.ID || strings.Contains(r.e.Dump(), "endpoint") || strings.Contains(r.e.Dump(), "listener") {
		t.Errorf("network %s after %s, HNS holds\n%s", again.ID, n.ID, r.e.Dump())
	}
	r.ok("delete-network", control.Name{Network: "azure"}, nil)
	if got := r.e.Dump(); got != "" {
		t.Errorf("HNS holds\n%s", got)
	}
	r.ok("restore", held, nil)
	if diff := cmp.Diff(dump, r.e.Dump()); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
}

// TestFaults: each switch reaches the emulator.
func TestFaults(t *testing.T) {
	r := newRig(t)
	want := profiles.Faults{HalfMade: true, VanishDuringList: 2}
	r.ok("set-faults", want, nil)
	var got profiles.Faults
	if r.ok("faults", nil, &got); got != want || r.e.Faults() != want {
		t.Errorf("faults %+v, want %+v", got, want)
	}
	features := func() error { _, err := r.e.Features(t.Context()); return err }
	r.ok("fail-next", control.Plan{Verb: hnslb.VerbFeatures, N: 1, Code: hnslb.ResultManagerStopped}, nil)
	if err := features(); hnslb.ErrorClass(err) != hnslb.Unavailable {
		t.Errorf("fail-next: %v", err)
	}
	r.ok("lose-answers", control.Plan{Verb: hnslb.VerbFeatures, N: 1}, nil)
	if err := features(); hnslb.ErrorClass(err) != hnslb.Unavailable {
		t.Errorf("lose-answers: %v", err)
	}
	r.ok("fail-each", control.Odds{Probability: 1, Verbs: []hnslb.Verb{hnslb.VerbFeatures}}, nil)
	if err := features(); err == nil {
		t.Error("fail-each: no error")
	}
	r.ok("clear-faults", nil, nil)
	r.ok("stop", nil, nil)
	if err := features(); hnslb.ErrorClass(err) != hnslb.Unavailable {
		t.Errorf("stop: %v", err)
	}
	r.ok("start", emulator.RestartOptions{}, nil)
	r.ok("hang", control.Plan{Verb: hnslb.VerbFeatures, N: 1}, nil)
	done := make(chan error)
	go func() { done <- features() }()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return r.e.Counts()[hnslb.VerbFeatures] == 5, nil // the fifth is on its way
	})
	if err != nil {
		t.Fatal(err)
	}
	r.ok("release-hung", nil, nil)
	if err := <-done; err != nil {
		t.Errorf("the released call: %v", err)
	}
}

// TestRecords: counts and dark times, and their end.
func TestRecords(t *testing.T) {
	r := newRig(t)
	r.ok("add-network", emulator.NetworkSpec{Name: "azure"}, nil)
	ep, err := r.e.AddForeignEndpoint("azure", hnslb.Endpoint{IPs: []netip.Addr{ip("10.244.2.7")}, Remote: true})
	if err != nil {
		t.Fatal(err)
	}
	var lbs []hnslb.LoadBalancer
	for _, vip := range []string{"10.96.0.2", "10.96.0.1"} {
		lb, err := r.e.CreateLoadBalancer(t.Context(), hnslb.LoadBalancer{
			Endpoints: []hnslb.ID{ep.ID}, VIPs: []netip.Addr{ip(vip)},
			Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 80, ExternalPort: 80}},
		})
		if err != nil {
			t.Fatal(err)
		}
		lbs = append(lbs, lb)
	}
	var counts control.Counts
	if r.ok("counts", nil, &counts); counts.Verbs[hnslb.VerbCreateLoadBalancer] != 2 || len(counts.Calls) != 0 {
		t.Errorf("counts %+v", counts)
	}
	r.ok("reset-counts", nil, nil)
	if r.ok("counts", nil, &counts); r.e.Counts()[hnslb.VerbCreateLoadBalancer] != 0 {
		t.Errorf("counts after the reset %v", r.e.Counts())
	}
	r.ok("delete-behind", control.ID{ID: lbs[0].ID}, nil)
	var dark []control.Dark
	r.ok("dark", nil, &dark)
	if len(dark) != 2 || dark[0].Frontend != "10.96.0.2:80/TCP" || dark[0].Now <= 0 || dark[0].Now > time.Minute ||
		dark[1].Frontend != "10.96.0.1:80/TCP" || dark[1].Now != 0 {
		t.Errorf("dark %+v", dark)
	}
	r.ok("reset-dark", nil, nil)
	if r.ok("dark", nil, &dark); len(dark) != 1 {
		t.Errorf("dark after the reset %+v", dark)
	}
	var handles hcnserver.Handles
	if r.ok("handles", nil, &handles); handles.Leaked() != 0 {
		t.Errorf("handles %+v", handles)
	}
	r.ok("drop-handles", nil, nil)
	var profile profiles.Profile
	if r.ok("profile", nil, &profile); !cmp.Equal(profile, profiles.WS2022()) {
		t.Errorf("profile %+v", profile)
	}
}

// TestRefusals say what is wrong.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		operation string
		argument  any
		want      string
	}{
		{"delete-network", control.Name{Network: "none"}, "The network was not found"},
		{"restore", "text", "argument"},
		{"add-local-endpoint", map[string]any{"Addresses": []string{"x"}}, "argument"},
		{"explode", nil, "404"},
	} {
		err := r.c.Call(t.Context(), tc.operation, tc.argument, nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want a word of %q", tc.operation, err, tc.want)
		}
	}
	var number int
	if err := r.c.Call(t.Context(), "dump", nil, &number); err == nil {
		t.Error("an answer of another type is taken")
	}
	if err := (control.Client{URL: "http://127.0.0.1:1"}).Call(t.Context(), "dump", nil, nil); err == nil {
		t.Error("nobody answers, and there is no error")
	}
}

// TestDocumented: the package comment names every operation.
func TestDocumented(t *testing.T) {
	source, err := os.ReadFile("control.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, code, _ := strings.Cut(string(source), "\npackage ")
	found := regexp.MustCompile(`(?m)^\t\t"([a-z-]+)":`).FindAllStringSubmatch(code, -1)
	for _, m := range found {
		if !regexp.MustCompile(`[\t ]` + m[1] + `[, \n]`).MatchString(comment) {
			t.Errorf("the package comment does not name %s", m[1])
		}
	}
	if len(found) < 25 {
		t.Errorf("%d operations found", len(found))
	}
}
