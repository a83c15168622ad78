// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The node and its networks.
const (
	nodeName   = "this"
	podNetwork = "pods"
	rootName   = "cbr0"
)

var (
	nodeIP    = netip.MustParseAddr("10.0.0.4")
	sourceVIP = netip.MustParseAddr("10.244.1.250")
)

// addressOf returns the address that a word of a script stands for: l1 to l8 are pods of this
// node, r1 to r8 pods of another one, x1 to x8 are outside of the cluster, vip0 to vip3 are
// cluster IPs, src is the source VIP, node and peer are addresses of nodes.
func addressOf(word string) netip.Addr {
	switch word {
	case "src":
		return sourceVIP
	case "node":
		return nodeIP
	case "peer":
		return netip.MustParseAddr("10.0.0.5")
	}
	prefix := strings.TrimRight(word, "0123456789")
	n, _ := strconv.Atoi(strings.TrimPrefix(word, prefix))
	base := map[string]string{"l": "10.244.1.10", "r": "10.244.2.10", "x": "192.0.2.20", "vip": "10.96.0.10"}[prefix]
	ip, err := netip.ParseAddr(base)
	if err != nil {
		ip = netip.MustParseAddr("198.51.100.1") // a word that nobody knows
	}
	b := ip.As4()
	b[3] += byte(n)
	return netip.AddrFrom4(b)
}

// target is an endpoint of a slice: a word of addressOf and how it is, "l1-draining".
type target struct {
	word string
	// draining endpoints are terminating and serve, down ones do not serve.
	draining, down bool
	// moved: the slice says that it is on another node. On L2Bridge all nodes may share one
	// subnet, so that addresses wander.
	moved bool
}

func parseTarget(s string) target {
	word, how, _ := strings.Cut(s, "-")
	return target{word: word, draining: how == "draining", down: how == "down", moved: how == "moved"}
}

func (t target) ready() bool { return !t.draining && !t.down }

// here tells whether the slice says that the endpoint is on this node.
func (t target) here() bool {
	return t.word == "node" || strings.HasPrefix(t.word, "l") && !t.moved
}

// object is a Service or an EndpointSlice, with what the script says of it.
type object struct {
	// said is the action that made it.
	said action
	// uid of a Service.
	uid     int
	service *corev1.Service
	slice   *discoveryv1.EndpointSlice
	// targets of a slice.
	targets []target
}

func serviceName(a action) string { return a.args["name"] + a.args["n"] }

func serviceKey(a action) string { return "service " + serviceName(a) }

func sliceKey(a action) string { return "slice " + serviceName(a) + "-" + a.args["slice"] }

// newService makes the Service of an action.
func newService(a action, uid int) *object {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: serviceName(a), UID: types.UID(fmt.Sprint("service-", uid)),
			CreationTimestamp: metav1.Unix(int64(1000+a.number("age")), 0), Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: addressOf("vip" + a.args["n"]).String(),
			Ports: []corev1.ServicePort{{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP, NodePort: int32(a.number("port"))}},
		},
	}
	if ip := a.args["external"]; ip != "" {
		svc.Spec.ExternalIPs = []string{ip}
	}
	if ip := a.args["ingress"]; ip != "" {
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	}
	for _, with := range a.list("with") {
		switch with {
		case "dns":
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP})
		case "extlocal":
			svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			svc.Spec.HealthCheckNodePort = int32(32000 + a.number("n"))
		case "intlocal":
			svc.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
		case "affinity":
			svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		case "preserve":
			svc.Annotations["preserve-destination"] = "true"
		}
	}
	return &object{said: a, uid: uid, service: svc}
}

// frontends returns the frontends that a Service asks for, without health checks.
func (o *object) frontends() []hnslb.FrontendKey {
	var out []hnslb.FrontendKey
	for _, p := range o.service.Spec.Ports {
		protocol := map[corev1.Protocol]hnslb.Protocol{corev1.ProtocolTCP: hnslb.TCP, corev1.ProtocolUDP: hnslb.UDP}[p.Protocol]
		vips := append([]string{o.service.Spec.ClusterIP}, o.service.Spec.ExternalIPs...)
		for _, in := range o.service.Status.LoadBalancer.Ingress {
			vips = append(vips, in.IP)
		}
		for _, vip := range vips {
			out = append(out, hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr(vip), Protocol: protocol, Port: uint16(p.Port)})
		}
		if p.NodePort != 0 {
			out = append(out, hnslb.FrontendKey{Family: hnslb.IPv4, Protocol: protocol, Port: uint16(p.NodePort)})
		}
	}
	return out
}

