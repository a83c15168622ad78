// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

var _ health.Network = (*proxiertest.Network)(nil)

// checked is a node with health-check node ports in a bubble.
type checked struct {
	*testing.T
	network *proxiertest.Network
	store   *services.Store
	ports   *health.NodePorts
	healthy atomic.Bool
	failed  []string
	stop    func()
}

func newChecked(t *testing.T, change func(*health.NodePortsConfig)) *checked {
	t.Helper()
	c := &checked{T: t, store: services.NewStore("this", time.Time{}), network: proxiertest.NewNetwork(
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("10.0.0.4/24"), netip.MustParsePrefix("192.168.7.4/24"),
		netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fd00:10::4/64"), netip.MustParsePrefix("fe80::4/64"), netip.MustParsePrefix("169.254.7.7/16"))}
	c.healthy.Store(true)
	cfg := health.NodePortsConfig{
		Healthy: c.healthy.Load,
		Network: c.network,
		OnListenFailed: func(s services.Name, port uint16, err error) {
			c.failed = append(c.failed, fmt.Sprintf("%s %d %v", s, port, err))
		},
	}
	change(&cfg)
	c.ports = health.NewNodePorts(cfg)
	c.ports.Follow(c.store, "this")
	c.ports.SetNode(services.Node{Name: "this", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("fd00:10::4")}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	c.stop = func() { cancel(); <-done }
	go func() { defer close(done); c.ports.Run(ctx) }()
	t.Cleanup(c.stop)
	return c
}

// bubble runs a test in a bubble with the defaults changed.
func bubble(t *testing.T, change func(*health.NodePortsConfig), test func(*checked)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newChecked(t, change)) })
}

func asIs(*health.NodePortsConfig) {}

// service puts a Service with a health-check node port, 0 to delete it.
func (c *checked) service(name string, port int32, clusterIPs ...string) {
	c.Helper()
	if port == 0 {
		c.store.DeleteService(services.Name{Namespace: "default", Name: name})
	} else if _, err := c.store.SetService(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: clusterIPs[0], ClusterIPs: clusterIPs,
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, HealthCheckNodePort: port,
		},
	}); err != nil {
		c.Fatal(err)
	}
	synctest.Wait()
}

// endpoints says how many ready and draining endpoints a Service has on this node.
func (c *checked) endpoints(name string, ready, draining int) {
	c.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: new(int32(8080))}},
	}
	for i := range ready + draining {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.244.1.%d", 5+i)}, NodeName: new("this"),
			Conditions: discoveryv1.EndpointConditions{Ready: new(i < ready), Serving: new(true), Terminating: new(i >= ready)},
		})
	}
	if _, err := c.store.SetSlice(nil, slice); err != nil {
		c.Fatal(err)
	}
}

// want asks a port, and compares code and count; -1 wants the port closed.
func (c *checked) want(at string, code, count int) {
	c.Helper()
	response, body, err := c.network.Get(c.Context(), netip.MustParseAddrPort(at))
	switch {
	case code < 0 && err == nil:
		c.Errorf("%s answers %d", at, response.StatusCode)
	case code < 0:
	case err != nil:
		c.Error(err)
	case response.StatusCode != code || response.Header.Get("X-Load-Balancing-Endpoint-Weight") != fmt.Sprint(count):
		c.Errorf("%s: %d %v %s; want %d with weight %d", at, response.StatusCode, response.Header, body, code, count)
	}
}

func (c *checked) wantOpen(want ...string) {
	c.Helper()
	synctest.Wait()
	got := []string{}
	for _, at := range c.network.Open() {
		got = append(got, at.String())
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		c.Errorf("open ports (-want +got):\n%s", diff)
	}
}

func (c *checked) wantFailed(want ...string) {
	c.Helper()
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, c.failed...)); diff != "" {
		c.Errorf("failures (-want +got):\n%s", diff)
	}
	c.failed = nil
}

// TestCheckContract holds code, headers and body, byte for byte as kube-proxy 1.37 sends
// them.
func TestCheckContract(t *testing.T) {
	for _, tc := range []struct {
		name            string
		ready, draining int
		healthy         bool
		code            int
		body            string
	}{
		{"endpoints", 2, 0, true, 200, "\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true"},
		{"no endpoints", 0, 0, true, 503, "\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": true"},
		{"only terminating endpoints", 0, 2, true, 503, "\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": true"},
		{"one ready, one terminating", 1, 1, true, 200, "\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true"},
		{"endpoints behind a proxy that hangs", 2, 0, false, 503, "\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, asIs, func(c *checked) {
				c.endpoints("web", tc.ready, tc.draining)
				c.service("web", 32000, "10.96.0.5")
				c.healthy.Store(tc.healthy)
				response, body, err := c.network.Get(c.Context(), netip.MustParseAddrPort("10.0.0.4:32000"))
				if err != nil {
					t.Fatal(err)
				}
				want := "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\t" + tc.body + "\n}"
				if diff := cmp.Diff(want, body); diff != "" || response.StatusCode != tc.code {
					t.Errorf("status %d, want %d; body (-want +got):\n%s", response.StatusCode, tc.code, diff)
				}
				header := http.Header{
					"Content-Type":                     {"application/json"},
					"X-Content-Type-Options":           {"nosniff"},
					"X-Load-Balancing-Endpoint-Weight": {fmt.Sprint(tc.ready)},
				}
				for name := range header {
					if diff := cmp.Diff(header[name], response.Header[name]); diff != "" {
						t.Errorf("%s (-want +got):\n%s", name, diff)
					}
				}
			})
		})
	}
}

