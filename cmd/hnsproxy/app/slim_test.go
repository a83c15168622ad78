// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

func fatMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: "u-1", ResourceVersion: "7", Generation: 3,
		CreationTimestamp: metav1.Unix(1000, 0),
		Labels:            map[string]string{"app": "web", discoveryv1.LabelServiceName: "web", corev1.LabelTopologyZone: "a"},
		Annotations: map[string]string{
			"preserve-destination": "true", "kubectl.kubernetes.io/last-applied-configuration": "{...}",
			corev1.EndpointsLastChangeTriggerTime: "2026-01-02T03:04:05Z",
		},
		OwnerReferences: []metav1.OwnerReference{{Name: "owner"}},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Finalizers:      []string{"service.kubernetes.io/load-balancer-cleanup"},
	}
}

func fatService() *corev1.Service {
	local := corev1.ServiceInternalTrafficPolicyLocal
	vip, proxy := corev1.LoadBalancerIPModeVIP, corev1.LoadBalancerIPModeProxy
	return &corev1.Service{
		ObjectMeta: fatMeta("web"),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.5", ClusterIPs: []string{"10.96.0.5", "fd00::5"},
			ExternalIPs: []string{"192.0.2.1"}, SessionAffinity: corev1.ServiceAffinityClientIP,
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, InternalTrafficPolicy: &local,
			Selector: map[string]string{"app": "web"}, HealthCheckNodePort: 31000,
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080, AppProtocol: new("http")}},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
			{IP: "203.0.113.1", IPMode: &vip, Hostname: "lb"}, {IP: "203.0.113.2", IPMode: &proxy},
		}}},
	}
}

func fatSlice() *discoveryv1.EndpointSlice {
	endpoint := func(ip, node string, ready bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{
			Addresses:          []string{ip},
			Conditions:         discoveryv1.EndpointConditions{Ready: new(ready), Serving: new(true), Terminating: new(!ready)},
			NodeName:           new(node),
			Zone:               new("zone-a"),
			Hostname:           new("pod"),
			TargetRef:          &corev1.ObjectReference{Kind: "Pod", Name: "web-0", Namespace: "shop", UID: "p-1"},
			DeprecatedTopology: map[string]string{"x": "y"},
			Hints: &discoveryv1.EndpointHints{
				ForZones: []discoveryv1.ForZone{{Name: "zone-a"}}, ForNodes: []discoveryv1.ForNode{{Name: node}},
			},
		}
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: fatMeta("web-1"), AddressType: discoveryv1.AddressTypeIPv4,
		Ports:     []discoveryv1.EndpointPort{{Name: new("http"), Protocol: new(corev1.ProtocolTCP), Port: new(int32(8080)), AppProtocol: new("http")}},
		Endpoints: []discoveryv1.Endpoint{endpoint("10.244.1.5", "me", true), endpoint("10.244.2.5", "other", false)},
	}
}