// newSlice makes the EndpointSlice of an action. pods are the UIDs of the pods at their
// addresses.
func newSlice(a action, pods map[string]string) *object {
	name := serviceName(a)
	o := &object{said: a, slice: &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name + "-" + a.args["slice"],
			Labels:      map[string]string{discoveryv1.LabelServiceName: name},
			Annotations: map[string]string{corev1.EndpointsLastChangeTriggerTime: time.Now().UTC().Format(time.RFC3339Nano)}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{
			{Name: new("web"), Port: new(int32(a.number("port"))), Protocol: new(corev1.ProtocolTCP)},
			{Name: new("dns"), Port: new(int32(5353)), Protocol: new(corev1.ProtocolUDP)},
		},
	}}
	for _, word := range a.list("to") {
		t := parseTarget(word)
		o.targets = append(o.targets, t)
		e := discoveryv1.Endpoint{Addresses: []string{addressOf(t.word).String()}, NodeName: new("other")}
		switch {
		case t.here():
			e.NodeName = new(nodeName)
		case strings.HasPrefix(t.word, "x"):
			e.NodeName = nil // outside of the cluster
		}
		if uid := pods[t.word]; uid != "" && t.here() {
			e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: uid, UID: types.UID(uid)}
		}
		e.Conditions = discoveryv1.EndpointConditions{Ready: new(t.ready()), Serving: new(!t.down), Terminating: new(!t.ready())}
		o.slice.Endpoints = append(o.slice.Endpoints, e)
	}
	return o
}

// without returns an action without those targets of its slice for which drop says so.
func (a action) without(drop func(string) bool) action {
	out := action{a.name, maps.Clone(a.args)}
	left := slices.DeleteFunc(a.list("to"), drop)
	if out.args["to"] = strings.Join(left, ","); len(left) == 0 {
		delete(out.args, "to")
	}
	return out
}

// watch carries what happens in the cluster to the proxy, as informers do: at once, or late,
// or after a while all in one burst, or of each object the last state only.
type watch struct {
	// holds are the kinds of objects that are held up, "service" and "slice".
	holds map[string]bool
	// late is how late each change arrives; 0 while they are held up until release.
	late  time.Duration
	queue []event
}

type event struct {
	key    string
	object *object // nil for a deletion
	due    time.Time
}

func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, " ")
	return kind
}

// publish says what an object of the cluster is from now on; nil deletes it.
func (w *simulation) publish(key string, o *object) {
	if o == nil {
		delete(w.truth, key)
	} else {
		w.truth[key] = o
	}
	kind := kindOf(key)
	waits := slices.ContainsFunc(w.watch.queue, func(e event) bool { return kindOf(e.key) == kind })
	if !waits && !w.watch.holds[kind] {
		w.deliver(key, o)
		return
	}
	e := event{key: key, object: o}
	if w.watch.late > 0 || !w.watch.holds[kind] {
		e.due = time.Now().Add(w.watch.late)
	}
	w.watch.queue = append(w.watch.queue, e)
}

// deliver tells the proxy what an object is.
func (w *simulation) deliver(key string, o *object) {
	old := w.sent[key]
	if o == nil {
		delete(w.sent, key)
	} else {
		w.sent[key] = o
	}
	switch p := w.proxy; {
	case p == nil || o == nil && old == nil:
	case o == nil && old.service != nil:
		p.deleteService(old.service)
	case o == nil:
		p.deleteSlice(old.slice)
	case o.service != nil:
		w.must(p.setService(o.service))
	default:
		var was *discoveryv1.EndpointSlice
		if old != nil {
			was = old.slice
		}
		w.must(p.setSlice(was, o.slice))
	}
}

// arrive delivers what is due.
func (w *simulation) arrive() {
	for len(w.watch.queue) > 0 {
		e := w.watch.queue[0]
		if e.due.IsZero() || e.due.After(time.Now()) {
			return
		}
		w.watch.queue = w.watch.queue[1:]
		w.deliver(e.key, e.object)
	}
}

// release ends the holding up of changes. lastOnly delivers of each object the last state,
// as after a watch that broke off and a new list.
func (w *simulation) release(lastOnly bool) {
	queue := w.watch.queue
	w.watch = watch{}
	done := map[string]bool{}
	for _, e := range queue {
		if !lastOnly {
			w.deliver(e.key, e.object)
		} else if !done[e.key] {
			done[e.key] = true
			w.deliver(e.key, w.truth[e.key])
		}
	}
}
