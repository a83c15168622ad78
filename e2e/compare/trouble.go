// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const (
	// awayFor is how long HNS, or the Node, is away.
	awayFor = 5 * time.Second
	// takenVIP is the address that a leftover holds, halfMadeVIP that of one without port mappings.
	takenVIP, halfMadeVIP = "10.96.200.1", "10.96.200.2"
)

// trouble is something that happens to a node whose HNS holds everything.
type trouble struct {
	name string
	// happen lets it happen, and returns when it is over and only healing is left.
	happen func(context.Context, *run) error
}

// troubles are in the order in which a node meets them: those of the Node come last, since some programs end on them.
func troubles() []trouble {
	return []trouble{
		{"HNS is away and says 0x800706b5, a change meanwhile", hnsAway(hnslb.ResultUnknownInterface)},
		{"HNS is away and says 0x800706ba, a change meanwhile", hnsAway(hnslb.ResultServerUnavailable)},
		{"HNS restarts without its load balancers", func(_ context.Context, u *run) error {
			u.hns.Restart(emulator.RestartOptions{LoseLoadBalancers: true})
			return nil
		}},
		{"somebody deletes a load balancer", deletedBehind},
		{"a load balancer without port mappings, then a change", halfMade},
		{"a new Service, its address held by a leftover", addressTaken},
		{"the Node gets another address", otherNodeAddress},
		{"the Node is deleted and made anew", nodeMadeAnew},
	}
}

func hnsAway(code hnslb.HRESULT) func(context.Context, *run) error {
	return func(ctx context.Context, u *run) error {
		u.hns.SetFaults(profiles.Faults{StoppedCode: code})
		u.hns.Stop()
		err := u.replaceOne(ctx)
		pass(ctx, awayFor)
		u.hns.Start(emulator.RestartOptions{})
		u.hns.ClearFaults()
		return err
	}
}

// pass lets time pass.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// replaceOne replaces one endpoint of a Service.
func (u *run) replaceOne(ctx context.Context) error {
	s, ip := u.services[1], u.nextIP()
	u.tracker.Expect(s, s.Backends()[0], ip)
	return u.cluster.Replace(ctx, s, 0, bulk.Endpoint{IP: ip})
}

func deletedBehind(_ context.Context, u *run) error {
	key := u.services[1].Frontends()[0]
	for _, lb := range u.hns.State().LoadBalancers {
		if k, ok := lb.Key(); ok && k == key {
			return u.hns.DeleteBehind(lb.ID)
		}
	}
	return fmt.Errorf("HNS holds nothing on %s", key)
}

// halfMade leaves what a create that fails half-way leaves.
func halfMade(ctx context.Context, u *run) error {
	if _, err := u.hns.AddForeignLoadBalancer(hnslb.LoadBalancer{VIPs: []netip.Addr{netip.MustParseAddr(halfMadeVIP)}}); err != nil {
		return err
	}
	return u.replaceOne(ctx)
}

// addressTaken leaves a load balancer such as an earlier proxy makes, and then makes a Service on its address.
func addressTaken(ctx context.Context, u *run) error {
	spec := u.service(metav1.NamespaceDefault, "on-a-leftover", takenVIP, u.options.endpoints)
	ep, err := u.hns.AddForeignEndpoint(networkName, hnslb.Endpoint{IPs: []netip.Addr{u.nextIP()}, Remote: true, MAC: "02-11-0a-80-00-01"})
	if err != nil {
		return err
	}
	port := spec.Object.Spec.Ports[0]
	_, err = u.hns.AddForeignLoadBalancer(hnslb.LoadBalancer{
		Endpoints: []hnslb.ID{ep.ID}, VIPs: []netip.Addr{netip.MustParseAddr(takenVIP)},
		Mappings: []hnslb.PortMapping{{
			Protocol: hnslb.TCP, InternalPort: uint16(port.TargetPort.IntVal), ExternalPort: uint16(port.Port),
		}},
	})
	if err != nil {
		return err
	}
	made, err := u.cluster.Add(ctx, spec)
	if err != nil {
		return err
	}
	u.tracker.Want(made...)
	u.services = append(u.services, made...)
	return nil
}

func otherNodeAddress(ctx context.Context, u *run) error {
	nodes := u.plane.Admin.CoreV1().Nodes()
	node, err := nodes.Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("change the Node's address: %w", err)
	}
	for i, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			node.Status.Addresses[i].Address = u.network.ManagementIP.Next().String()
		}
	}
	if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("change the Node's address: %w", err)
	}
	return nil
}

func nodeMadeAnew(ctx context.Context, u *run) error {
	if err := kubelet.New(u.plane.Admin).RemoveNode(ctx, nodeName); err != nil {
		return err
	}
	pass(ctx, awayFor)
	return u.addNode(ctx)
}

// restoreNode makes the Node as it was at first.
func (l *lab) restoreNode(ctx context.Context) error {
	_ = kubelet.New(l.plane.Admin).RemoveNode(ctx, nodeName) // it may be away; then the next line is all there is to do
	return l.addNode(ctx)
}
