// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package bulk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	// manager is the value of the label that says who keeps an EndpointSlice.
	manager = "bulk.e2e.hnsproxy"
	// parallel is how many requests are on their way at once.
	parallel = 32
	// farNode is the node of all endpoints that are not local.
	farNode = "far"
)

// Cluster writes Services and slices.
type Cluster struct {
	client kubernetes.Interface

	mu       sync.Mutex
	services []*Service
}

// NewCluster returns a Cluster that has written nothing yet. Its client should have no rate limit.
func NewCluster(client kubernetes.Interface) *Cluster { return &Cluster{client: client} }

// Service is a Service with one EndpointSlice.
type Service struct {
	// Object is the Service as the API server made it.
	Object *corev1.Service

	mu    sync.Mutex // guards slice
	slice *discoveryv1.EndpointSlice
}

// Endpoint is one endpoint of a slice.
type Endpoint struct {
	IP netip.Addr
	// Node is the node that it is on; empty means one that is far away.
	Node string
}

// Spec describes a Service: of one IP family, its ports with target ports that are numbers.
type Spec struct {
	Object    *corev1.Service
	Endpoints []Endpoint
}

// Add writes Services, and for each of them an EndpointSlice.
func (c *Cluster) Add(ctx context.Context, specs ...Spec) ([]*Service, error) {
	made := make([]*Service, len(specs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, spec := range specs {
		group.Go(func() error {
			var err error
			made[i], err = c.add(ctx, spec)
			return err
		})
	}
	err := group.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range made {
		if s != nil {
			c.services = append(c.services, s)
		}
	}
	return made, err
}

func (c *Cluster) add(ctx context.Context, spec Spec) (*Service, error) {
	namespace, name := spec.Object.Namespace, spec.Object.Name
	object, err := c.client.CoreV1().Services(namespace).Create(ctx, spec.Object, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create Service %s/%s: %w", namespace, name, err)
	}
	s := &Service{Object: object}
	if len(spec.Object.Status.LoadBalancer.Ingress) > 0 {
		object.Status = spec.Object.Status
		if s.Object, err = c.client.CoreV1().Services(namespace).UpdateStatus(ctx, object, metav1.UpdateOptions{}); err != nil {
			return s, fmt.Errorf("write status of Service %s/%s: %w", namespace, name, err)
		}
	}
	s.slice, err = c.client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, sliceOf(s.Object, spec.Endpoints), metav1.CreateOptions{})
	if err != nil {
		return s, fmt.Errorf("create EndpointSlice of Service %s/%s: %w", namespace, name, err)
	}
	return s, nil
}

func sliceOf(service *corev1.Service, endpoints []Endpoint) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service.Name, Namespace: service.Namespace,
			Labels: map[string]string{discoveryv1.LabelServiceName: service.Name, discoveryv1.LabelManagedBy: manager},
		},
		AddressType: discoveryv1.AddressType(service.Spec.IPFamilies[0]),
	}
	for _, p := range service.Spec.Ports {
		number := p.TargetPort.IntVal
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &number})
	}
	for _, e := range endpoints {
		slice.Endpoints = append(slice.Endpoints, sliceEndpoint(e))
	}
	return slice
}

func sliceEndpoint(e Endpoint) discoveryv1.Endpoint {
	ready, node := true, e.Node
	if node == "" {
		node = farNode
	}
	return discoveryv1.Endpoint{
		Addresses: []string{e.IP.String()}, NodeName: &node,
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready, Terminating: new(bool)},
	}
}

// Services returns what was added and not deleted.
func (c *Cluster) Services() []*Service {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.services)
}

// Replace writes another endpoint in the place of the one with that index. Changes of one Service wait for each other.
func (c *Cluster) Replace(ctx context.Context, s *Service, index int, e Endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.slice.DeepCopy()
	changed.Endpoints[index] = sliceEndpoint(e)
	written, err := c.client.DiscoveryV1().EndpointSlices(changed.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("replace an endpoint of Service %s/%s: %w", changed.Namespace, changed.Name, err)
	}
	s.slice = written
	return nil
}

// Delete deletes Services and their slices.
func (c *Cluster) Delete(ctx context.Context, services ...*Service) error {
	c.mu.Lock()
	c.services = slices.DeleteFunc(c.services, func(s *Service) bool { return slices.Contains(services, s) })
	c.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, s := range services {
		group.Go(func() error {
			namespace, name := s.Object.Namespace, s.Object.Name
			err := c.client.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("delete Service %s/%s: %w", namespace, name, err)
			}
			// The endpoint controller of a cluster may be quicker.
			err = c.client.DiscoveryV1().EndpointSlices(namespace).Delete(ctx, name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("delete EndpointSlice of Service %s/%s: %w", namespace, name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// Backends returns the addresses in the Service's slice.
func (s *Service) Backends() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return backends(s.slice)
}

func backends(slice *discoveryv1.EndpointSlice) []netip.Addr {
	var all []netip.Addr
	for _, e := range slice.Endpoints {
		if ip, err := netip.ParseAddr(e.Addresses[0]); err == nil {
			all = append(all, ip)
		}
	}
	return all
}

// Frontends returns what HNS must answer on for the Service.
func (s *Service) Frontends() []hnslb.FrontendKey { return frontends(s.Object) }

func frontends(service *corev1.Service) []hnslb.FrontendKey {
	vips := append([]string{service.Spec.ClusterIP}, service.Spec.ExternalIPs...)
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		vips = append(vips, ingress.IP)
	}
	family := hnslb.IPv4
	if service.Spec.IPFamilies[0] == corev1.IPv6Protocol {
		family = hnslb.IPv6
	}
	var keys []hnslb.FrontendKey
	for _, p := range service.Spec.Ports {
		protocol := hnslb.TCP
		if p.Protocol == corev1.ProtocolUDP {
			protocol = hnslb.UDP
		}
		for _, vip := range vips {
			if ip, err := netip.ParseAddr(vip); err == nil {
				keys = append(keys, hnslb.FrontendKey{Family: family, VIP: ip, Protocol: protocol, Port: uint16(p.Port)})
			}
		}
		if p.NodePort != 0 {
			keys = append(keys, hnslb.FrontendKey{Family: family, Protocol: protocol, Port: uint16(p.NodePort)})
		}
	}
	return keys
}

// Find returns a Service that something else keeps, such as default/kubernetes, which an API server that has just started may
// not have made yet. It is an error when it has not one slice within half a minute.
func Find(ctx context.Context, client kubernetes.Interface, namespace, name string) (*Service, error) {
	var found *Service
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		found, last = find(ctx, client, namespace, name)
		return last == nil, nil
	})
	if err != nil {
		return nil, errors.Join(last, err)
	}
	return found, nil
}

func find(ctx context.Context, client kubernetes.Interface, namespace, name string) (*Service, error) {
	object, err := client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("find Service %s/%s: %w", namespace, name, err)
	}
	selector := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name}
	all, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, selector)
	if err != nil {
		return nil, fmt.Errorf("find EndpointSlices of Service %s/%s: %w", namespace, name, err)
	}
	if len(all.Items) != 1 {
		return nil, fmt.Errorf("service %s/%s has %d EndpointSlices, want one", namespace, name, len(all.Items))
	}
	return &Service{Object: object, slice: &all.Items[0]}, nil
}
