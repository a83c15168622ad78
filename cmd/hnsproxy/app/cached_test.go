// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
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

// TestCached: what informers keep is what the store makes of the object itself, with the
// object's identity, and nothing else; the source's objects stay as they are.
func TestCached(t *testing.T) {
	t.Parallel()
	store := services.NewStore("me", time.Time{})
	k := cacheTransform{store, true}
	keep := func(obj any) any {
		t.Helper()
		out, err := k.transform(obj)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := k.transform(out); err != nil || again != out {
			t.Errorf("%T is transformed twice", out)
		}
		return out
	}
	service, slice := fatService(), fatSlice()
	keptService, _ := keep(service).(*cachedService)
	keptSlice, _ := keep(slice).(*cachedSlice)
	wantMeta := metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u-1", ResourceVersion: "7"}
	if diff := cmp.Diff(wantMeta, keptService.ObjectMeta); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	wantService, err1 := services.ReadService(fatService())
	wantSlice, err2 := store.ReadSlice(fatSlice())
	if err1 != nil || err2 != nil || !wantService.Equal(keptService.value) || !wantSlice.Equal(keptSlice.value) || keptSlice.value.Trigger.IsZero() {
		t.Errorf("kept %+v and %+v; errors %v, %v", keptService.value, keptSlice.value, err1, err2)
	}
	if diff := cmp.Diff(fatService(), service) + cmp.Diff(fatSlice(), slice); diff != "" {
		t.Errorf("the source's objects were changed:\n%s", diff)
	}
	if stone := (cache.DeletedFinalStateUnknown{Key: "k"}); keep(stone) != any(stone) {
		t.Error("a tombstone is transformed")
	}
}

// TestCachedNode: nothing is dropped of a Node that the proxy reads.
func TestCachedNode(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{
		ObjectMeta: fatMeta("me"),
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "ToBeDeletedByClusterAutoscaler"}}, PodCIDRs: []string{"10.244.1.0/24"}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.4"}},
			Images:    []corev1.ContainerImage{{Names: []string{"large"}}},
		},
	}
	want, err := services.ReadNode(node)
	if err != nil {
		t.Fatal(err)
	}
	kept := slimNode(node)
	got, err := services.ReadNode(kept)
	if err != nil || !got.SameTopology(want) || got.Eligible || got.Zone != "a" || len(kept.Spec.PodCIDRs) != 1 {
		t.Errorf("node %+v, %v; want %+v", got, err, want)
	}
	if len(kept.Status.Images)+len(kept.ManagedFields) != 0 {
		t.Error("a Node keeps what nobody reads")
	}
	leaving := &corev1.Node{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}}
	if slimNode(leaving).DeletionTimestamp == nil {
		t.Error("a Node that is being deleted looks as if it stayed")
	}
}

// TestExternalIPsGate: kube-proxy's gate takes external IPs out of force.
func TestExternalIPsGate(t *testing.T) {
	t.Parallel()
	store := services.NewStore("me", time.Time{})
	for on, want := range map[bool]int{true: 1, false: 0} {
		obj, err := cacheTransform{store, on}.transform(fatService())
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := obj.(*cachedService); len(s.value.ExternalIPs) != want {
			t.Errorf("AllowServiceExternalIPs=%t leaves %v", on, s.value.ExternalIPs)
		}
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

// TestLeadingZerosAreTold: an object with an address that could be read in two ways has a
// line in the log that says what to write.
func TestLeadingZerosAreTold(t *testing.T) {
	t.Parallel()
	service, slice, node := fatService(), fatSlice(), &corev1.Node{ObjectMeta: fatMeta("win-1")}
	service.Spec.ExternalIPs = []string{"010.9.9.8"}
	service.Spec.LoadBalancerSourceRanges = []string{"010.0.0.0/8"}
	slice.Endpoints[0].Addresses = []string{"10.244.01.5"}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.04"}}
	var said strings.Builder
	logger := funcr.New(func(_, line string) { said.WriteString(line + "\n") }, funcr.Options{})
	f := &feeder{logger: logger}
	k := cacheTransform{store: services.NewStore("this", time.Time{}), externalIPs: true}
	for _, obj := range []any{service, slice, node} {
		obj, err := k.transform(obj)
		if err != nil {
			t.Fatal(err)
		}
		switch o := obj.(type) {
		case *cachedService:
			f.note(nil, o, false, o.err)
		case *cachedSlice:
			f.note(nil, o, false, o.err)
		case *corev1.Node:
			_, err := services.ReadNode(o)
			f.note(nil, o, false, err)
		}
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want one for each object:\n%s", len(lines), said.String())
	}
	for i, want := range [][]string{
		{`"kind"="Service"`, "spec.externalIPs[0]", "use 10.9.9.8", "spec.loadBalancerSourceRanges[0]", "use 10.0.0.0/8"},
		{`"kind"="EndpointSlice"`, "endpoints[0].addresses[0]", "use 10.244.1.5"},
		{`"kind"="Node"`, "status.addresses[0]", "use 10.0.0.4"},
	} {
		for _, part := range want {
			if !strings.Contains(lines[i], part) {
				t.Errorf("%q is missing in %s", part, lines[i])
			}
		}
	}
}
