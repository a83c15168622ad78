// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build realnode

package realnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// envProgram is hnsproxy.exe.
	envProgram = "HNSPROXY_EXE"
	nodeName   = "real-node"
	vip        = "198.18.0.80"
	// soon is how long anything may take that has to happen.
	soon = 2 * time.Minute
	// rounds is how many connections have to go where they should.
	rounds = 40
)

// TestListeners runs hnsproxy.exe with --hns-objects and balances connections from the host to two listeners behind a VIP: both get
// some, then one is taken out of its slice and gets none any more, and a restart leaves all of HNS as it is.
func TestListeners(t *testing.T) {
	for _, dsr := range []string{"false", "true"} {
		t.Run("dsr="+dsr, func(t *testing.T) {
			h := newHost(t)
			network, err := h.driver.Network(t.Context(), h.network)
			if err != nil {
				t.Fatal(err)
			}
			first := network.Subnets[0].Masked().Addr()
			for range 20 {
				first = first.Next()
			}
			backends := []netip.Addr{first, first.Next()}
			for _, ip := range backends {
				if _, err := h.AddLocalEndpoint(ip); err != nil {
					t.Fatal(err)
				}
				listen(t, ip)
			}
			dir := t.TempDir()
			writeObjects(t, dir, network.ManagementIP, backends...)
			stop := start(t, dir, h.network, dsr)
			both := map[string]bool{backends[0].String(): true, backends[1].String(): true}
			await(t, both)
			writeObjects(t, dir, network.ManagementIP, backends[1])
			delete(both, backends[0].String())
			await(t, both)

			had := h.objects(t.Context())
			stop()
			stop = start(t, dir, h.network, dsr)
			await(t, both)
			if diff := cmp.Diff(had, h.objects(t.Context())); diff != "" {
				t.Errorf("a restart changed HNS (-before +after):\n%s", diff)
			}
			stop()
		})
	}
}

// listen serves on an address of this host, once it has it, and tells that address.
func listen(t *testing.T, ip netip.Addr) {
	t.Helper()
	var l net.Listener
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), time.Second, soon, true, func(ctx context.Context) (bool, error) {
		l, last = (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(ip, 8080).String())
		return last == nil, nil
	})
	if err != nil {
		t.Fatal(errors.Join(last, err))
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, ip.String()) }),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = server.Serve(l) }()      // ends with the test
	t.Cleanup(func() { _ = server.Close() }) // nobody waits for connections
}

// writeObjects writes a Node, a Service on the VIP and its slice. Each file appears whole.
func writeObjects(t *testing.T, dir string, node netip.Addr, backends ...netip.Addr) {
	t.Helper()
	var endpoints strings.Builder
	for _, ip := range backends {
		fmt.Fprintf(&endpoints, "  - {addresses: [%s], conditions: {ready: true}, nodeName: %s}\n", ip, nodeName)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Node
metadata: {name: %[1]s}
status: {addresses: [{type: InternalIP, address: %[2]s}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: %[3]s
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: "", port: 8080, protocol: TCP}]
endpoints:
%[4]s`, nodeName, node, vip, &endpoints)
	path := filepath.Join(dir, "objects.yaml")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// start starts hnsproxy.exe. Its log is shown when the test fails.
func start(t *testing.T, dir, network, dsr string) (stop func()) {
	t.Helper()
	var log strings.Builder
	cmd := exec.CommandContext(t.Context(), os.Getenv(envProgram), "--objects="+dir, "--network-name="+network,
		"--hostname-override="+nodeName, "--enable-dsr="+dsr, "--v=2")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", envProgram, err)
	}
	return func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // says that it was killed
		if t.Failed() {
			t.Logf("hnsproxy.exe said\n%s", &log)
		}
	}
}

// await waits until so many connections in a row are answered, by all of these and no others.
func await(t *testing.T, want map[string]bool) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var got map[string]bool
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), time.Second, soon, true, func(ctx context.Context) (bool, error) {
		got = map[string]bool{}
		for range rounds {
			var by string
			if by, last = ask(ctx, client); last != nil {
				return false, nil
			}
			got[by] = true
		}
		return maps.Equal(got, want), nil
	})
	if err != nil {
		t.Errorf("answers come from %v, want %v: %v", got, want, errors.Join(last, err))
	}
}

func ask(ctx context.Context, client *http.Client) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+vip+"/", nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
