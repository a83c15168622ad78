// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const (
	pollInterval = 50 * time.Millisecond
	// patience is for kube-proxy on an overlay, which sleeps for ten seconds per IP family before it begins.
	patience = 3 * time.Minute
	nodeName = "win-node-1"
	network  = "pods"
)

// node is a Windows node with a control plane of its own, and Services of all kinds.
type node struct {
	*winlab.Service
	tb       testing.TB
	plane    *controlplane.ControlPlane
	tracker  *bulk.Tracker
	cluster  *bulk.Cluster
	services map[string]*bulk.Service
	host     program.Host
	// overlay is the type of the network, dualStack whether it carries IPv6 too.
	overlay, dualStack bool
}

// programs makes the lab and both programs, or finds them made.
func programs(t *testing.T) (kubeProxy, hnsproxy program.Program) {
	t.Helper()
	err := winlab.Prepare(t.Context())
	if err == nil {
		kubeProxy, err = program.KubeProxy(t.Context())
	}
	if err == nil {
		hnsproxy, err = program.Hnsproxy(t.Context(), t.TempDir())
	}
	if err != nil {
		t.Fatal(err)
	}
	return kubeProxy, hnsproxy
}

func newNode(t *testing.T, profile profiles.Profile, overlay bool) *node {
	t.Helper()
	n := &node{tb: t, plane: controlplane.New(t), tracker: bulk.NewTracker(), services: map[string]*bulk.Service{}, overlay: overlay}
	n.dualStack = !overlay && hnslb.FeaturesOf(profile.Version).IPv6
	n.cluster = bulk.NewCluster(n.plane.Admin)
	e := emulator.New(emulator.Config{Profile: profile, Watch: n.tracker.Hear})
	networkType := "L2Bridge"
	if overlay {
		networkType = hnslb.NetworkOverlay
	}
	spec, err := winlab.Network(network, networkType)
	n.must(err)
	if overlay {
		spec.ManagementIPv6, spec.Subnets = netip.Addr{}, spec.Subnets[:1]
		spec.Remotes = []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.6")}}
		n.host.SourceVIP = "10.244.1.254"
	}
	_, err = e.AddNetwork(spec)
	n.must(err)
	_, err = e.AddLocalEndpoint(network, netip.MustParseAddr(localPod))
	n.must(err)
	ips := []netip.Addr{spec.ManagementIP}
	if !overlay {
		ips = append(ips, spec.ManagementIPv6)
	}
	_, err = kubelet.New(n.plane.Admin).AddNode(t.Context(), kubelet.Node{
		Name: nodeName, OS: "windows", InternalIPs: ips, PodCIDRs: spec.Subnets,
	})
	n.must(err)
	n.Service, err = winlab.Serve(e)
	n.must(err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	n.host.HNS, n.host.Node, n.host.Network, n.host.Dir = n.Service, nodeName, network, t.TempDir()
	n.host.Kubeconfig, err = n.plane.Kubeconfig(t.Context(), controlplane.Admin)
	n.must(err)
	n.populate(t.Context())
	return n
}

func (n *node) must(err error) {
	n.tb.Helper()
	if err != nil {
		n.tb.Fatal(err)
	}
}

// otherNode has the Pods that do not run on the node.
const otherNode = "win-node-2"

// localPod is the address of the one Pod that runs on the node.
const localPod = "10.244.1.5"

// populate makes Services of all kinds. No two share an endpoint that is not local.
func (n *node) populate(ctx context.Context) {
	n.tb.Helper()
	remote := netip.MustParseAddr("10.244.2.1")
	far := func(count int) (all []bulk.Endpoint) {
		for range count {
			remote = remote.Next()
			all = append(all, bulk.Endpoint{IP: remote, Node: otherNode})
		}
		return all
	}
	local := bulk.Endpoint{IP: netip.MustParseAddr(localPod), Node: nodeName}
	specs := []bulk.Spec{
		spec("plain", far(3)),
		spec("local-too", append(far(2), local)),
		spec("gone", far(3)),
		spec("udp", far(2), func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }),
		spec("two-ports", far(2), func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "https", Port: 443, TargetPort: intstr.FromInt32(8443)})
		}),
		spec("affinity", far(2), func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }),
		spec("external-ip", far(2), func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"198.51.100.7"} }),
		spec("node-port", append(far(2), local), func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }),
		spec("internal-local", []bulk.Endpoint{local}, func(s *corev1.Service) {
			policy := corev1.ServiceInternalTrafficPolicyLocal
			s.Spec.InternalTrafficPolicy = &policy
		}),
		spec("ingress", far(2), loadBalancer("203.0.113.10")),
		spec("ingress-local", []bulk.Endpoint{local}, loadBalancer("203.0.113.11"), func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}),
	}
	if n.dualStack {
		specs = append(specs, spec("six", []bulk.Endpoint{
			{IP: netip.MustParseAddr("fd00:244:2::2")}, {IP: netip.MustParseAddr("fd00:244:2::3")},
		}, func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }))
	}
	made, err := n.cluster.Add(ctx, specs...)
	n.must(err)
	kubernetes, err := bulk.Find(ctx, n.plane.Admin, metav1.NamespaceDefault, "kubernetes")
	n.must(err)
	for _, s := range append(made, kubernetes) {
		n.services[s.Object.Name] = s
		n.tracker.Want(s)
	}
}

