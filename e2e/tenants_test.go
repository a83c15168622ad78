// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const (
	// shopIP is a cluster IP of the part of the range from which the API server takes none by itself.
	shopIP = "10.96.0.77"
	// kubernetesIP is that of the Service of the API server.
	kubernetesIP = "10.96.0.1"
	// intruder is the Service that wants what others have.
	intruder = "intruder"
	// perAudit is how often HNS's library may be called for one comparison with HNS: thirty times a minute, in which there are two.
	perAudit = 15
)

// tenantSetups are each kind of network, without and with load balancers that can be changed in place.
func tenantSetups() []harness.Setup {
	setups := []harness.Setup{{Profile: profiles.WS2025()}, {Profile: profiles.WS2022(), Overlay: true}}
	for i := range setups {
		setups[i].SyncPeriod = time.Second // comparing HNS often must change nothing
	}
	return bothWays(setups...)
}

// contest is about the cluster IP of one Service, which another Service in the namespace of the World has as an external IP.
type contest struct {
	*harness.World
	t *testing.T
	// owner is the owner's namespace, name that of its Service, group its Pods, ip the address, packets go to each port of it.
	owner   *harness.World
	name    string
	group   *kubelet.Group
	ip      string
	ports   []corev1.ServicePort
	packets []emulator.Packet
	// strangers are the Pods of the other Service.
	strangers *kubelet.Group
	proxy     *harness.Proxy
}

func newContest(t *testing.T, setup harness.Setup, namespace, name, ip string, ports []corev1.ServicePort) *contest {
	t.Helper()
	w := harness.New(t, plane, setup)
	c := &contest{World: w, t: t, owner: w.In(namespace), name: name, ip: ip, ports: ports}
	c.group, c.strangers = c.owner.Group(name, 2, w.Node, w.Peer), w.Group(intruder, 1, w.Peer)
	client := harness.FromPod(w.Pod("client", w.Node))
	for _, p := range ports {
		packet := harness.TCP(client, ip, p.Port)
		if p.Protocol == corev1.ProtocolUDP {
			packet = harness.UDP(client, ip, p.Port)
		}
		c.packets = append(c.packets, packet)
	}
	c.proxy = w.StartProxy()
	return c
}

// own makes the Service that has the cluster IP, and waits until it is served.
func (c *contest) own() {
	c.t.Helper()
	c.owner.Service(c.name, func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.Ports = c.ip, c.ports })
	c.Converge()
	c.reach(c.group)
}

// claim makes the other Service with these external IPs.
func (c *contest) claim(ips ...string) {
	c.t.Helper()
	made := c.Service(intruder, func(s *corev1.Service) { s.Spec.ExternalIPs, s.Spec.Ports = ips, c.ports })
	// Creation times are in seconds.
	c.Eventually("be older than what comes next", func() bool { return time.Now().Unix() > made.CreationTimestamp.Unix() })
}

// intruderFirst lets the other Service be there before the owner. Until then it is served: the address is nobody else's.
func (c *contest) intruderFirst() {
	c.t.Helper()
	c.claim(c.ip)
	c.Converge()
	c.reach(c.strangers)
	c.own()
	c.HNS.ResetDark()
}

// ownerFirst lets the owner be there before an older Service begins to claim its address.
func (c *contest) ownerFirst() {
	c.t.Helper()
	c.claim()
	c.own()
	c.HNS.ResetDark()
	c.UpdateService(intruder, func(s *corev1.Service) { s.Spec.ExternalIPs = []string{c.ip} })
	c.Fence()
	c.Converge()
}

// owned holds that the owner has its address, that users of the other Service are told, and that a restart changes nothing.
func (c *contest) owned() {
	c.t.Helper()
	c.reach(c.group)
	c.NeverDark(c.packets...)
	told(c.t, c.World, intruder, "FrontendConflict", "cluster IP", c.owner.Namespace+"/"+c.name)
	if n := c.blocked(); n != len(c.packets) {
		c.t.Errorf("%d frontends are blocked by a conflict, want %d", n, len(c.packets))
	}
	c.proxy = restart(c.t, c.World, c.proxy)
	c.reach(c.group)
	if n := c.blocked(); n != len(c.packets) {
		c.t.Errorf("%d frontends are blocked by a conflict after a restart, want %d", n, len(c.packets))
	}
}

