// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// freePort finds a port that nobody listens on, below those that the system gives to
// whoever asks for any.
func freePort(t *testing.T) int {
	t.Helper()
	for port := 29000; port < 30000; port++ {
		var lc net.ListenConfig
		if l, err := lc.Listen(t.Context(), "tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// TestHealthCheckNodePort: a Service that comes to want a health-check node port is answered
// for on it, on the addresses of --nodeport-addresses, and its load balancer's address leads
// there once HNS has the endpoint of the node.
func TestHealthCheckNodePort(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	dir := example(t)
	r := start(t, func(o *Options, _ *Deps) {
		o.Objects, o.NodePortAddresses, o.ForwardHealthCheckVIP = []string{dir}, []string{"127.0.0.1/32", "10.0.0.0/8"}, true
	})
	r.settled()
	r.mu.Lock()
	r.addr["check"] = fmt.Sprintf("127.0.0.1:%d", port)
	r.mu.Unlock()

	edit(t, dir, "win-webserver.yaml", "type: LoadBalancer",
		fmt.Sprintf("type: LoadBalancer\n  externalTrafficPolicy: Local\n  healthCheckNodePort: %d", port))
	frontend := fmt.Sprintf("default/win-webserver healthcheck 203.0.113.20:%d/TCP ", port)
	r.eventually("miss the endpoint of the node", func() bool {
		return slices.Contains(r.frontends(), frontend+"blocked none RootEndpointMissing")
	})
	if _, err := r.Emulator.AddForeignEndpoint("l2bridge", hnslb.Endpoint{Name: "cbr0", IPs: []netip.Addr{netip.MustParseAddr("10.244.1.2")}}); err != nil {
		t.Fatal(err)
	}
	r.Proxier.Audit()
	r.eventually("find the endpoint of the node", func() bool {
		return slices.Contains(r.frontends(), frontend+fmt.Sprintf("programmed 10.244.1.2* :%d", port))
	})
	if code, body := r.get("check", "/"); code != 200 || !strings.Contains(body, `"localEndpoints": 1`) {
		t.Errorf("with a local endpoint: %d %s", code, body)
	}
	edit(t, dir, "win-webserver.yaml", "nodeName: win-node-1", "nodeName: win-node-2")
	r.eventually("turn the load balancer away", func() bool {
		code, body := r.get("check", "/")
		return code == 503 && strings.Contains(body, `"localEndpoints": 0`)
	})
}
