// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/e2e/winlab/control"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/drivertest"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator/hcnserver"
	"github.com/hnsproxy/hnsproxy/hnslb/hcn"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"k8s.io/apimachinery/pkg/util/wait"
)

// host is the served emulator, as the suite asks for it. Its methods without an error fail the test.
type host struct {
	t       *testing.T
	control control.Client
	profile profiles.Profile
	network emulator.NetworkState
	driver  hnslb.Driver
}

func (h *host) Driver() hnslb.Driver { return h.driver }
func (h *host) NetworkName() string  { return h.network.Name }
func (h *host) MaxEndpoints() int    { return h.profile.MaxEndpoints }
func (h *host) StopHNS()             { h.must("stop", nil, nil) }
func (h *host) StartHNS()            { h.must("start", emulator.RestartOptions{}, nil) }
func (h *host) Hang(v hnslb.Verb)    { h.must("hang", control.Plan{Verb: v, N: -1}, nil) }
func (h *host) Unhang()              { h.must("release-hung", nil, nil) }

func (h *host) AddLocalEndpoint(ips ...netip.Addr) (hnslb.Endpoint, error) {
	var ep hnslb.Endpoint
	err := h.control.Call(h.t.Context(), "add-local-endpoint", control.On{Network: h.network.Name, Addresses: ips}, &ep)
	return ep, err
}

func (h *host) DeleteBehind(id hnslb.ID) error {
	return h.control.Call(h.t.Context(), "delete-behind", control.ID{ID: id}, nil)
}

func (h *host) must(operation string, argument, answer any) {
	h.t.Helper()
	if err := h.control.Call(h.t.Context(), operation, argument, answer); err != nil {
		h.t.Fatal(err)
	}
}

// newHost makes the host as it was when the program started, and a driver that knows nothing of it. When the test ends, so
// must the handles that it opened.
func newHost(t *testing.T) *host {
	t.Helper()
	start, err := startState()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, control: control.Client{URL: os.Getenv("HNS_CONTROL")}, network: start.Networks[0]}
	h.must("clear-faults", nil, nil)
	h.must("start", emulator.RestartOptions{}, nil)
	h.must("restore", start, nil)
	h.must("profile", nil, &h.profile)
	calls := &settled{}
	h.driver = hnslb.WithTimeout(calls.around(hcn.New(func(message string) { t.Errorf("the driver warns: %s", message) })), 30*time.Second)
	t.Cleanup(func() { h.wantNoLeaks(calls) })
	return h
}

// wantNoLeaks waits for calls that were left behind, and wants every handle closed.
func (h *host) wantNoLeaks(calls *settled) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := calls.settle(ctx); err != nil {
		h.t.Errorf("calls are still on their way: %v", err)
	}
	h.wantNoHandles(ctx)
}

// wantNoHandles wants every handle closed, soon: a watch closes its own after its end. Those that hcsshim loses are let pass.
func (h *host) wantNoHandles(ctx context.Context) {
	var handles hcnserver.Handles
	err := wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		handles = hcnserver.Handles{} // the answer names only what there is
		err := h.control.Call(ctx, "handles", nil, &handles)
		return handles.Leaked() == 0, err
	})
	if err != nil {
		h.t.Errorf("handles left open: %+v: %v", handles, err)
	}
}

// startState reads, once, the state of the emulator that the program was started with.
var startState = sync.OnceValues(func() (emulator.State, error) {
	var start emulator.State
	url := os.Getenv("HNS_CONTROL")
	if url == "" {
		return start, errors.New("HNS_CONTROL is not set: this program is run by the tests of package winlab")
	}
	return start, (control.Client{URL: url}).Call(context.Background(), "state", nil, &start)
})

// TestDriver is the suite of every driver.
func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Host { return newHost(t) })
}