func (c *contest) blocked() int {
	return int(c.proxy.Metrics().Value("hnsproxy_frontends_limited", "state", "blocked", "reason", "FrontendConflict"))
}

// reach holds that the address leads to all Pods of a group and to nobody else, on each port.
func (c *contest) reach(group *kubelet.Group) {
	c.t.Helper()
	for i, packet := range c.packets {
		var want []string
		for _, pod := range group.Pods() {
			want = append(want, at(pod, uint16(c.ports[i].TargetPort.IntVal)))
		}
		c.Reaches(packet, want...)
	}
}

func (c *contest) lost() {
	c.t.Helper()
	for _, packet := range c.packets {
		c.Lost(packet)
	}
}

// trap watches from now on for packets that reach the other Service's Pods. The result ends that, and holds that there were none.
func (c *contest) trap() (end func()) {
	c.t.Helper()
	var strangers []string
	for _, pod := range c.strangers.Pods() {
		strangers = append(strangers, at(pod, uint16(c.ports[0].TargetPort.IntVal)))
	}
	traffic := c.Trap(strangers, c.packets...)
	return func() {
		c.t.Helper()
		if _, trapped := traffic.Stop(); len(trapped) > 0 {
			c.t.Errorf("%d packets reached the intruder, such as %s", len(trapped), trapped[0])
		}
	}
}

// TestClusterIPAsExternalIP has a Service whose external IP is the cluster IP of a younger Service in another namespace. Who
// was given the address has it, whoever came first; the other Service's users are told, and it is served when the owner goes.
func TestClusterIPAsExternalIP(t *testing.T) {
	for _, setup := range tenantSetups() {
		t.Run(setup.String(), func(t *testing.T) {
			c := newContest(t, setup, plane.Namespace(t), "shop", shopIP,
				[]corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(8080)}})
			for _, arrive := range []func(){c.intruderFirst, c.ownerFirst} {
				arrive()
				end := c.trap()
				c.owned()

				t.Log("the owner has no Pods for a while, and keeps its address")
				c.Must(c.group.Scale(t.Context(), 0))
				c.Converge()
				c.lost()
				c.Must(c.group.Scale(t.Context(), 2))
				c.Converge()
				c.reach(c.group)
				end()

				t.Log("the owner goes, and comes back")
				c.owner.DeleteService("shop")
				c.Converge()
				c.reach(c.strangers)
				c.own()

				c.owner.DeleteService("shop")
				c.DeleteService(intruder)
				c.Converge()
			}
		})
	}
}

// TestClusterDNSMadeAnew deletes cluster DNS and makes it anew, as an upgrade does, while another Service has its address as an
// external IP. In between nobody answers for it.
func TestClusterDNSMadeAnew(t *testing.T) {
	for _, setup := range tenantSetups() {
		t.Run(setup.String(), func(t *testing.T) {
			emptySystem(t)
			c := newContest(t, setup, metav1.NamespaceSystem, "kube-dns", dnsIP, []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
				{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
			})
			for _, arrive := range []func(){c.intruderFirst, c.ownerFirst} {
				arrive()
				end := c.trap()
				c.owned()

				c.owner.DeleteService("kube-dns")
				c.Fence()
				c.lost()
				t.Log("the other Service changes meanwhile")
				c.UpdateService(intruder, func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP })
				c.Fence()
				c.lost()
				if n := c.blocked(); n != len(c.packets) {
					t.Errorf("%d frontends are blocked while cluster DNS is away, want %d", n, len(c.packets))
				}
				c.own()
				end()

				c.DeleteService(intruder)
				c.owner.DeleteService("kube-dns")
				c.Converge()
			}
		})
	}
}

// TestSliceNamesVIPs has an EndpointSlice that names the VIPs of Services, the source VIP, and addresses that the network plugin
// has or may yet give to Pods. Their owners keep what they have, and what else it names is served. Then HNS is left in peace.
func TestSliceNamesVIPs(t *testing.T) {
	for _, setup := range tenantSetups() {
		if setup.Overlay && setup.Exe != nil {
			setup.SyncPeriod = 20 * time.Second // what would be tried again only after a while is to show once
		}
		t.Run(setup.String(), func(t *testing.T) { sliceNamesVIPs(t, setup) })
	}
}

