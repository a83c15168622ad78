// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/scenario"
)

// scenarioFenceIP is the cluster IP of the fence of scenarios.
const scenarioFenceIP = "10.96.255.254"

// ScenarioCluster is a control plane that scenarios run on, one after the other.
type ScenarioCluster struct {
	plane *controlplane.ControlPlane
	// namespace is that of the fence. A change of scripts' objects comes before the next change of the fence in the watches of
	// Services and of EndpointSlices. service and slice of it get a new port each time.
	namespace string
	service   *corev1.Service
	slice     *discoveryv1.EndpointSlice
}

// NewScenarioCluster prepares a control plane for scenarios until the test's end: hnsproxy does not see the Service
// "kubernetes", of which scripts know nothing, and cluster IPs may be those of the scripts.
func NewScenarioCluster(tb testing.TB, plane *controlplane.ControlPlane) *ScenarioCluster {
	tb.Helper()
	c := &ScenarioCluster{plane: plane, namespace: plane.Namespace(tb)}
	ctx := tb.Context()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatalf("prepare for scenarios: %v", err)
		}
	}
	must(c.handAway(ctx, `"nobody"`))
	tb.Cleanup(func() {
		if err := c.handAway(context.Background(), "null"); err != nil {
			tb.Error(err)
		}
	})
	for name, cidr := range map[string]string{"scenario-4": "172.30.0.0/16", "scenario-6": "fd00:96::/112"} {
		ranges := plane.Admin.NetworkingV1().ServiceCIDRs()
		_, err := ranges.Create(ctx, &networkingv1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{cidr}},
		}, metav1.CreateOptions{})
		must(err)
		tb.Cleanup(func() {
			if err := ranges.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
				tb.Error(err)
			}
		})
	}
	must(c.inRange(ctx, "172.30.0.5", corev1.IPv4Protocol))
	must(c.inRange(ctx, "fd00:96::5", corev1.IPv6Protocol))
	must(c.makeFence(ctx))
	return c
}

