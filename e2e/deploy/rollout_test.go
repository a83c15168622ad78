// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

// rollout is a cluster of Windows nodes that run the DaemonSet of the chart, each hnsproxy.exe under Wine on an HNS of its own.
type rollout struct {
	*testing.T
	nodes   []*node
	cluster *bulk.Cluster
	moving  *bulk.Service
	all     []*bulk.Service
}

// values are those of the chart but for the image: a configuration as kubeadm's, and no time to wait between nodes.
func (r *rollout) values(tag string) string {
	r.Helper()
	kubeconfig, err := plane.Kubeconfig(r.Context(), controlplane.ServiceAccount(namespace, "hnsproxy"))
	must(r.T, err)
	return fmt.Sprintf(`
nodes: all
minReadySeconds: 1
image: {tag: %s}
config:
  healthzBindAddress: 0.0.0.0:10256
  metricsBindAddress: 0.0.0.0:10249
  clientConnection: {kubeconfig: %s}
  winkernel: {enableDSR: true, networkName: %s}
`, tag, kubeconfig, network)
}

// TestRollout updates the DaemonSet by `helm upgrade` to another image. Node after node gets a new Pod, the new process writes
// nothing to HNS, no frontend is dark on any node, and what changes afterwards reaches all of them.
func TestRollout(t *testing.T) {
	r := newRollout(t, 3)
	t.Cleanup(func() { removeAll(t) })
	createAccount(t)
	install(t, r.values("v1"), action.DryRunNone)
	r.until("hnsproxy v1 on all nodes", func() (bool, string) { return r.done("v1", 1) })
	first := r.pods()
	for _, n := range r.nodes {
		n.hns.ResetCounts()
		n.hns.ResetDark()
	}

	upgrade := action.NewUpgrade(helm(t))
	upgrade.Namespace, upgrade.WaitStrategy = namespace, kube.HookOnlyStrategy
	_, err := upgrade.RunWithContext(t.Context(), "hnsproxy", loadChart(t), parse(t, r.values("v2")))
	must(t, err)
	r.until("hnsproxy v2 on all nodes", func() (bool, string) {
		r.atMostOneAway()
		return r.done("v2", 2)
	})
	for name := range r.pods() {
		if _, old := first[name]; old {
			t.Errorf("Pod %s was not replaced", name)
		}
	}
	for _, n := range r.nodes {
		r.untouched(n)
	}

	moved := bulk.Endpoint{IP: netip.MustParseAddr("10.244.9.99")}
	for _, n := range r.nodes {
		n.tracker.Expect(r.moving, r.moving.Backends()[0], moved.IP)
	}
	must(t, r.cluster.Replace(t.Context(), r.moving, 0, moved))
	r.until("a change to reach all nodes", func() (bool, string) { return r.programmed() })
}

// createAccount makes the ServiceAccount before the chart does, so that a token can be had for it, as the chart would.
func createAccount(t *testing.T) {
	t.Helper()
	_, err := plane.Admin.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: "hnsproxy", Labels: map[string]string{"app.kubernetes.io/name": "hnsproxy", "app.kubernetes.io/managed-by": "Helm"},
		Annotations: map[string]string{"meta.helm.sh/release-name": "hnsproxy", "meta.helm.sh/release-namespace": namespace},
	}}, metav1.CreateOptions{})
	must(t, err)
}

func newRollout(t *testing.T, count int) *rollout {
	t.Helper()
	must(t, winlab.Prepare(t.Context()))
	exe, err := program.Hnsproxy(t.Context(), t.TempDir())
	must(t, err)
	r := &rollout{T: t, cluster: bulk.NewCluster(plane.Admin)}
	for i := range count {
		r.nodes = append(r.nodes, newNode(t, i+1, exe))
	}
	r.populate()
	return r
}

