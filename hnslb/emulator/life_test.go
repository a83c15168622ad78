// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

func TestStopAndStart(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	pod := n.local("10.244.1.5")
	lb := n.balance([]hnslb.ID{pod})
	had := n.Dump()
	n.Stop()
	_, err := n.LoadBalancers(t.Context())
	wantCode(t, err, hnslb.ResultServerUnavailable)
	_, err = n.Features(t.Context())
	wantCode(t, err, hnslb.ResultServerUnavailable)
	if _, err := n.AddLocalEndpoint("Calico", ip("10.244.1.6")); err == nil {
		t.Error("the network plugin made an endpoint while HNS was stopped")
	}
	packet := emulator.Packet{From: emulator.Outside(ip("10.0.0.9")), To: addrPort("10.96.0.10:80"), Protocol: hnslb.TCP}
	if v := n.Trace(packet); !v.Reached() {
		t.Errorf("VFP carries nothing while HNS is stopped: %s", v)
	}
	n.SetFaults(profiles.Faults{StoppedCode: hnslb.ResultUnknownInterface})
	_, err = n.Network(t.Context(), "Calico")
	wantCode(t, err, hnslb.ResultUnknownInterface)
	n.Start(emulator.RestartOptions{})
	if n.Dump() != had {
		t.Errorf("after a restart HNS holds\n%s", n.Dump())
	}
	lbs, err := n.LoadBalancers(t.Context())
	n.must(err)
	if lbs[0].ID != lb.ID {
		t.Errorf("the load balancer came back with ID %s, had %s", lbs[0].ID, lb.ID)
	}
}

func TestRestartLoses(t *testing.T) {
	for _, c := range []struct {
		name             string
		lose             emulator.RestartOptions
		balancers, local int
	}{
		{"nothing", emulator.RestartOptions{}, 1, 1},
		{"load balancers", emulator.RestartOptions{LoseLoadBalancers: true}, 0, 1},
		{"endpoints", emulator.RestartOptions{LoseEndpoints: true}, 1, 0},
		{"both", emulator.RestartOptions{LoseLoadBalancers: true, LoseEndpoints: true}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, profiles.WS2022(), "L2Bridge")
			n.balance([]hnslb.ID{n.local("10.244.1.5")})
			n.Restart(c.lose)
			st := n.State()
			if len(st.LoadBalancers) != c.balancers || len(st.Endpoints) != c.local || len(st.Networks) != 1 {
				t.Errorf("after the restart HNS holds\n%s", n.Dump())
			}
		})
	}
}

// TestRestoredTwin: creating what HNS brought back fails as already existing, until the
// twin is deleted.
func TestRestoredTwin(t *testing.T) {
	quiet := profiles.WS2022()
	quiet.Quirks.RestoredTwinCode = hnslb.ResultPortAlreadyExists
	for want, profile := range map[hnslb.HRESULT]profiles.Profile{
		hnslb.ResultWin32AlreadyExists: profiles.WS2022(),
		hnslb.ResultPortAlreadyExists:  quiet,
	} {
		n := newNode(t, profile, "L2Bridge")
		pods := []hnslb.ID{n.local("10.244.1.5")}
		lb := n.balance(pods)
		n.Restart(emulator.RestartOptions{})
		_, err := n.CreateLoadBalancer(t.Context(), balancerOf(pods))
		wantCode(t, err, want)
		n.must(n.DeleteLoadBalancer(t.Context(), lb.ID))
		n.balance(pods)
		_, err = n.CreateLoadBalancer(t.Context(), balancerOf(pods))
		wantCode(t, err, hnslb.ResultPortAlreadyExists)
	}
}
