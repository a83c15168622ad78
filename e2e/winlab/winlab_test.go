// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package winlab_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// conformanceProgram builds package conformance as a Windows program, and the lab to run it in, once for all tests.
var conformanceProgram = sync.OnceValues(func() (string, error) {
	ctx := context.Background()
	if err := winlab.Prepare(ctx); err != nil {
		return "", err
	}
	program := filepath.Join(buildDir, "conformance.test.exe")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./conformance")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, output)
	}
	return program, nil
})

// buildDir holds what tests share.
var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "winlab"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(buildDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runConformance runs tests of package conformance, and shows what they printed when they fail.
func runConformance(t *testing.T, service *winlab.Service, tests string) {
	t.Helper()
	program, err := conformanceProgram()
	if err != nil {
		t.Error(err)
		return
	}
	cmd, err := service.Command(t.Context(), program, "-test.run=^("+tests+")$")
	if err != nil {
		t.Error(err)
		return
	}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, output)
	}
}

// serve serves an emulator of a release with a network of that type.
func serve(t *testing.T, profile profiles.Profile, networkType string) *winlab.Service {
	t.Helper()
	e := emulator.New(emulator.Config{Profile: profile})
	spec, err := winlab.Network("azure", networkType)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddNetwork(spec); err != nil {
		t.Fatal(err)
	}
	service, err := winlab.Serve(e)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func closeService(t *testing.T, service *winlab.Service) {
	t.Helper()
	if err := service.Close(); err != nil {
		t.Error(err)
	}
}

// TestConformance runs the suite of drivers through hcsshim on every release and both kinds of network.
func TestConformance(t *testing.T) {
	for _, profile := range profiles.All() {
		for _, networkType := range []string{"L2Bridge", hnslb.NetworkOverlay} {
			t.Run(profile.Name+"/"+networkType, func(t *testing.T) {
				service := serve(t, profile, networkType)
				defer closeService(t, service)
				runConformance(t, service, "TestDriver|TestCalls")
				if handles := service.Server.Handles(); handles.Leaked() != 0 {
					t.Errorf("the program left handles open: %+v", handles)
				}
			})
		}
	}
}

// TestWatch runs what tells that HNS itself changed, with a HNS that calls back and with those that keep something back.
func TestWatch(t *testing.T) {
	for name, tc := range map[string]struct {
		quirks profiles.Quirks
		tests  string
	}{
		"all told":     {tests: "TestNotifications|TestHungRegistration|TestWatch|TestWatchLeaks|TestNoService"},
		"stop untold":  {quirks: profiles.Quirks{StopUntold: true}, tests: "TestWatch"},
		"nothing told": {quirks: profiles.Quirks{NoNotifications: true}, tests: "TestWatch"},
	} {
		t.Run(name, func(t *testing.T) {
			profile := profiles.WS2025()
			profile.Quirks = tc.quirks
			service := serve(t, profile, "L2Bridge")
			defer closeService(t, service)
			runConformance(t, service, tc.tests)
		})
	}
}

// TestDegraded runs what reads the state of load balancers, which hcsshim drops.
func TestDegraded(t *testing.T) {
	profile := profiles.WS2022()
	profile.Quirks.ShowsDegraded = true
	service := serve(t, profile, "L2Bridge")
	defer closeService(t, service)
	runConformance(t, service, "TestDegraded")
}

// TestNoEmulator: programs whose emulator does not run meet an HNS that is away.
func TestNoEmulator(t *testing.T) {
	service := serve(t, profiles.WS2025(), "L2Bridge")
	closeService(t, service) // its port is free now, and nobody serves it
	runConformance(t, service, "TestNoHNS")
}

// TestOutage: a program goes on when the emulator comes back after a crash.
func TestOutage(t *testing.T) {
	service := serve(t, profiles.WS2025(), "L2Bridge")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runConformance(t, service, "TestOutage")
	}()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return len(service.Server.Calls()) > 0, nil
	})
	if err != nil {
		t.Errorf("the program makes no call: %v", err)
	}
	closeService(t, service)
	again, err := winlab.ServeAt(service.Emulator, service.HCN, strings.TrimPrefix(service.Control, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeService(t, again)
	<-done
}