// TestHostileName: a name that no API server has validated means the same in the body, and
// is escaped.
func TestHostileName(t *testing.T) {
	bubble(t, asIs, func(c *checked) {
		c.service("web\u202e\u009b31m\x7f\x1b[2J", 32000, "10.96.0.5")
		_, body, err := c.network.Get(c.Context(), netip.MustParseAddrPort("10.0.0.4:32000"))
		if want := `"name": "web\u202e\u009b31m\u007f\u001b[2J"`; err != nil || !strings.Contains(body, want) {
			t.Errorf("body %q, %v; want %s", body, err, want)
		}
	})
}

// TestCheckLife follows Services and their endpoints: ports open, change and close, counts
// follow at once.
func TestCheckLife(t *testing.T) {
	bubble(t, asIs, func(c *checked) {
		c.wantOpen()
		c.service("web", 32000, "10.96.0.5")
		c.want("10.0.0.4:32000", 503, 0)
		c.endpoints("web", 2, 0)
		c.want("10.0.0.4:32000", 200, 2)
		c.endpoints("web", 0, 2)
		c.want("192.168.7.4:32000", 503, 0)
		c.endpoints("web", 1, 0)

		c.service("dual", 32001, "10.96.0.6", "fd00:96::6")
		c.wantOpen("0.0.0.0:32000", "0.0.0.0:32001", "[::]:32001")
		c.endpoints("dual", 1, 0)
		c.want("10.0.0.4:32001", 200, 1)
		c.want("[fd00:10::4]:32001", 503, 0)

		c.service("web", 32002, "10.96.0.5")
		c.wantOpen("0.0.0.0:32001", "0.0.0.0:32002", "[::]:32001")
		c.want("10.0.0.4:32002", 200, 1)
		c.service("dual", 0)
		c.wantOpen("0.0.0.0:32002")
		c.wantFailed()
		c.stop()
		c.wantOpen()
	})
}

// TestPortPassesOn: a port that one Service gives up and another takes in the same moment
// is no failure, whatever their names.
func TestPortPassesOn(t *testing.T) {
	for _, to := range []string{"after", "zebra"} {
		bubble(t, asIs, func(c *checked) {
			from := "giver"
			c.endpoints(to, 1, 0)
			c.service(from, 32000, "10.96.0.5")
			c.want("10.0.0.4:32000", 503, 0)
			c.store.DeleteService(services.Name{Namespace: "default", Name: from})
			c.service(to, 32000, "10.96.0.6")
			c.want("10.0.0.4:32000", 200, 1)
			c.wantFailed()
		})
	}
}

// TestPortTaken: a port that another program holds is said once and tried again, and no
// other port waits for it.
func TestPortTaken(t *testing.T) {
	bubble(t, asIs, func(c *checked) {
		at := netip.MustParseAddrPort("0.0.0.0:32000")
		c.network.Take(at, true)
		c.service("web", 32000, "10.96.0.5")
		c.endpoints("web", 1, 0)
		c.service("other", 32001, "10.96.0.6")
		c.wantOpen("0.0.0.0:32001")
		c.wantFailed("default/web 32000 open health-check node port of Service default/web: listen tcp4 0.0.0.0:32000: address already in use")
		<-time.After(time.Hour)
		synctest.Wait()
		c.wantFailed()
		c.network.Take(at, false)
		<-time.After(time.Minute + 12*time.Second)
		synctest.Wait()
		c.want("10.0.0.4:32000", 200, 1)

		c.network.Take(netip.MustParseAddrPort("0.0.0.0:32002"), true)
		c.service("web", 32002, "10.96.0.5")
		c.wantOpen("0.0.0.0:32001")
		if len(c.failed) != 1 || !strings.HasPrefix(c.failed[0], "default/web 32002 ") {
			t.Errorf("another port that is taken: %q", c.failed)
		}
	})
}