// handAway sets the label that gives the Service "kubernetes" to another proxy, to a value in JSON.
func (c *ScenarioCluster) handAway(ctx context.Context, to string) error {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, proxyNameLabel, to)
	_, err := c.plane.Admin.CoreV1().Services("default").Patch(ctx, "kubernetes", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// inRange waits until the API server takes Services with a cluster IP.
func (c *ScenarioCluster) inRange(ctx context.Context, ip string, family corev1.IPFamily) error {
	probe := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.ServiceSpec{
		ClusterIP: ip, IPFamilies: []corev1.IPFamily{family}, Ports: []corev1.ServicePort{{Port: 80}},
	}}
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, checkPatience, true, func(ctx context.Context) (bool, error) {
		_, last = c.plane.Admin.CoreV1().Services(c.namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait until %s can be a cluster IP: %w: %w", ip, err, last)
	}
	return nil
}

func (c *ScenarioCluster) makeFence(ctx context.Context) error {
	var err error
	c.service, err = c.plane.Admin.CoreV1().Services(c.namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: fenceName},
		Spec:       corev1.ServiceSpec{ClusterIP: scenarioFenceIP, Ports: []corev1.ServicePort{{Port: 1}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	c.slice, err = c.plane.Admin.DiscoveryV1().EndpointSlices(c.namespace).Create(ctx, fenceSlice(c.service), metav1.CreateOptions{})
	return err
}

// fence changes the fence. When HNS holds it as seen asks, hnsproxy has seen every change that was made before.
func (c *ScenarioCluster) fence(ctx context.Context) (seen func(emulator.State) bool, err error) {
	port := c.service.Spec.Ports[0].Port + 1
	c.service.Spec.Ports[0].Port, c.slice.Ports[0].Port = port, &port
	if c.service, err = c.plane.Admin.CoreV1().Services(c.namespace).Update(ctx, c.service, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	if c.slice, err = c.plane.Admin.DiscoveryV1().EndpointSlices(c.namespace).Update(ctx, c.slice, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	want := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr(scenarioFenceIP), Protocol: hnslb.TCP, Port: uint16(port)}
	return func(state emulator.State) bool {
		return len(keep(state.LoadBalancers, func(lb emulator.LoadBalancerState) bool {
			key, ok := lb.Key()
			return ok && key == want && lb.Mappings[0].InternalPort == uint16(port)
		})) > 0
	}, nil
}

// ofFence tells whether a line of HNS is about the fence.
func ofFence(line string) bool {
	return strings.Contains(line, scenarioFenceIP) || strings.Contains(line, fenceBackend)
}

// client is what clients of all kinds can.
type client[T any] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (T, error)
	Create(ctx context.Context, object T, o metav1.CreateOptions) (T, error)
	Update(ctx context.Context, object T, o metav1.UpdateOptions) (T, error)
}

// put creates or replaces an object.
func put[T metav1.Object](ctx context.Context, c client[T], object T) (T, error) {
	held, err := c.Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return c.Create(ctx, object, metav1.CreateOptions{})
	}
	if err != nil {
		return held, err
	}
	object.SetResourceVersion(held.GetResourceVersion())
	return c.Update(ctx, object, metav1.UpdateOptions{})
}

// apply writes the objects of a section.
func (r *scenarioRun) apply(section string) error {
	objects, err := r.script.Objects(section, r.way.Network)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := r.write(r.tb.Context(), o); err != nil {
			return fmt.Errorf("section %s: %s: %w", section, o.Name, err)
		}
		r.objects[o.Name] = o
	}
	return nil
}

// ensureNamespace makes the namespace of an object. It stays, empty.
func (c *ScenarioCluster) ensureNamespace(ctx context.Context, o scenario.Object) error {
	var object metav1.Object = o.Service
	if o.Slice != nil {
		object = o.Slice
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: object.GetNamespace()}}
	_, err := c.plane.Admin.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (r *scenarioRun) write(ctx context.Context, o scenario.Object) error {
	if err := r.cluster.ensureNamespace(ctx, o); err != nil {
		return err
	}
	if o.Slice != nil {
		slice := o.Slice.DeepCopy()
		// Without it the controller would take the slice for one of its own.
		metav1.SetMetaDataLabel(&slice.ObjectMeta, discoveryv1.LabelManagedBy, "scenario")
		_, err := put(ctx, r.Plane.Admin.DiscoveryV1().EndpointSlices(slice.Namespace), slice)
		return err
	}
	service := o.Service.DeepCopy()
	if len(service.Spec.ClusterIPs) == 2 && service.Spec.IPFamilyPolicy == nil {
		service.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyRequireDualStack)
	}
	made, err := put(ctx, r.Plane.Admin.CoreV1().Services(service.Namespace), service)
	if err != nil || equality.Semantic.DeepEqual(made.Status.LoadBalancer, o.Service.Status.LoadBalancer) {
		return err
	}
	return r.Plane.SetIngress(ctx, service.Namespace, service.Name, o.Service.Status.LoadBalancer.Ingress...)
}

// remove deletes the objects of a section, or the one that is named as Service/web.
func (r *scenarioRun) remove(what string) error {
	objects := []scenario.Object{{Name: what}}
	if !strings.Contains(what, "/") {
		var err error
		if objects, err = r.script.Objects(what, r.way.Network); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if err := r.erase(r.tb.Context(), o.Name); err != nil {
			return err
		}
	}
	return nil
}

// removeAll deletes all objects of the script.
func (r *scenarioRun) removeAll(ctx context.Context) error {
	for name := range r.objects {
		if err := r.erase(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *scenarioRun) erase(ctx context.Context, name string) error {
	o, ok := r.objects[name]
	if !ok {
		return fmt.Errorf("there is no %s", name)
	}
	delete(r.objects, name)
	if o.Slice != nil {
		return r.Plane.Admin.DiscoveryV1().EndpointSlices(o.Slice.Namespace).Delete(ctx, o.Slice.Name, metav1.DeleteOptions{})
	}
	return r.Plane.Admin.CoreV1().Services(o.Service.Namespace).Delete(ctx, o.Service.Name, metav1.DeleteOptions{})
}

// changeNode changes the Node object.
func (r *scenarioRun) changeNode(args []string) error {
	if err := scenario.ChangeNode(&r.node, args); err != nil {
		return err
	}
	ctx, nodes := r.tb.Context(), r.Plane.Admin.CoreV1().Nodes()
	node, err := nodes.Get(ctx, r.node.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	node.Labels[corev1.LabelTopologyZone] = r.node.Zone
	if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	node.Status.Addresses = nil
	for _, ip := range r.node.IPs {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
	}
	_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}