// TestCalls: each verb costs the calls that package hcn says.
func TestCalls(t *testing.T) {
	h := newHost(t)
	ctx := t.Context()
	var network hnslb.Network
	var ep hnslb.Endpoint
	var lb hnslb.LoadBalancer
	for _, step := range []struct {
		name string
		do   func() error
		want map[string]int
	}{
		{"features", func() error { _, err := h.driver.Features(ctx); return err }, map[string]int{"HNSCall GET /globals/version": 1}},
		{"features again", func() error { _, err := h.driver.Features(ctx); return err }, map[string]int{}},
		{"network", func() (err error) { network, err = h.driver.Network(ctx, h.network.Name); return err }, h.networkCalls()},
		{"create endpoint", func() (err error) {
			ip := netip.MustParseAddr("198.51.100.1")
			ep, err = h.driver.CreateEndpoint(ctx, hnslb.Endpoint{
				Network: network.ID, IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true,
			})
			return err
		}, map[string]int{
			"HcnOpenNetwork": 1, "HcnCreateEndpoint": 1, "HcnQueryEndpointProperties": 1, "HcnCloseEndpoint": 1, "HcnCloseNetwork": 1,
		}},
		{"create load balancer", func() (err error) {
			lb, err = h.driver.CreateLoadBalancer(ctx, hnslb.LoadBalancer{
				Endpoints: []hnslb.ID{ep.ID}, VIPs: []netip.Addr{netip.MustParseAddr("198.18.0.1")},
				Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}},
			})
			return err
		}, map[string]int{"HcnCreateLoadBalancer": 1, "HcnQueryLoadBalancerProperties": 1, "HcnCloseLoadBalancer": 1}},
		{"list load balancers", func() error { _, err := h.driver.LoadBalancers(ctx); return err },
			map[string]int{"HNSCall GET /policylists/": 1}},
		{"list endpoints, one of them proven through V2", func() error { _, err := h.driver.Endpoints(ctx); return err }, map[string]int{
			"HNSCall GET /endpoints/": 1,
			"HcnEnumerateEndpoints":   1, "HcnOpenEndpoint": 1, "HcnQueryEndpointProperties": 1, "HcnCloseEndpoint": 1,
		}},
		{"list endpoints again", func() error { _, err := h.driver.Endpoints(ctx); return err },
			map[string]int{"HNSCall GET /endpoints/": 1}},
		{"update load balancer", func() error { return h.update(ctx, lb) }, h.updateCalls()},
		{"delete load balancer", func() error { return h.driver.DeleteLoadBalancer(ctx, lb.ID) }, map[string]int{"HcnDeleteLoadBalancer": 1}},
		{"delete endpoint", func() error { return h.driver.DeleteEndpoint(ctx, ep.ID) }, map[string]int{"HcnDeleteEndpoint": 1}},
	} {
		h.must("reset-counts", nil, nil)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		var got control.Counts
		h.must("counts", nil, &got)
		if diff := cmp.Diff(step.want, got.Calls); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestDegraded: the driver lists a load balancer as degraded when V1 shows it so, whichever interface the rest comes from. The
// release that it runs on must show it.
func TestDegraded(t *testing.T) {
	h := newHost(t)
	ip := netip.MustParseAddr("198.51.100.1")
	ep, err := h.driver.CreateEndpoint(t.Context(), hnslb.Endpoint{
		Network: h.network.ID, IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for port, broken := range map[uint16]bool{80: false, 81: true} {
		h.must("set-faults", profiles.Faults{NoDataPath: broken}, nil)
		if _, err := h.driver.CreateLoadBalancer(t.Context(), hnslb.LoadBalancer{
			Endpoints: []hnslb.ID{ep.ID}, VIPs: []netip.Addr{netip.MustParseAddr("198.18.0.1")},
			Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: port}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, driver := range map[string]hnslb.Driver{"from memory": h.driver, "through V2": hcn.New(nil)} {
		all, err := driver.LoadBalancers(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("%s: %+v, %v", name, all, err)
		}
		for _, lb := range all {
			if port := lb.Mappings[0].ExternalPort; lb.Degraded != (port == 81) {
				t.Errorf("%s: port %d, degraded %v", name, port, lb.Degraded)
			}
		}
	}
}

// networkCalls are the calls for a network by name: V2 shows the management address of an overlay only.
func (h *host) networkCalls() map[string]int {
	calls := map[string]int{
		"HcnEnumerateNetworks": 1, "HcnOpenNetwork": 1, "HcnQueryNetworkProperties": 1, "HcnCloseNetwork": 1,
	}
	if !h.network.IsOverlay() {
		calls["HNSCall GET /networks/{id}"] = 1
	}
	return calls
}

// update changes a load balancer; on an HNS without modify it is refused.
func (h *host) update(ctx context.Context, lb hnslb.LoadBalancer) error {
	_, err := h.driver.UpdateLoadBalancer(ctx, lb)
	if h.hasModify() || err == nil {
		return err
	}
	if hnslb.ErrorClass(err) != hnslb.Unsupported {
		return err
	}
	return nil
}

func (h *host) hasModify() bool { return h.profile.Version.AtLeast(hnslb.Version{Major: 15, Minor: 4}) }

// updateCalls are the calls of an update; hcsshim stops after the refusal, and leaves the handle open.
func (h *host) updateCalls() map[string]int {
	calls := map[string]int{"HcnOpenLoadBalancer": 1, "HcnModifyLoadBalancer": 1}
	if h.hasModify() {
		calls["HcnQueryLoadBalancerProperties"] = 1
		calls["HcnCloseLoadBalancer"] = 1
	}
	return calls
}

// TestNoHNS is run where nobody serves HNS_EMULATOR: HNS is away, and nothing is absent.
func TestNoHNS(t *testing.T) {
	d := hcn.New(nil)
	id := hnslb.ID("00000000-0000-4000-8000-000000000001")
	lb := hnslb.LoadBalancer{ID: id, Endpoints: []hnslb.ID{id}}
	for verb, call := range map[hnslb.Verb]func(ctx context.Context) error{
		hnslb.VerbFeatures:           func(ctx context.Context) error { _, err := d.Features(ctx); return err },
		hnslb.VerbNetwork:            func(ctx context.Context) error { _, err := d.Network(ctx, "azure"); return err },
		hnslb.VerbEndpoints:          func(ctx context.Context) error { _, err := d.Endpoints(ctx); return err },
		hnslb.VerbLoadBalancers:      func(ctx context.Context) error { _, err := d.LoadBalancers(ctx); return err },
		hnslb.VerbWatch:              func(ctx context.Context) error { _, err := d.Watch(ctx); return err },
		hnslb.VerbUpdateLoadBalancer: func(ctx context.Context) error { _, err := d.UpdateLoadBalancer(ctx, lb); return err },
		hnslb.VerbDeleteEndpoint:     func(ctx context.Context) error { return d.DeleteEndpoint(ctx, id) },
		hnslb.VerbDeleteLoadBalancer: func(ctx context.Context) error { return d.DeleteLoadBalancer(ctx, id) },
	} {
		err := call(t.Context())
		e, ok := errors.AsType[*hnslb.Error](err)
		if !ok || e.Class != hnslb.Unavailable || e.Code != hnslb.ResultServerUnavailable {
			t.Errorf("%s: error %v, want code 0x%08x", verb, err, uint32(hnslb.ResultServerUnavailable))
		}
	}
}

// TestOutage is run while the emulator goes away and comes back: calls fail as those to a stopped HNS, and none after it is back.
func TestOutage(t *testing.T) {
	d := hcn.New(nil)
	away := false
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := d.Network(ctx, "azure")
		switch class := hnslb.ErrorClass(err); {
		case err == nil:
			return away, nil
		case class != hnslb.Unavailable:
			return false, err
		}
		away = true
		return false, nil
	})
	if err != nil {
		t.Fatalf("HNS was away: %v; %v", away, err)
	}
	for range 20 {
		if _, err := d.Network(t.Context(), "azure"); err != nil {
			t.Errorf("HNS is back: %v", err)
		}
	}
}
