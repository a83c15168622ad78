// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
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

// A proxier needs a driver, the name of a network, and a Store that somebody fills. In the
// program these are HNS and informers, here an emulator and two objects.
func Example() {
	hns := emulator.New(emulator.Config{Profile: profiles.WS2022()})
	if _, err := hns.AddNetwork(emulator.NetworkSpec{
		Name: "pods", ManagementIP: netip.MustParseAddr("10.0.0.4"), Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
	}); err != nil {
		log.Fatal(err)
	}
	done := make(caughtUp, 1)
	proxy, err := proxier.New(proxier.Config{
		Driver: hns, Network: "pods", Node: services.Node{Name: "this"},
		AuditPeriod: 30 * time.Second,
		Metrics:     metrics.New(prometheus.NewRegistry()),
		Health:      done,
		Logger:      klog.Logger{},
		Clock:       clock.RealClock{},
	})
	if err != nil {
		log.Fatal(err)
	}

	// What the store does not have when Run begins counts as deleted.
	service, slice := webService()
	if _, err := proxy.Store().SetService(service); err != nil {
		log.Fatal(err)
	}
	if _, err := proxy.Store().SetSlice(nil, slice); err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- proxy.Run(ctx) }()

	<-done
	for _, row := range proxy.Table().Rows() {
		_, _ = fmt.Fprintln(os.Stdout, row.Frontend.Service, row.Frontend.Kind, "is", row.State)
	}
	stop()
	if err := <-stopped; err != nil {
		log.Fatal(err)
	}
	printHNS(hns) // Stopping leaves HNS as it is.

	// Output:
	// default/web clusterip is programmed
	// HNS sends 10.96.0.10:80/TCP to 10.244.2.5 10.244.2.6
}

// New refuses a configuration that cannot work, and names everything that is wrong with it.
func ExampleNew_refused() {
	_, err := proxier.New(proxier.Config{
		Network: "pods",
		Share:   1.5,
		Metrics: metrics.New(prometheus.NewRegistry()),
		Clock:   clock.RealClock{},
	})
	_, _ = fmt.Fprintln(os.Stdout, err)

	// Output:
	// proxier: Driver is missing
	// proxier: AuditPeriod must be positive
	// proxier: Share must be from 0 to 1
}

// caughtUp is a proxier.Health that tells when all work is done.
type caughtUp chan struct{}

// Behind is part of proxier.Health.
func (caughtUp) Behind(hnslb.Family, time.Time, string) {}

// Updated is part of proxier.Health. It must not block.
func (c caughtUp) Updated(hnslb.Family) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// webService returns a Service, and an EndpointSlice with two pods of another node.
func webService() (*corev1.Service, *discoveryv1.EndpointSlice) {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.10", Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1",
			Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.244.2.5"}, NodeName: new("other")},
			{Addresses: []string{"10.244.2.6"}, NodeName: new("other")},
		},
		Ports: []discoveryv1.EndpointPort{{Port: new(int32(8080))}},
	}
	return service, slice
}

// printHNS prints the load balancers that HNS holds, with the addresses of their endpoints.
func printHNS(hns hnslb.Driver) {
	ctx := context.Background()
	endpoints, err := hns.Endpoints(ctx)
	if err != nil {
		log.Fatal(err)
	}
	ips := map[hnslb.ID]netip.Addr{}
	for _, e := range endpoints {
		ips[e.ID] = e.IPs[0]
	}
	balancers, err := hns.LoadBalancers(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, lb := range balancers {
		key, _ := lb.Key()
		line := fmt.Sprint("HNS sends ", key, " to")
		for _, id := range lb.Endpoints {
			line += " " + ips[id].String()
		}
		_, _ = fmt.Fprintln(os.Stdout, line)
	}
}
