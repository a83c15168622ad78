// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// cluster is a cluster of equal Services with remote endpoints.
type cluster struct {
	services, endpoints int
	// generation of each Service's first endpoint; a replaced one gets a new address.
	generation []int
}

func newCluster(services, endpoints int) *cluster {
	return &cluster{services: services, endpoints: endpoints, generation: make([]int, services)}
}

func (c *cluster) service(i int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bench", Name: fmt.Sprint("service-", i), CreationTimestamp: metav1.Unix(int64(i), 0)},
		Spec: corev1.ServiceSpec{
			ClusterIP: netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)}).String(),
			Ports:     []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
}

// slice returns the EndpointSlice of a Service as it is now.
func (c *cluster) slice(i int) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "bench", Name: fmt.Sprint("service-", i, "-x"), Labels: map[string]string{discoveryv1.LabelServiceName: fmt.Sprint("service-", i)}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}},
	}
	for e := range c.endpoints {
		generation := 0
		if e == 0 {
			generation = c.generation[i] % 2
		}
		n := (i*c.endpoints+e)*2 + generation
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}).String()},
			NodeName:  new(fmt.Sprint("node-", e%50)),
		})
	}
	return s
}

// replace gives the first endpoint of a Service a new address.
func (c *cluster) replace(i int) *discoveryv1.EndpointSlice {
	c.generation[i]++
	return c.slice(i)
}

// node is a running proxy on an emulator that holds the whole cluster.
type node struct {
	hns    *emulator.Emulator
	driver *countdown
	proxy  *proxier.Proxier
	stop   func()
}

// countdown lets a benchmark wait for a given number of writes.
type countdown struct {
	mu   sync.Mutex
	left int
	zero chan struct{}
}

// expect returns a channel that closes after that many more writes.
func (c *countdown) expect(writes int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.zero = writes, make(chan struct{})
	return c.zero
}

func (c *countdown) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		close(c.zero)
	}
}

// around counts the writes of d.
func (c *countdown) around(d hnslb.Driver) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, call hnslb.Call, next hnslb.Next) (any, error) {
		if call.Verb.IsWrite() {
			defer c.done()
		}
		return next(ctx)
	})
}

func newHNS(tb testing.TB, p profiles.Profile, l emulator.Latency, watch ...func(emulator.Serving)) *emulator.Emulator {
	tb.Helper()
	cfg := emulator.Config{Profile: p, Latency: l}
	for _, w := range watch {
		cfg.Watch = w
	}
	hns := emulator.New(cfg)
	_, err := hns.AddNetwork(emulator.NetworkSpec{Name: "pods", Type: "L2Bridge", ManagementIP: netip.MustParseAddr("10.0.0.4"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}})
	if err != nil {
		tb.Fatal(err)
	}
	return hns
}

// start makes a proxy that knows a cluster; run or coldStart start its loop. It audits once a day unless a change says otherwise.
func start(tb testing.TB, hns *emulator.Emulator, c *cluster, changes ...func(*proxier.Config)) *node {
	tb.Helper()
	n := &node{hns: hns, driver: &countdown{}}
	cfg := proxier.Config{
		Driver: n.driver.around(hns), Network: "pods", Node: services.Node{Name: "this"},
		AuditPeriod: 24 * time.Hour, Metrics: metrics.New(prometheus.NewRegistry()), Logger: klog.Logger{}, Clock: clock.RealClock{},
	}
	for _, change := range changes {
		change(&cfg)
	}
	var err error
	n.proxy, err = proxier.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range c.services {
		if _, err := n.proxy.Store().SetService(c.service(i)); err != nil {
			tb.Fatal(err)
		}
		if _, err := n.proxy.Store().SetSlice(nil, c.slice(i)); err != nil {
			tb.Fatal(err)
		}
	}
	return n
}

// run starts the loop. stop ends it and waits for it.
func (n *node) run() {
	stop := proxiertest.Start(n.proxy.Run)
	n.stop = func() { _ = stop() }
}

// coldStart runs the loop until HNS holds the whole cluster.
func (n *node) coldStart(c *cluster) {
	all := n.driver.expect(c.services * (c.endpoints + 1))
	n.run()
	<-all
}

// settle waits until the loop has nothing to do.
func (n *node) settle() {
	for !n.proxy.Idle() {
		<-time.After(time.Millisecond)
	}
}
