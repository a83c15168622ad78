// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// TestTenants: whatever Services and EndpointSlices say, and whatever HNS held before, no
// VIP serves the endpoints of a Service that does not own it, everybody else is served, and
// what is written until HNS is quiet is bounded by what has to differ (law 12). All addresses
// come from one small pool, so that they meet in every role.
func TestTenants(t *testing.T) {
	for _, network := range []string{"L2Bridge", "Overlay"} {
		for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
			t.Run(network+"/"+profile.Name, func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(rt *rapid.T) {
					leftovers := rapid.SliceOfN(aLeftover(), 0, 6).Draw(rt, "leftovers")
					steps := rapid.SliceOfN(rapid.SliceOfN(aTenantAct(), 1, 4), 1, 8).Draw(rt, "steps")
					audit := rapid.SampledFrom([]time.Duration{30 * time.Second, 24 * time.Hour}).Draw(rt, "audit")
					var err error
					synctest.Test(t, func(t *testing.T) {
						w := newTenants(t, newWorld(t, network, profile, audit, 1), leftovers)
						for i, step := range steps {
							if i%3 == 2 {
								w.stop()
								w.start()
							}
							if err = w.live(step); err != nil {
								err = fmt.Errorf("step %d: %w", i, err)
								return
							}
						}
					})
					if err != nil {
						rt.Fatal(err)
					}
				})
			})
		}
	}
}

// pool are all addresses that anybody names.
func pool() []netip.Addr {
	var out []netip.Addr
	for _, text := range []string{
		"10.96.0.10", "10.96.0.11", "10.96.0.12", "10.96.0.13", // the cluster IPs of the four Services
		"10.244.1.11", "10.244.1.12", "10.244.1.13", // pods of this node; the last one has no endpoint
		"10.244.2.11", "10.244.2.12", // pods of another node
		"10.0.0.4", "10.0.0.5", // the nodes
		sourceVIP,
		"192.0.2.21", "203.0.113.1", // foreign
		"127.0.0.1", "169.254.169.254", "240.0.0.1", // nobody's
	} {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

const (
	podA, podB   = "10.244.1.11", "10.244.1.12"
	nodeAddress  = "10.0.0.4"
	otherAddress = "10.0.0.5"
)

// leftover is something that HNS holds before the first start.
type leftover struct {
	Addr int
	// HostMAC: the endpoint looks like that of a cluster IP, else like that of a backend.
	HostMAC bool
	// Frontend: a load balancer on the address that names all leftovers so far.
	Frontend bool
}

func aLeftover() *rapid.Generator[leftover] {
	return rapid.Custom(func(t *rapid.T) leftover {
		return leftover{rapid.IntRange(0, len(pool())-4).Draw(t, "addr"), rapid.Bool().Draw(t, "host MAC"), rapid.Bool().Draw(t, "frontend")}
	})
}

// tenantAct is one change of what the API server says.
type tenantAct struct {
	Kind              string
	Service           int
	Created           int
	External, Ingress []int
	Backends          []tenantBackend
}

type tenantBackend struct {
	Addr int
	// Node: 0: this one, 1: another one, 2: none is named.
	Node int
}

func aTenantAct() *rapid.Generator[tenantAct] {
	backend := rapid.Custom(func(t *rapid.T) tenantBackend {
		return tenantBackend{rapid.IntRange(0, len(pool())-1).Draw(t, "addr"), rapid.IntRange(0, 2).Draw(t, "node")}
	})
	some := func(t *rapid.T, what string, most int) []int {
		return rapid.SliceOfNDistinct(rapid.IntRange(0, len(pool())-1), 0, most, rapid.ID).Draw(t, what)
	}
	return rapid.Custom(func(t *rapid.T) tenantAct {
		a := tenantAct{
			Kind:    rapid.SampledFrom([]string{"service", "service", "slice", "slice", "slice", "delete-service", "delete-slice"}).Draw(t, "kind"),
			Service: rapid.IntRange(0, 3).Draw(t, "service"),
		}
		switch a.Kind {
		case "service":
			a.Created, a.External, a.Ingress = rapid.IntRange(0, 2).Draw(t, "created"), some(t, "external", 3), some(t, "ingress", 2)
		case "slice":
			a.Backends = rapid.SliceOfNDistinct(backend, 0, 5, func(b tenantBackend) int { return b.Addr }).Draw(t, "backends")
		}
		return a
	})
}

// tenants is a world in which four Services fight.
type tenants struct {
	*world
	acts   map[int]tenantAct // the Services
	listed map[int]tenantAct // their slices
}

func newTenants(t *testing.T, w *world, leftovers []leftover) *tenants {
	t.Helper()
	w.stop()
	// Nothing was programmed: what HNS holds is the root endpoint, and the source VIP's.
	for _, ip := range []string{podA, podB} {
		_, err := w.hns.AddLocalEndpoint("pods", netip.MustParseAddr(ip))
		w.must(false, err)
	}
	tw := &tenants{world: w, acts: map[int]tenantAct{}, listed: map[int]tenantAct{}}
	n, err := w.hns.Network(context.Background(), "pods")
	w.must(false, err)
	var ids []hnslb.ID
	for _, l := range leftovers {
		ip := pool()[l.Addr]
		e := hnslb.Endpoint{Network: n.ID, IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true}
		if n.IsOverlay() {
			e.ProviderAddress = netip.MustParseAddr(otherAddress)
			if l.HostMAC {
				e.MAC = n.HostMAC
			}
		}
		if made, err := w.hns.CreateEndpoint(context.Background(), e); err == nil {
			ids = append(ids, made.ID)
		}
		if l.Frontend && len(ids) > 0 {
			// HNS may hold that frontend already; then there is one leftover less.
			_, _ = w.hns.CreateLoadBalancer(context.Background(), hnslb.LoadBalancer{Endpoints: slices.Clone(ids), VIPs: []netip.Addr{ip},
				Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}}})
		}
	}
	w.start()
	return tw
}

