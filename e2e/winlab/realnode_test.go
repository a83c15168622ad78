// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package winlab_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestRealNodeTools runs what .github/workflows/windows.yml runs on a real node, as far as no packet has to flow: a network is
// made, the drivers' suite runs on it, nothing is left of either.
func TestRealNodeTools(t *testing.T) {
	const name = "hnsproxy-test"
	if err := winlab.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l2bridge, suite := filepath.Join(dir, "l2bridge.exe"), filepath.Join(dir, "realnode.test.exe")
	buildForWindows(t, filepath.Join("..", ".."), "build", "-o", l2bridge, "./hack/l2bridge")
	buildForWindows(t, "..", "test", "-c", "-tags=realnode", "-o", suite, "./realnode")
	service, err := winlab.Serve(emulator.New(emulator.Config{Profile: profiles.WS2022()}))
	if err != nil {
		t.Fatal(err)
	}
	defer closeService(t, service)

	if output, err := command(t, service, l2bridge, "--name=Calico").CombinedOutput(); err == nil ||
		!strings.Contains(string(output), "must begin with hnsproxy-") {
		t.Errorf("a network of somebody else's name: %v\n%s", err, output)
	}
	given := make(chan error, 1)
	go func() { given <- giveAddress(t.Context(), service, name) }()
	mustRun(t, command(t, service, l2bridge, "--name="+name, "--subnet=10.244.7.0/24"))
	if err := <-given; err != nil {
		t.Error(err)
	}
	networks := service.State().Networks
	if len(networks) != 1 || networks[0].Type != "L2Bridge" || networks[0].Subnets[0].String() != "10.244.7.0/24" {
		t.Fatalf("HNS has the networks %+v", networks)
	}
	mustRun(t, command(t, service, l2bridge, "--name="+name)) // it is there already

	cmd := command(t, service, suite, "-test.run=^TestDriver$")
	cmd.Env = append(cmd.Env, "HNSPROXY_NETWORK="+name, "HNSPROXY_ATTACH=no")
	mustRun(t, cmd)
	if s := service.State(); len(s.Endpoints)+len(s.LoadBalancers) > 0 {
		t.Errorf("the suite left\n%s", service.Dump())
	}
	mustRun(t, command(t, service, l2bridge, "--name="+name, "--delete"))
	if left := service.State().Networks; len(left) > 0 {
		t.Errorf("networks are left: %+v", left)
	}
	mustRun(t, command(t, service, l2bridge, "--name="+name, "--delete"))
}

// giveAddress does what HNS does when it has bound a network to an adapter.
func giveAddress(ctx context.Context, service *winlab.Service, name string) error {
	spec, err := winlab.Network(name, "L2Bridge")
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) {
		return slices.ContainsFunc(service.State().Networks, func(n emulator.NetworkState) bool { return n.Name == name }), nil
	})
	if err != nil {
		return err
	}
	return service.SetManagementIP(name, spec.ManagementIP)
}

func buildForWindows(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	mustRun(t, cmd)
}

func command(t *testing.T, service *winlab.Service, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := service.Command(t.Context(), program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

func mustRun(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, output)
	}
}
