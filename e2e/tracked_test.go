// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/harness"
)

// tracked is a node whose HNS is compared with bulk Services at each change of it.
type tracked struct {
	*harness.World
	tracker *bulk.Tracker
}

func newTracked(t *testing.T, setup harness.Setup) *tracked {
	t.Helper()
	n := &tracked{tracker: bulk.NewTracker()}
	setup.Watch = n.tracker.Hear
	n.World = harness.New(t, plane, setup)
	return n
}

// start starts hnsproxy and waits until HNS holds the Services, which it returns the time of, and nothing is left to do.
func (n *tracked) start(services []*bulk.Service) time.Duration {
	n.tracker.Want(services...)
	begun := time.Now()
	n.StartProxy()
	n.programmed()
	took := time.Since(begun)
	n.Converge()
	return took
}

// programmed waits until HNS holds the Services. It costs the API server nothing, as Converge does.
func (n *tracked) programmed() {
	n.Eventually("program all Services", func() bool { return n.tracker.Missing() == 0 })
}

// bulkServices writes Services whose endpoints are all on another node, and returns them with the one that the API server keeps,
// which comes last. NextIP goes on with their addresses.
func bulkServices(t *testing.T, namespace string, count, endpoints int) (cluster *bulk.Cluster, services []*bulk.Service, nextIP func() netip.Addr) {
	t.Helper()
	last := netip.MustParseAddr("10.128.0.0")
	nextIP = func() netip.Addr {
		last = last.Next()
		return last
	}
	var specs []bulk.Spec
	for i := range count {
		spec := bulk.Spec{Object: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("service-%d", i)},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
		}}
		for range endpoints {
			spec.Endpoints = append(spec.Endpoints, bulk.Endpoint{IP: nextIP()})
		}
		specs = append(specs, spec)
	}
	cluster = bulk.NewCluster(plane.Admin)
	services, err := cluster.Add(t.Context(), specs...)
	must(t, err)
	kubernetes, err := bulk.Find(t.Context(), plane.Admin, metav1.NamespaceDefault, "kubernetes")
	must(t, err)
	return cluster, append(services, kubernetes), nextIP
}
