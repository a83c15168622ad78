// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

// proxyNameLabel hands a Service to another proxy; the controller copies it to the slices.
const proxyNameLabel = "service.kubernetes.io/service-proxy-name"

// snapshot is what the API server holds.
type snapshot struct {
	services []corev1.Service
	slices   []discoveryv1.EndpointSlice
	pods     []corev1.Pod
	nodes    []corev1.Node
}

func read(ctx context.Context, client kubernetes.Interface) (snapshot, error) {
	all := metav1.ListOptions{}
	services, err := client.CoreV1().Services("").List(ctx, all)
	if err != nil {
		return snapshot{}, err
	}
	slices, err := client.DiscoveryV1().EndpointSlices("").List(ctx, all)
	if err != nil {
		return snapshot{}, err
	}
	pods, err := client.CoreV1().Pods("").List(ctx, all)
	if err != nil {
		return snapshot{}, err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, all)
	if err != nil {
		return snapshot{}, err
	}
	return snapshot{services.Items, slices.Items, pods.Items, nodes.Items}, nil
}

// proxied tells whether a Service is for us and has frontends.
func proxied(s *corev1.Service) bool {
	_, others := s.Labels[proxyNameLabel]
	return !others && s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != corev1.ClusterIPNone
}

// slicesOf returns the slices of a Service and family that are for us.
func (s *snapshot) slicesOf(service *corev1.Service, family corev1.IPFamily) []discoveryv1.EndpointSlice {
	var found []discoveryv1.EndpointSlice
	for _, slice := range s.slices {
		_, others := slice.Labels[proxyNameLabel]
		_, headless := slice.Labels[corev1.IsHeadlessService]
		if !others && !headless && slice.Namespace == service.Namespace && string(slice.AddressType) == string(family) &&
			slice.Labels[discoveryv1.LabelServiceName] == service.Name {
			found = append(found, slice)
		}
	}
	return found
}

// lag tells what the EndpointSlice controller has not done yet, "" if it has done everything: only then do the slices say
// what the test asked for.
func (s *snapshot) lag() string {
	for i := range s.services {
		service := &s.services[i]
		if !proxied(service) || len(service.Spec.Selector) == 0 {
			continue
		}
		for _, family := range service.Spec.IPFamilies {
			want, have := s.expected(service, family), s.present(service, family)
			if !slices.Equal(want, have) {
				return fmt.Sprintf("EndpointSlices %s of Service %s/%s\n  hold    %v\n  not yet %v", family, service.Namespace, service.Name, have, want)
			}
		}
	}
	return ""
}

// expected returns what the slices of a Service must hold by its Pods.
func (s *snapshot) expected(service *corev1.Service, family corev1.IPFamily) []string {
	selector := labels.SelectorFromSet(service.Spec.Selector)
	var out []string
	for i := range s.pods {
		pod := &s.pods[i]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if pod.Namespace != service.Namespace || ended || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		serving := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		terminating := pod.DeletionTimestamp != nil
		for _, ip := range pod.Status.PodIPs {
			for _, port := range service.Spec.Ports {
				if number := targetPort(pod, port); number != 0 && familyOf(ip.IP) == family {
					out = append(out, endpointText(ip.IP, port.Name, number, []bool{serving && !terminating, serving, terminating}))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// present returns what the slices of a Service do hold.
func (s *snapshot) present(service *corev1.Service, family corev1.IPFamily) []string {
	var out []string
	for _, slice := range s.slicesOf(service, family) {
		for _, e := range slice.Endpoints {
			for _, port := range slice.Ports {
				c := e.Conditions
				out = append(out, endpointText(e.Addresses[0], *port.Name, *port.Port, []bool{*c.Ready, *c.Serving, *c.Terminating}))
			}
		}
	}
	slices.Sort(out)
	return out
}

// endpointText is one endpoint; conditions are ready, serving and terminating.
func endpointText(ip, portName string, port int32, conditions []bool) string {
	words := []string{ip, portName, strconv.Itoa(int(port))}
	for i, name := range []string{"ready", "serving", "terminating"} {
		if conditions[i] {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

// targetPort resolves the target port of a Service port on one Pod, 0 if the Pod has no such port.
func targetPort(pod *corev1.Pod, port corev1.ServicePort) int32 {
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal
	}
	for _, p := range pod.Spec.Containers[0].Ports {
		if p.Name == port.TargetPort.StrVal && (p.Protocol == port.Protocol || p.Protocol == "" && port.Protocol == corev1.ProtocolTCP) {
			return p.ContainerPort
		}
	}
	return 0
}

func familyOf(ip string) corev1.IPFamily {
	if strings.Contains(ip, ":") {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