// TestListenerBreaks: a listener that ends by itself comes back.
func TestListenerBreaks(t *testing.T) {
	bubble(t, asIs, func(c *checked) {
		c.service("web", 32000, "10.96.0.5")
		c.network.Break(netip.MustParseAddrPort("0.0.0.0:32000"))
		synctest.Wait()
		c.wantFailed("default/web 32000 serve health checks of Service default/web: " + net.ErrClosed.Error())
		<-time.After(time.Second)
		synctest.Wait()
		c.wantOpen("0.0.0.0:32000")
		c.want("10.0.0.4:32000", 503, 0)
	})
}

func parsed(t *testing.T, ranges ...string) desired.NodePortAddresses {
	t.Helper()
	a, err := desired.ParseNodePortAddresses(ranges)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestCheckAddresses: the ports are open where --nodeport-addresses says, and on single
// addresses where HNS does not bear the unspecified one.
func TestCheckAddresses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		ranges []string
		each   bool
		want   []string
	}{
		{"everywhere", nil, false, []string{"0.0.0.0:32000", "[::]:32000"}},
		{"one family is restricted", []string{"10.0.0.0/8"}, false, []string{"10.0.0.4:32000", "[::]:32000"}},
		{"both are", []string{"10.0.0.0/8", "192.168.0.0/16", "fd00::/16"}, false, []string{"10.0.0.4:32000", "192.168.7.4:32000", "[fd00:10::4]:32000"}},
		{"primary", []string{"primary"}, false, []string{"10.0.0.4:32000", "[fd00:10::4]:32000"}},
		{"each", nil, true, []string{"10.0.0.4:32000", "127.0.0.1:32000", "192.168.7.4:32000", "[::1]:32000", "[fd00:10::4]:32000"}},
		{"each of a range", []string{"10.0.0.0/8", "fd00::/16"}, true, []string{"10.0.0.4:32000", "[fd00:10::4]:32000"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(cfg *health.NodePortsConfig) { cfg.Addresses, cfg.EachAddress = parsed(t, tc.ranges...), tc.each }, func(c *checked) {
				c.service("web", 32000, "10.96.0.5", "fd00:96::5")
				c.wantOpen(tc.want...)
				c.wantFailed()
			})
		})
	}
}

// TestAddressesChange: an address that comes is listened on, one that goes is left, a range
// without address is said, and while nobody knows the addresses all stays.
func TestAddressesChange(t *testing.T) {
	bubble(t, func(cfg *health.NodePortsConfig) { cfg.Addresses = parsed(t, "192.168.0.0/16") }, func(c *checked) {
		c.service("web", 32000, "10.96.0.5")
		c.wantOpen("192.168.7.4:32000")
		c.network.SetAddrs(netip.MustParsePrefix("192.168.7.9/24"))
		<-time.After(time.Minute)
		c.wantOpen("192.168.7.9:32000")
		c.network.FailAddrs(errors.New("no answer"))
		<-time.After(time.Minute)
		c.wantOpen("192.168.7.9:32000")
		c.network.FailAddrs(nil)
		c.network.SetAddrs()
		<-time.After(time.Minute)
		c.wantOpen()
		c.wantFailed("default/web 32000 open health-check node port of Service default/web: listen on port 32000: no IPv4 address of this host is in --nodeport-addresses")
	})
	bubble(t, func(cfg *health.NodePortsConfig) { cfg.Addresses = parsed(t, "primary") }, func(c *checked) {
		c.service("web", 32000, "10.96.0.5")
		c.wantOpen("10.0.0.4:32000")
		c.ports.SetNode(services.Node{Name: "this", IPs: []netip.Addr{netip.MustParseAddr("192.168.7.4")}})
		c.wantOpen("192.168.7.4:32000")
	})
}

// TestRealPort: the same on a socket of this machine.
func TestRealPort(t *testing.T) {
	free, err := net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // only to find a port that is free
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	failed := make(chan error, 1)
	ports := health.NewNodePorts(health.NodePortsConfig{
		Healthy:        func() bool { return true },
		Addresses:      parsed(t, "127.0.0.0/8"),
		OnListenFailed: func(_ services.Name, _ uint16, err error) { failed <- err },
	})
	store := services.NewStore("this", time.Time{})
	ports.Follow(store, "this")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); ports.Run(ctx) }()
	c := &checked{T: t, store: store}
	_, err = c.store.SetService(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.5",
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, HealthCheckNodePort: int32(netip.MustParseAddrPort(at).Port()),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.endpoints("web", 1, 0)
	if err := <-failed; !strings.Contains(err.Error(), at) {
		t.Errorf("the port is taken: %v", err)
	}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	answers := func(want bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at, nil)
			if err != nil {
				return false, err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return !want, nil
			}
			return want && response.StatusCode == 200, response.Body.Close()
		})
		if err != nil {
			t.Errorf("wait for an answer (%v): %v", want, err)
		}
	}
	answers(true)
	cancel()
	<-done
	answers(false)
}
