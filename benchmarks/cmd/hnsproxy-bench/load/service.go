// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// maxPerSlice is how many endpoints Kubernetes puts into one EndpointSlice.
const maxPerSlice = 100

// endpoint has one address of each family of the cluster.
type endpoint struct {
	ips   []netip.Addr
	node  int // local is the node of the proxy
	local bool
}

// service is a Service as it is now. Endpoints stay in their slice, as with Kubernetes' controller.
type service struct {
	name   string
	number int
	ports  int
	vips   []netip.Addr
	slices [][]endpoint
	// touched counts changes of metadata.
	touched int
}

func (s *service) count() int {
	n := 0
	for _, slice := range s.slices {
		n += len(slice)
	}
	return n
}

func (s *service) object() *corev1.Service {
	o := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: s.name, CreationTimestamp: metav1.Unix(int64(s.number), 0)},
		Spec:       corev1.ServiceSpec{ClusterIP: s.vips[0].String()},
	}
	for _, vip := range s.vips {
		o.Spec.ClusterIPs = append(o.Spec.ClusterIPs, vip.String())
		o.Spec.IPFamilies = append(o.Spec.IPFamilies, corev1.IPFamily(hnslb.FamilyOf(vip).String()))
	}
	policy := corev1.IPFamilyPolicySingleStack
	if len(s.vips) > 1 {
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	o.Spec.IPFamilyPolicy = &policy
	for p := range s.ports {
		o.Spec.Ports = append(o.Spec.Ports, corev1.ServicePort{
			Name: portName(p), Port: int32(80 + p), TargetPort: intstr.FromInt32(int32(8080 + p)), Protocol: corev1.ProtocolTCP,
		})
	}
	return o
}

func portName(p int) string { return "port-" + strconv.Itoa(p) }

// slice returns the EndpointSlice of one family.
func (s *service) slice(index, family int) *discoveryv1.EndpointSlice {
	kind := hnslb.FamilyOf(s.vips[family]).String()
	o := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: Namespace, Name: fmt.Sprintf("%s-%s-%d", s.name, kind[2:], index),
			Labels: map[string]string{discoveryv1.LabelServiceName: s.name, discoveryv1.LabelManagedBy: "hnsproxy-bench"},
		},
		AddressType: discoveryv1.AddressType(kind),
		Endpoints:   make([]discoveryv1.Endpoint, 0, len(s.slices[index])),
	}
	if s.touched > 0 {
		o.Annotations = map[string]string{"hnsproxy-bench/touched": strconv.Itoa(s.touched)}
	}
	protocol := corev1.ProtocolTCP
	for p := range s.ports {
		o.Ports = append(o.Ports, discoveryv1.EndpointPort{Name: new(portName(p)), Port: new(int32(8080 + p)), Protocol: &protocol})
	}
	yes, no := true, false
	for _, e := range s.slices[index] {
		o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{e.ips[family].String()}, NodeName: new(e.nodeName()),
			Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no},
		})
	}
	return o
}

func (e endpoint) nodeName() string {
	if e.local {
		return NodeName
	}
	return "node-" + strconv.Itoa(e.node)
}

// sliceWrites writes, or deletes, one slice of each family.
func (s *service) sliceWrites(index int, gone bool) []Write {
	var all []Write
	for family := range s.vips {
		all = append(all, Write{Slice: s.slice(index, family), Delete: gone})
	}
	return all
}

// writes writes, or deletes, the Service with all its slices.
func (s *service) writes(gone bool) []Write {
	all := []Write{{Service: s.object(), Delete: gone}}
	for index := range s.slices {
		all = append(all, s.sliceWrites(index, gone)...)
	}
	return all
}

// wants says what HNS must hold, nothing for a Service that is gone.
func (s *service) wants(gone bool) []Want {
	var all []Want
	for family, vip := range s.vips {
		var backends []netip.Addr
		if !gone {
			backends = make([]netip.Addr, 0, s.count())
			for _, slice := range s.slices {
				for _, e := range slice {
					backends = append(backends, e.ips[family])
				}
			}
		}
		for p := range s.ports {
			key := hnslb.FrontendKey{Family: hnslb.FamilyOf(vip), VIP: vip, Protocol: hnslb.TCP, Port: uint16(80 + p)}
			all = append(all, Want{key, backends})
		}
	}
	return all
}