// tenantName: one of the four is cluster DNS.
func tenantName(i int) services.Name {
	if i == 0 {
		return services.Name{Namespace: "kube-system", Name: "kube-dns"}
	}
	return services.Name{Namespace: "ns", Name: fmt.Sprint("s", i)}
}

// ports of a Service: cluster DNS answers on 53 too.
func tenantPorts(i int) []int32 {
	if i == 0 {
		return []int32{80, 53}
	}
	return []int32{80}
}

// tell tells the proxy, in one go, what changed.
func (w *tenants) tell(a tenantAct) {
	name, store := tenantName(a.Service), w.proxy.Store()
	meta := metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, CreationTimestamp: metav1.Unix(int64(1000+a.Created), 0)}
	switch a.Kind {
	case "service":
		w.acts[a.Service] = a
		svc := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIP: pool()[a.Service].String()}}
		for _, p := range tenantPorts(a.Service) {
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", p), Port: p})
		}
		for _, i := range a.External {
			svc.Spec.ExternalIPs = append(svc.Spec.ExternalIPs, pool()[i].String())
		}
		for _, i := range a.Ingress {
			svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: pool()[i].String()})
		}
		w.services[a.Service] = svc
		w.must(store.SetService(svc))
	case "delete-service":
		delete(w.acts, a.Service)
		delete(w.services, a.Service)
		store.DeleteService(name)
	case "slice":
		w.listed[a.Service] = a
		s := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4}
		s.Labels = map[string]string{discoveryv1.LabelServiceName: name.Name}
		for _, p := range tenantPorts(a.Service) {
			s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: new(fmt.Sprint("p", p)), Port: new(int32(8080))})
		}
		for _, b := range a.Backends {
			e := discoveryv1.Endpoint{Addresses: []string{pool()[b.Addr].String()}}
			if b.Node < 2 {
				e.NodeName = new([]string{"this", "other"}[b.Node])
			}
			s.Endpoints = append(s.Endpoints, e)
		}
		old := w.slices[name.String()]
		w.slices[name.String()] = s
		w.must(store.SetSlice(old, s))
	case "delete-slice":
		if old := w.slices[name.String()]; old != nil {
			delete(w.listed, a.Service)
			delete(w.slices, name.String())
			store.DeleteSlice(old)
		}
	}
}

