// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/e2e/winlab/control"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// start runs the program until the function that it returns is called.
func start(t *testing.T, args ...string) (control.Client, func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"--hcn=127.0.0.1:0", "--control=127.0.0.1:0"}, args...), in)
		_ = in.CloseWithError(err) // never fails
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(line), "HNS_CONTROL=")
	if !ok || !strings.Contains(line, "HNS_EMULATOR=127.0.0.1:") {
		t.Fatalf("it says %q", line)
	}
	return control.Client{URL: url}, func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestState: what the host held is there at the next start, IDs included.
func TestState(t *testing.T) {
	dir := t.TempDir()
	dump, state := filepath.Join(dir, "begin.dump"), filepath.Join(dir, "hns.json")
	begin := "network azure L2Bridge management=10.0.0.5 mac=00-15-5D-00-00-05 subnets=10.244.1.0/24\n" +
		"endpoint 10.244.1.5 local network=azure mac=0E-2A-0A-F4-01-05\n"
	if err := os.WriteFile(dump, []byte(begin), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--profile=ws2025", "--dump=" + dump, "--state=" + state}
	held := func(c control.Client) (text string, st emulator.State) {
		t.Helper()
		if err := c.Call(t.Context(), "dump", nil, &text); err != nil {
			t.Fatal(err)
		}
		if err := c.Call(t.Context(), "state", nil, &st); err != nil {
			t.Fatal(err)
		}
		return text, st
	}
	c, stop := start(t, args...)
	first, before := held(c)
	if first != begin || before.Profile != "ws2025" {
		t.Errorf("%s holds\n%s", before.Profile, first)
	}
	stop()
	c, stop = start(t, args...)
	second, after := held(c)
	if second != begin || before.Networks[0].ID != after.Networks[0].ID {
		t.Errorf("the second start holds\n%s", second)
	}
	stop()
}

// TestNetwork: the pod network stands on an address of this machine.
func TestNetwork(t *testing.T) {
	c, stop := start(t, "--network=vxlan0", "--network-type=Overlay")
	defer stop()
	var st emulator.State
	if err := c.Call(t.Context(), "state", nil, &st); err != nil {
		t.Fatal(err)
	}
	n := st.Networks[0]
	if n.Name != "vxlan0" || n.Type != hnslb.NetworkOverlay || !n.ManagementIP.IsValid() || n.HostMAC == "" {
		t.Errorf("network %+v", n)
	}
}

// TestBadArguments: each says what is wrong.
func TestBadArguments(t *testing.T) {
	for _, tc := range []struct{ arg, want string }{
		{"--profile=ws2016", "ws2016"},
		{"--hcn=nowhere", "nowhere"},
		{"--control=nowhere", "nowhere"},
		{"--dump=/nonexistent", "/nonexistent"},
		{"more", "more"},
	} {
		if err := run(t.Context(), []string{"--hcn=127.0.0.1:0", "--control=127.0.0.1:0", tc.arg}, io.Discard); err == nil ||
			!strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want a word of %q", tc.arg, err, tc.want)
		}
	}
}