func spec(name string, endpoints []bulk.Endpoint, changes ...func(*corev1.Service)) bulk.Spec {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}
	for _, change := range changes {
		change(s)
	}
	return bulk.Spec{Object: s, Endpoints: endpoints}
}

func loadBalancer(ingress string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.Type = corev1.ServiceTypeLoadBalancer
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ingress}}
	}
}

// delete deletes a Service, which has no frontends but its cluster IP and no local endpoints. It returns the addresses that go.
func (n *node) delete(name string) []netip.Addr {
	n.tb.Helper()
	s := n.services[name]
	n.tracker.Forget(s)
	n.must(n.cluster.Delete(n.tb.Context(), s))
	gone := s.Backends()
	for _, k := range s.Frontends() {
		n.ForgetDark(k)
		gone = append(gone, k.VIP)
	}
	return gone
}

// start starts a program and returns when it has brought HNS to what it must be and made its first sync.
func (n *node) start(p program.Program) *program.Running {
	n.tb.Helper()
	r, err := p.Start(n.tb.Context(), n.host)
	n.must(err)
	n.tb.Cleanup(r.Kill)
	n.poll(r, func() (bool, string) {
		syncs, err := r.Syncs(n.tb.Context())
		n.must(err)
		return n.tracker.Missing() == 0 && syncs > 0, fmt.Sprintf("%d frontends missing after %d syncs", n.tracker.Missing(), syncs)
	})
	n.quiet(2 * time.Second)
	return r
}

// poll waits until a program has come so far; how far it is else is said when it does not.
func (n *node) poll(r *program.Running, done func() (ok bool, far string)) {
	n.tb.Helper()
	var last string
	err := wait.PollUntilContextTimeout(n.tb.Context(), pollInterval, patience, true, func(context.Context) (ok bool, err error) {
		ok, last = done()
		return ok, nil
	})
	if err != nil {
		n.tb.Fatalf("%v: %s\n%s\nits log ends with:\n%s", err, last, n.Dump(), r.Tail(30))
	}
}

// quiet returns when HNS has not been called for a while.
func (n *node) quiet(while time.Duration) {
	n.tb.Helper()
	before, since := -1, time.Now()
	n.must(wait.PollUntilContextTimeout(n.tb.Context(), pollInterval, patience, true, func(context.Context) (bool, error) {
		calls := 0
		for _, count := range n.Server.Calls() {
			calls += count
		}
		if calls != before {
			before, since = calls, time.Now()
		}
		return time.Since(since) >= while, nil
	}))
}

// reset starts counts and dark times anew.
func (n *node) reset() {
	n.ResetCounts()
	n.ResetDark()
}

// writes returns how often HNS was written since reset, by verb.
func (n *node) writes() map[hnslb.Verb]int {
	writes := map[hnslb.Verb]int{}
	for verb, count := range n.Counts() {
		if verb.IsWrite() {
			writes[verb] = count
		}
	}
	return writes
}

// neverDark says that no frontend that served somebody ceased to, since reset.
func (n *node) neverDark() {
	n.tb.Helper()
	if key, dark, ok := n.WorstDark(); ok {
		n.tb.Errorf("%s was dark %d times, for %v at worst", key, dark.Times, dark.Longest)
	}
	for key, since := range n.StillDark() {
		n.tb.Errorf("%s has been dark for %v", key, since)
	}
}

// complaints are the errors that a program has logged, without when and where.
func (n *node) complaints(r *program.Running) []string {
	n.tb.Helper()
	lines, err := r.Errors()
	n.must(err)
	var words []string
	for _, line := range lines {
		if _, text, ok := strings.Cut(line, "] "); ok {
			line = text
		}
		words = append(words, line)
	}
	return words
}