// live lets one step happen, waits until the proxy has nothing to do, and judges.
func (w *tenants) live(step []tenantAct) error {
	before, owners := w.lines(), w.owners()
	w.hns.ResetCounts()
	w.hns.ResetDark()
	w.tellKeeper()
	resume := w.clock.Pause()
	for _, a := range step {
		w.tell(a)
	}
	resume()
	pass(3 * time.Minute) // reservations and backoffs end
	synctest.Wait()
	after := w.lines()
	if err := w.judge(); err != nil {
		return fmt.Errorf("%w\nHNS:\n%s", err, strings.Join(after, "\n"))
	}
	if broken := w.broken(); len(broken) > 0 {
		return fmt.Errorf("broken laws: %q", broken)
	}
	// A line that differs is one write. A load balancer may be written twice more where Services
	// go and come, once without an address that changes its role or is reserved, then with it.
	if written, differ := w.writes(), difference(before, after); written > 3*differ {
		return fmt.Errorf("%d writes for %d lines that differ:\n%s\n->\n%s", written, differ, strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if err := w.neverDark(step, owners); err != nil {
		return err
	}
	return w.quiet()
}

// quiet: from now on nothing is written, and little is read.
func (w *tenants) quiet() error {
	w.hns.ResetCounts()
	pass(time.Minute)
	synctest.Wait()
	calls := 0
	for _, n := range w.hns.Counts() {
		calls += n
	}
	if w.writes() > 0 || calls > 30 {
		return fmt.Errorf("%d writes and %d calls in a quiet minute: %v", w.writes(), calls, w.hns.Counts())
	}
	return nil
}

func (w *tenants) writes() int {
	n := 0
	for verb, count := range w.hns.Counts() {
		if verb.IsWrite() {
			n += count
		}
	}
	return n
}

// lines prints what HNS holds, an object a line.
func (w *tenants) lines() []string { return strings.Split(strings.TrimSpace(w.hns.Dump()), "\n") }

func difference(a, b []string) int {
	n := 0
	for _, pair := range [][2][]string{{a, b}, {b, a}} {
		for _, line := range pair[0] {
			if !slices.Contains(pair[1], line) {
				n++
			}
		}
	}
	return n
}

// tenantClaim is a Service's claim on a VIP, by the rules of the documentation.
type tenantClaim struct {
	service, rank int
	created       int
}

// winner returns the Service that has an address on a port, -1 for none.
func (w *tenants) winner(vip netip.Addr, port int32) int {
	var claims []tenantClaim
	for i, a := range w.acts {
		if !slices.Contains(tenantPorts(i), port) {
			continue
		}
		at := slices.Index(pool(), vip)
		switch {
		case pool()[i] == vip:
			claims = append(claims, tenantClaim{i, 0, a.Created})
		case slices.Contains(a.Ingress, at):
			claims = append(claims, tenantClaim{i, 1, a.Created})
		case slices.Contains(a.External, at):
			claims = append(claims, tenantClaim{i, 2, a.Created})
		}
	}
	if len(claims) == 0 || nobodys(vip) || w.isSourceVIP(vip) {
		return -1
	}
	return slices.MinFunc(claims, func(a, b tenantClaim) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.created, b.created),
			services.CompareNames(tenantName(a.service), tenantName(b.service)))
	}).service
}

func nobodys(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.As4()[0] == 240
}

func (w *tenants) isSourceVIP(ip netip.Addr) bool {
	return w.network == "Overlay" && ip.String() == sourceVIP
}

func (w *tenants) isClusterIP(ip netip.Addr) bool {
	for i := range w.acts {
		if pool()[i] == ip {
			return true
		}
	}
	return false
}