func sliceNamesVIPs(t *testing.T, setup harness.Setup) {
	t.Helper()
	w := harness.New(t, plane, setup)
	owner := w.In(plane.Namespace(t))
	shop := owner.Group("shop", 2, w.Node, w.Peer).Pods()
	local, remote := w.Pod("client", w.Node), w.Group("remote", 1, w.Peer).Pods()[0]
	owned := harness.TCP(harness.FromPod(local), shopIP, 80)
	kubernetes := harness.TCP(harness.FromPod(local), kubernetesIP, 443)
	var slice string
	own := func() {
		owner.Service("shop", func(s *corev1.Service) { s.Spec.ClusterIP = shopIP })
		w.Converge()
		w.HNS.ResetDark()
	}
	intrude := func() {
		service := w.Service(intruder, func(s *corev1.Service) { s.Spec.Selector = nil })
		slice = w.Slice(intruder, endpointsOn(w.Peer, namedAddresses(setup, service, local, remote)...)...).Name
		w.Converge()
	}
	served := func() {
		t.Helper()
		w.Reaches(owned, at(shop[0], 8080), at(shop[1], 8080))
		w.Reaches(harness.TCP(harness.FromPod(shop[0]), w.Get(intruder).Spec.ClusterIP, 80), at(local, 8080), at(remote, 8080))
	}
	proxy := w.StartProxy()
	for i, arrival := range [][]func(){{intrude, own}, {own, intrude}} {
		for _, arrive := range arrival {
			arrive()
		}
		served()
		w.NeverDark(owned, kubernetes)
		words := []string{"Service default/kubernetes", "Service " + owner.Namespace + "/shop", "Service " + w.Namespace + "/" + intruder}
		if setup.Overlay {
			words = append(words, "source VIP of this node", "10.244.1.77 (in this node's pod subnet")
		}
		told(t, w, intruder, "EndpointAddressTaken", words...)
		proxy = restart(t, w, proxy)
		served()
		if i == 0 || setup.SyncPeriod == time.Second {
			quiet(t, w)
		}

		w.HNS.ResetDark()
		w.DeleteService(intruder)
		w.Must(plane.Admin.DiscoveryV1().EndpointSlices(w.Namespace).Delete(t.Context(), slice, metav1.DeleteOptions{}))
		w.Converge()
		w.NeverDark(owned, kubernetes)
		owner.DeleteService("shop")
		w.Converge()
	}
}

// namedAddresses are those of others that a slice may name, and two Pods: one here, and one on another node.
func namedAddresses(setup harness.Setup, own *corev1.Service, local, remote *corev1.Pod) []string {
	named := []string{kubernetesIP, shopIP, own.Spec.ClusterIP, local.Status.PodIP, remote.Status.PodIP}
	if setup.Overlay {
		named = append(named, harness.SourceVIP, "10.244.1.77")
	}
	return named
}

// TestRefusedAddresses has Services with endpoints and VIPs that no host has, as far as the API server lets them through. They
// are not programmed, users are told of each, and the rest is served.
func TestRefusedAddresses(t *testing.T) {
	for _, setup := range tenantSetups() {
		t.Run(setup.String(), func(t *testing.T) { refusedAddresses(t, setup) })
	}
}

