// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package winlab_test

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/probe"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestProbe finds out what emulated machines do through hcsshim: every release, and machines that no release matches.
func TestProbe(t *testing.T) {
	odd := profiles.WS2025()
	odd.MaxEndpoints = 40
	odd.Quirks = profiles.Quirks{ModifyLies: true, ListenerTakesVIP: true, PortBlocks: 70, UnknownEndpointCode: hnslb.ResultElementNotFound}
	frail := profiles.WS2022()
	frail.Faults = profiles.Faults{DeleteFailsOnce: true, HalfMade: true, LeakPorts: true}
	for name, profile := range map[string]profiles.Profile{"odd": odd, "frail": frail} {
		testProbe(t, name, profile, "TestProbe")
	}
	for _, profile := range profiles.All() {
		testProbe(t, profile.Name, profile, "TestProbe")
	}
	testProbe(t, "ws2022 with many objects", profiles.WS2022(), "TestProbeAll")
}

func testProbe(t *testing.T, name string, profile profiles.Profile, tests string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		service := serve(t, profile, "L2Bridge")
		defer closeService(t, service)
		before := service.State()
		runConformance(t, service, tests)
		wantSame(t, before, service.State())
	})
}

// wantSame fails if objects came or went.
func wantSame(t *testing.T, before, after emulator.State) {
	t.Helper()
	if !reflect.DeepEqual(before.Endpoints, after.Endpoints) || !reflect.DeepEqual(before.LoadBalancers, after.LoadBalancers) {
		t.Errorf("HNS holds %d endpoints and %d load balancers, before it held %d and %d, or others", len(after.Endpoints), len(after.LoadBalancers),
			len(before.Endpoints), len(before.LoadBalancers))
	}
}

// TestProbeProgram runs hnsproxy.exe probe: to its end, until Ctrl+C, and until it is killed, after which the next run removes
// what is left.
func TestProbeProgram(t *testing.T) {
	if err := winlab.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	hnsproxy, err := hnsproxyProgram()
	if err != nil {
		t.Fatal(err)
	}
	service := serve(t, profiles.WS2025(), "L2Bridge")
	defer closeService(t, service)
	addObjects(t, service)
	before := service.State()
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	start := func(more ...string) *program.Running {
		args := append([]string{"probe", "--network-name=azure", "--yes", "--quick", "--hns-state-dir=" + dir, "--profile-file=" + report}, more...)
		running, err := hnsproxy.Launch(t.Context(), service, dir, args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(running.Kill)
		return running
	}
	midway := func(running *program.Running) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) {
			text, err := running.Log()
			return strings.Contains(text, "with 100 endpoints") && len(service.State().LoadBalancers) > len(before.LoadBalancers)+20, err
		})
		if err != nil {
			t.Fatalf("the probe makes no load balancers: %v\n%s", err, running.Tail(20))
		}
	}

	killed := start()
	midway(killed)
	killed.Kill()
	if now := service.State(); len(now.LoadBalancers) == len(before.LoadBalancers) {
		t.Error("nothing is left of a probe that was killed, so nothing is shown")
	}
	interrupted := start()
	midway(interrupted)
	interrupted.Interrupt(time.Minute)
	if interrupted.Err() == nil {
		t.Error("a probe that was stopped ended well")
	}
	wantSame(t, before, service.State())
	whole := start()
	if err := whole.Err(); err != nil {
		t.Errorf("%v\n%s", err, whole.Tail(20))
	}
	wantSame(t, before, service.State())
	found, err := probe.LoadReport(report)
	if err != nil {
		t.Fatal(err)
	}
	if found.Version != (hnslb.Version{Major: 15, Minor: 5}) || found.Build == "" || found.Profile.Quirks.ModifyLies || len(found.Profile.Timings) == 0 {
		t.Errorf("found is %+v", found)
	}
}

// addObjects makes what a network plugin and a proxy would have made.
func addObjects(t *testing.T, service *winlab.Service) {
	t.Helper()
	subnet := service.State().Networks[0].Subnets[0]
	pod, err := service.AddLocalEndpoint("azure", subnet.Addr().Next().Next().Next())
	if err != nil {
		t.Fatal(err)
	}
	_, err = service.CreateLoadBalancer(t.Context(), hnslb.LoadBalancer{
		Endpoints: []hnslb.ID{pod.ID}, Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 80, ExternalPort: 40001}},
	})
	if err != nil {
		t.Fatal(err)
	}
}