// populate makes Services with a backend on each node and some elsewhere.
func (r *rollout) populate() {
	r.Helper()
	work := plane.Namespace(r.T)
	var endpoints []bulk.Endpoint
	for i, n := range r.nodes {
		endpoints = append(endpoints, bulk.Endpoint{IP: n.pod, Node: n.name}, bulk.Endpoint{IP: netip.AddrFrom4([4]byte{10, 244, 9, byte(i + 1)})})
	}
	var specs []bulk.Spec
	for i := range 10 {
		s := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: work, Name: fmt.Sprintf("web-%d", i)},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
		}
		if i%2 == 1 {
			s.Spec.Type = corev1.ServiceTypeNodePort
		}
		specs = append(specs, bulk.Spec{Object: s, Endpoints: endpoints})
	}
	moving := specs[0].Object.DeepCopy()
	moving.Name = "moving"
	specs = append(specs, bulk.Spec{Object: moving, Endpoints: []bulk.Endpoint{{IP: netip.MustParseAddr("10.244.9.98")}}})
	made, err := r.cluster.Add(r.Context(), specs...)
	must(r.T, err)
	r.all, r.moving = made, made[len(made)-1]
	for _, n := range r.nodes {
		n.tracker.Want(r.all...)
	}
}

// until plays scheduler and kubelets until something has come about; how far it is else is said when it does not.
func (r *rollout) until(what string, done func() (bool, string)) {
	r.Helper()
	far := ""
	err := wait.PollUntilContextTimeout(r.Context(), 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (ok bool, err error) {
		for _, n := range r.nodes {
			if err := n.step(ctx); err != nil {
				return false, err
			}
		}
		ok, far = done()
		return ok, nil
	})
	if err != nil {
		for _, n := range r.nodes {
			r.Log(n.name, n.tail())
		}
		r.Fatalf("waited for %s: %v: %s", what, err, far)
	}
}

func (r *rollout) daemonSet() *appsv1.DaemonSet {
	r.Helper()
	ds, err := plane.Admin.AppsV1().DaemonSets(namespace).Get(r.Context(), "hnsproxy", metav1.GetOptions{})
	must(r.T, err)
	return ds
}

// done tells whether a generation of the DaemonSet is rolled out, as `kubectl rollout status` does, and HNS is as it must be.
func (r *rollout) done(tag string, generation int64) (ok bool, far string) {
	r.Helper()
	ds, want := r.daemonSet(), int32(len(r.nodes)) //nolint:gosec // three
	s := ds.Status
	rolled := s.ObservedGeneration >= generation && s.UpdatedNumberScheduled == want && s.NumberAvailable == want
	images := slices.Collect(maps.Values(r.pods()))
	rolled = rolled && len(images) == len(r.nodes) && !slices.ContainsFunc(images, func(image string) bool { return !strings.HasSuffix(image, ":"+tag) })
	programmed, missing := r.programmed()
	return rolled && programmed, fmt.Sprintf("status %+v, images %v, %s", s, images, missing)
}

// pods are the images of the Pods by their names.
func (r *rollout) pods() map[string]string {
	r.Helper()
	pods, err := plane.Admin.CoreV1().Pods(namespace).List(r.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=hnsproxy"})
	must(r.T, err)
	images := map[string]string{}
	for _, p := range pods.Items {
		images[p.Name] = p.Spec.Containers[0].Image
	}
	return images
}

// programmed tells whether HNS on all nodes holds what it must.
func (r *rollout) programmed() (ok bool, far string) {
	missing := 0
	for _, n := range r.nodes {
		missing += n.tracker.Missing()
	}
	return missing == 0, fmt.Sprintf("%d frontends missing", missing)
}

// atMostOneAway says that the DaemonSet takes no node before the last one is back.
func (r *rollout) atMostOneAway() {
	r.Helper()
	away := 0
	for _, n := range r.nodes {
		if !n.ready {
			away++
		}
	}
	if away > 1 {
		r.Fatalf("%d nodes have no hnsproxy that is ready", away)
	}
}

// untouched says that nothing was written to the HNS of a node, though it was read anew, and that nothing was dark.
func (r *rollout) untouched(n *node) {
	r.Helper()
	counts := n.hns.Counts()
	for verb, count := range counts {
		if verb.IsWrite() && count > 0 {
			r.Errorf("%s: %s was called %d times, want no write", n.name, verb, count)
		}
	}
	if counts[hnslb.VerbLoadBalancers] == 0 {
		r.Errorf("%s: the new process did not ask for load balancers: %v", n.name, counts)
	}
	if n.started != 2 {
		r.Errorf("%s: hnsproxy.exe was started %d times, want twice", n.name, n.started)
	}
	if key, dark, ok := n.hns.WorstDark(); ok {
		r.Errorf("%s: %s was dark %d times, for %v at worst", n.name, key, dark.Times, dark.Longest)
	}
	for key, since := range n.hns.StillDark() {
		r.Errorf("%s: %s has been dark for %v", n.name, key, since)
	}
}
