// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/e2e/winlab/control"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/hcn"
	"github.com/hnsproxy/hnsproxy/hnslb/probe"
	"github.com/hnsproxy/hnsproxy/hnslb/probe/probetest"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// mayBeUnknown are facts that take more objects than a quick probe makes, or slow calls: how fast they are here, the machine decides.
var mayBeUnknown = []string{
	"a second write at once", "a list during a write", "most endpoints of one load balancer", "one endpoint more than that",
}

// TestProbe: the probe finds the switches of the machine through hcsshim, and leaves nothing.
// Since HNS lets remote endpoints stay where Faults.EndpointDeleteLies, no machine here has it.
func TestProbe(t *testing.T) { testProbe(t, false) }

// TestProbeAll is TestProbe with all that needs many objects.
func TestProbeAll(t *testing.T) { testProbe(t, true) }

func testProbe(t *testing.T, all bool) {
	t.Helper()
	c := control.Client{URL: os.Getenv("HNS_CONTROL")}
	call := func(operation string, argument, answer any) {
		t.Helper()
		if err := c.Call(context.Background(), operation, argument, answer); err != nil {
			t.Fatal(err)
		}
	}
	var machine profiles.Profile
	var before, after emulator.State
	call("profile", nil, &machine)
	call("state", nil, &before)
	d := hcn.New(func(message string) { t.Errorf("the driver warns: %s", message) })
	r, err := probe.Run(t.Context(), probe.Config{
		Driver: hnslb.WithTimeout(d, 30*time.Second), Viewer: d, Network: before.Networks[0].Name, Journal: filepath.Join(t.TempDir(), "journal.json"),
		Quick: !all, ExhaustPorts: true, Rounds: 10,
		Listen: func(protocol hnslb.Protocol, port uint16) (func(), error) {
			taken := emulator.HostPort{Protocol: protocol, Port: port}
			call("reserve", taken, nil)
			return func() { call("release", taken, nil) }, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	probetest.WantFound(t, machine, r.Profile, r.Unreached)
	if call("state", nil, &after); len(after.Endpoints) != len(before.Endpoints) || len(after.LoadBalancers) != len(before.LoadBalancers) {
		t.Errorf("left are %v and %v", after.Endpoints, after.LoadBalancers)
	}
	for _, f := range r.Facts {
		if f.Differs() && f.Switch == "" && !slices.Contains(mayBeUnknown, f.Fact) && !probetest.Follows(machine, f.Fact) {
			t.Errorf("%+v", f) // what no switch decides is as documented, through hcsshim too
		}
		if f.Unknown != "" && !slices.Contains(mayBeUnknown, f.Fact) {
			t.Errorf("%+v", f)
		}
	}
}