// backends returns the addresses to which the VIPs of a Service may lead, and must.
func (w *tenants) backends(service int) []netip.Addr {
	var out []netip.Addr
	for _, b := range w.listed[service].Backends {
		ip := pool()[b.Addr]
		pod := ip.String() == podA || ip.String() == podB
		here := b.Node == 0 || ip.String() == nodeAddress
		switch {
		case nobodys(ip), w.isSourceVIP(ip), w.isClusterIP(ip):
		case !pod && here:
			// The network plugin has made no endpoint for it.
		case !pod && w.network == "Overlay" && netip.MustParsePrefix("10.244.1.0/24").Contains(ip):
		default:
			out = append(out, ip)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// owners returns, for each cluster IP, where it leads.
func (w *tenants) owners() map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for i := range w.acts {
		out[pool()[i]] = fmt.Sprint(w.backends(i))
	}
	return out
}

// neverDark: of the Services that did nothing in a step, none was dark.
func (w *tenants) neverDark(step []tenantAct, before map[netip.Addr]string) error {
	after := w.owners()
	for i := range w.acts {
		vip := pool()[i]
		if slices.ContainsFunc(step, func(a tenantAct) bool { return a.Service == i }) || before[vip] != after[vip] {
			continue
		}
		key := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: vip, Protocol: hnslb.TCP, Port: 80}
		if d := w.hns.Dark()[key]; d.Times > 0 {
			return fmt.Errorf("%s was dark %d times although nobody changed its Service", key, d.Times)
		}
	}
	return nil
}

// judge holds what HNS has, and where packets go, against the rules.
func (w *tenants) judge() error {
	state := w.hns.State()
	held := map[string][]netip.Addr{}
	ips := map[hnslb.ID]netip.Addr{}
	for _, e := range state.Endpoints {
		ips[e.ID] = e.IPs[0]
	}
	for _, lb := range state.LoadBalancers {
		key, _ := lb.Key()
		for _, id := range lb.Endpoints {
			held[key.String()] = append(held[key.String()], ips[id])
		}
		slices.SortFunc(held[key.String()], netip.Addr.Compare)
	}
	for _, vip := range pool() {
		for _, port := range []int32{80, 53} {
			if err := w.judgeFrontend(vip, port, held); err != nil {
				return err
			}
		}
		if err := w.judgeAddress(vip, state.Endpoints); err != nil {
			return err
		}
	}
	return nil
}

func (w *tenants) judgeFrontend(vip netip.Addr, port int32, held map[string][]netip.Addr) error {
	key := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: vip, Protocol: hnslb.TCP, Port: uint16(port)}
	var want []netip.Addr
	owner := w.winner(vip, port)
	if owner >= 0 {
		want = w.backends(owner)
	}
	if got := held[key.String()]; !slices.Equal(got, want) {
		return fmt.Errorf("%s of Service %d leads to %v, want %v", key, owner, got, want)
	}
	packet := emulator.Packet{From: emulator.LocalPod(netip.MustParseAddr(podA)), To: netip.AddrPortFrom(vip, uint16(port)), Protocol: hnslb.TCP}
	for _, to := range w.hns.Reachable(packet) {
		if !slices.Contains(want, to.Addr()) && to != packet.To {
			return fmt.Errorf("a packet to %s of Service %d reaches %s, want one of %v", key, owner, to, want)
		}
	}
	return nil
}

// judgeAddress: at each address is one endpoint at most, and of the one role that it has.
func (w *tenants) judgeAddress(ip netip.Addr, endpoints []emulator.EndpointState) error {
	var at []string
	for _, e := range endpoints {
		if slices.Contains(e.IPs, ip) {
			at = append(at, fmt.Sprintf("remote %v, MAC %s", e.Remote, strings.ToUpper(e.MAC)))
		}
	}
	if len(at) > 1 {
		return fmt.Errorf("%s has %d endpoints: %q", ip, len(at), at)
	}
	remoteTo := len(at) == 1 && at[0] == fmt.Sprintf("remote true, MAC %s", strings.ToUpper(hnslb.RemoteMAC(ip)))
	if remoteTo && (w.isSourceVIP(ip) || w.isClusterIP(ip)) {
		return fmt.Errorf("%s has a remote endpoint, and another role: %q", ip, at)
	}
	if w.isSourceVIP(ip) && len(at) == 0 {
		return fmt.Errorf("the source VIP has no endpoint")
	}
	return nil
}