// input is what the proxy makes of objects.
func input(t *testing.T, objs ...any) services.Input {
	t.Helper()
	store := services.NewStore("me", time.Time{})
	for _, obj := range objs {
		var err error
		switch o := obj.(type) {
		case *corev1.Service:
			_, err = store.SetService(o)
		case *discoveryv1.EndpointSlice:
			_, err = store.SetSlice(nil, o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return store.Take()[0]
}

// TestSlimIsTheSameToTheProxy: nothing is dropped that the proxy reads, and nothing of the
// source is changed.
func TestSlimIsTheSameToTheProxy(t *testing.T) {
	t.Parallel()
	s := newSlimmer("me", true)
	slim := func(obj any) any {
		out, err := s.transform(obj)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	service, slice := fatService(), fatSlice()
	compare := cmp.Options{cmpopts.EquateComparable(services.Name{}), cmp.Comparer(func(a, b services.Endpoint) bool { return a == b }),
		cmp.Comparer(func(a, b *services.Service) bool { return a.Equal(b) })}
	want := input(t, fatService(), fatSlice())
	if diff := cmp.Diff(want, input(t, slim(service), slim(slice)), compare); diff != "" {
		t.Errorf("what the proxy sees (-fat +slim):\n%s", diff)
	}
	if want.Service == nil || len(want.Slices) != 1 || len(want.Triggers) != 1 {
		t.Errorf("the test shows nothing: %+v", want)
	}
	if diff := cmp.Diff(fatService(), service) + cmp.Diff(fatSlice(), slice); diff != "" {
		t.Errorf("the source's objects were changed:\n%s", diff)
	}

	node := &corev1.Node{ObjectMeta: fatMeta("me"),
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "ToBeDeletedByClusterAutoscaler"}}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.4"}},
			Images: []corev1.ContainerImage{{Names: []string{"large"}}}}}
	wantNode, err := services.NodeOf(node)
	if err != nil {
		t.Fatal(err)
	}
	slimNode, _ := slim(node).(*corev1.Node)
	gotNode, err := services.NodeOf(slimNode)
	if err != nil || !gotNode.SameTopology(wantNode) || gotNode.Eligible || gotNode.Zone != "a" {
		t.Errorf("node %+v, %v; want %+v", gotNode, err, wantNode)
	}
	if len(slimNode.Status.Images) != 0 {
		t.Error("a Node keeps its images")
	}
}

// TestSlimDropsAndShares: what nobody reads goes, what repeats is kept once.
func TestSlimDropsAndShares(t *testing.T) {
	t.Parallel()
	s := newSlimmer("me", true)
	out := s.slice(fatSlice())
	again := s.slice(fatSlice())
	if m := out.ObjectMeta; len(m.Labels) != 1 || len(m.ManagedFields)+len(m.OwnerReferences)+len(m.Finalizers) != 0 || len(m.Annotations) != 2 {
		t.Errorf("metadata kept: %+v", m)
	}
	mine, other := out.Endpoints[0], out.Endpoints[1]
	if diff := cmp.Diff(&corev1.ObjectReference{UID: "p-1"}, mine.TargetRef); diff != "" || other.TargetRef != nil {
		t.Errorf("target references: %s, other node's %v", diff, other.TargetRef)
	}
	if mine.Zone != nil || mine.Hostname != nil || mine.DeprecatedTopology != nil {
		t.Errorf("kept what nobody reads: %+v", mine)
	}
	twin := again.Endpoints[0]
	if mine.NodeName != twin.NodeName || mine.Hints != twin.Hints || mine.Conditions.Ready != twin.Conditions.Ready ||
		mine.Conditions.Ready != other.Conditions.Serving || *mine.Conditions.Terminating || !*other.Conditions.Terminating {
		t.Error("what repeats is not shared")
	}
	if mine.Hints == other.Hints {
		t.Error("different hints are shared")
	}
}

// TestSlimFeatureGate: kube-proxy's gate takes external IPs out of force.
func TestSlimFeatureGate(t *testing.T) {
	t.Parallel()
	if ips := newSlimmer("me", false).service(fatService()).Spec.ExternalIPs; len(ips) != 0 {
		t.Errorf("external IPs %v in spite of AllowServiceExternalIPs=false", ips)
	}
}

func TestEventHandler(t *testing.T) {
	t.Parallel()
	var got []string
	h := eventHandler[*corev1.Node]{
		set: func(old, n *corev1.Node) {
			if old == nil {
				got = append(got, "add "+n.Name)
				return
			}
			got = append(got, "update "+old.Name+" "+n.Name)
		},
		remove: func(n *corev1.Node) { got = append(got, "delete "+n.Name) },
	}
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	h.OnAdd(node("a"), true)
	h.OnUpdate(node("a"), node("b"))
	h.OnDelete(node("c"))
	h.OnDelete(cache.DeletedFinalStateUnknown{Key: "d", Obj: node("d")})
	h.OnDelete(cache.DeletedFinalStateUnknown{Key: "e"})
	h.OnAdd("no node", false)
	h.OnDelete("no node")
	if diff := cmp.Diff([]string{"add a", "update a b", "delete c", "delete d"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