func refusedAddresses(t *testing.T, setup harness.Setup) {
	t.Helper()
	endpoints := []string{"0.1.2.3", "239.1.1.1", "240.0.0.1", "255.255.255.255"}
	external, ingress := []string{"240.0.0.1", "255.255.255.255"}, []string{"0.0.0.0", "127.0.0.1", "169.254.169.254"}
	w := harness.New(t, plane, setup)
	client, backend := harness.FromPod(w.Pod("client", w.Node)), w.Group("backend", 1, w.Peer).Pods()[0]
	service := w.Service(intruder, func(s *corev1.Service) {
		s.Spec.Type, s.Spec.Selector, s.Spec.ExternalIPs = corev1.ServiceTypeLoadBalancer, nil, append(external, "198.51.100.80")
	})
	var ingresses []corev1.LoadBalancerIngress
	for _, ip := range append(ingress, balancerIP) {
		ingresses = append(ingresses, corev1.LoadBalancerIngress{IP: ip})
	}
	w.Must(plane.SetIngress(t.Context(), w.Namespace, intruder, ingresses...))
	w.Slice(intruder, endpointsOn(w.Peer, append(endpoints, backend.Status.PodIP)...)...)
	served := func() {
		t.Helper()
		for _, vip := range []string{service.Spec.ClusterIP, "198.51.100.80", balancerIP} {
			w.Reaches(harness.TCP(client, vip, 80), at(backend, 8080))
		}
	}
	proxy := w.StartProxy()
	w.Converge()
	served()
	var vips, left []string
	for _, ip := range slices.Concat(external, ingress) {
		w.Lost(harness.TCP(client, ip, 80))
		vips = append(vips, ip+" is not a valid Service address")
	}
	for i, why := range []string{"unspecified address", "multicast address", "reserved range 240.0.0.0/4", "broadcast address"} {
		left = append(left, fmt.Sprintf("%s (%s)", endpoints[i], why))
	}
	told(t, w, intruder, "VIPAddressRefused", vips...)
	told(t, w, intruder, "EndpointAddressRefused", left...)

	t.Log("a Service that is served gets such an address")
	w.Service("late", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "backend"} })
	w.Converge()
	w.HNS.ResetDark()
	w.UpdateService("late", func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"239.1.1.1"} })
	told(t, w, "late", "VIPAddressRefused", "239.1.1.1:80/TCP: 239.1.1.1 is not a valid Service address")
	w.Converge()
	w.NeverDark()
	restart(t, w, proxy)
	served()
}

// endpointsOn are endpoints on a node.
func endpointsOn(node string, ips ...string) []discoveryv1.Endpoint {
	var out []discoveryv1.Endpoint
	for _, ip := range ips {
		out = append(out, discoveryv1.Endpoint{Addresses: []string{ip}, NodeName: &node})
	}
	return out
}

// told waits for an Event on a Service with a reason and words.
func told(t *testing.T, w *harness.World, service, reason string, words ...string) {
	t.Helper()
	w.Eventually("tell "+reason+": "+strings.Join(words, ", "), func() bool {
		return slices.ContainsFunc(eventsOf(t, w, w.Namespace, service), func(e eventsv1.Event) bool {
			return e.Reason == reason && e.Type == corev1.EventTypeWarning &&
				!slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(e.Note, word) })
		})
	})
}

// restart restarts hnsproxy. It finds HNS as it must be: nothing is written, nothing is ever dark.
func restart(t *testing.T, w *harness.World, proxy *harness.Proxy) *harness.Proxy {
	t.Helper()
	w.HNS.ResetDark()
	w.HNS.ResetCounts()
	proxy.Stop()
	proxy = w.StartProxy()
	w.Converge()
	if w.Writes() > 0 {
		t.Errorf("a restart writes to HNS: %v", w.HNS.Counts())
	}
	w.NeverDark()
	return proxy
}

// quiet holds that HNS is compared, and not called for anything else.
func quiet(t *testing.T, w *harness.World) {
	t.Helper()
	w.HNS.ResetCounts()
	before := w.Called()
	w.Eventually("compare HNS", func() bool { return w.HNS.Counts()[hnslb.VerbLoadBalancers] > 0 })
	w.Converge()
	calls, counts := w.Called()-before, w.HNS.Counts()
	// One more may have been on its way in the beginning.
	audits := counts[hnslb.VerbLoadBalancers] + 1
	// HNS is asked for the network every 15 s while it tells of its changes, and more often until the watch stands.
	const heartbeats = 4
	if calls > perAudit*audits {
		t.Errorf("%d calls of HNS for %d comparisons: %v", calls, audits, counts)
	}
	for verb, n := range counts {
		most := audits
		if verb == hnslb.VerbNetwork {
			most += heartbeats
		}
		if verb.IsWrite() || n > most {
			t.Errorf("%d calls %s of a quiet HNS: %v", n, verb, counts)
		}
	}
}
