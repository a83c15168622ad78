// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// informers are the source of objects that is an API server.
type informers struct {
	of map[objects.Resource]cache.SharedIndexInformer
	// synced are done when the handlers have seen the whole first list.
	synced []cache.DoneChecker
}

func newInformers(lw listWatches, resync time.Duration, k cacheTransform, h handlers) (*informers, error) {
	i := &informers{of: map[objects.Resource]cache.SharedIndexInformer{}}
	for r, example := range map[objects.Resource]runtime.Object{
		objects.Services:       &corev1.Service{},
		objects.EndpointSlices: &discoveryv1.EndpointSlice{},
		objects.Nodes:          &corev1.Node{},
	} {
		informer := cache.NewSharedIndexInformerWithOptions(lw[r], example,
			cache.SharedIndexInformerOptions{ResyncPeriod: resync})
		if err := informer.SetTransform(k.transform); err != nil {
			return nil, err
		}
		if err := informer.SetWatchErrorHandlerWithContext(quietWatchErrors); err != nil {
			return nil, err
		}
		registered, err := informer.AddEventHandler(h[r])
		if err != nil {
			return nil, err
		}
		i.of[r] = informer
		i.synced = append(i.synced, registered.HasSyncedChecker())
	}
	return i, nil
}

// run is part of source.
func (i *informers) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, informer := range i.of {
		wg.Go(func() { informer.RunWithContext(ctx) })
	}
	wg.Wait()
}

// wait is part of source.
func (i *informers) wait(ctx context.Context) bool {
	quiet := klog.NewContext(ctx, klog.FromContext(ctx).V(2))
	return cache.WaitFor(quiet, "the first lists", i.synced...)
}

// get is part of source.
func (i *informers) get(r objects.Resource, namespace, name string) metav1.Object {
	obj, _, _ := i.of[r].GetStore().GetByKey(cache.NewObjectName(namespace, name).String()) // a store of client-go never fails
	out, _ := obj.(metav1.Object)
	return out
}

// eventHandler is a cache.ResourceEventHandler for one type of object.
type eventHandler[T any] struct {
	// set receives an added or updated object; old is nil for an added one.
	set    func(old, obj T)
	remove func(obj T)
}

// OnAdd implements cache.ResourceEventHandler.
func (h eventHandler[T]) OnAdd(obj any, _ bool) {
	if o, ok := obj.(T); ok {
		var none T
		h.set(none, o)
	}
}

// OnUpdate implements cache.ResourceEventHandler.
func (h eventHandler[T]) OnUpdate(old, obj any) {
	if o, ok := obj.(T); ok {
		was, _ := old.(T)
		h.set(was, o)
	}
}

// OnDelete implements cache.ResourceEventHandler. A deletion that the watch missed is delivered as
// a tombstone with the last known object.
func (h eventHandler[T]) OnDelete(obj any) {
	if stone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = stone.Obj
	}
	if o, ok := obj.(T); ok {
		h.remove(o)
	}
}

// feeder passes objects from a source to the proxy.
type feeder struct {
	proxier *proxier.Proxier
	metrics *metrics.Metrics
	health  *health.Health
	ports   *health.NodePorts
	// emulation hears of EndpointSlices too; nil for none.
	emulation Emulation
	// bindAddresses are the node addresses of --bind-address, which take precedence over those of
	// the Node object.
	bindAddresses []netip.Addr
	logger        klog.Logger
	// nodeDeleted is true while the Node does not exist any more.
	nodeDeleted bool
}

// handlers returns what makes the proxy, and the emulated network plugin, follow a source.
func (f *feeder) handlers() handlers {
	store := f.proxier.Store()
	return handlers{
		objects.Services: eventHandler[*cachedService]{
			set: func(_, s *cachedService) {
				f.note(f.metrics.ServiceChange, s, store.PutService(nameOf(s), s.value), s.err)
			},
			remove: func(s *cachedService) { f.note(f.metrics.ServiceChange, s, store.DeleteService(nameOf(s)), nil) },
		},
		objects.EndpointSlices: eventHandler[*cachedSlice]{
			set: func(old, s *cachedSlice) {
				var was *services.Slice
				if old != nil {
					was = old.value
				}
				f.emulate(s, s.value)
				f.note(f.metrics.EndpointChange, s, store.PutSlice(was, s.value), s.err)
			},
			remove: func(s *cachedSlice) {
				f.emulate(s, nil)
				f.note(f.metrics.EndpointChange, s, store.PutSlice(s.value, nil), nil)
			},
		},
		objects.Nodes: eventHandler[*corev1.Node]{
			set:    func(_, n *corev1.Node) { f.setNode(n) },
			remove: f.removeNode,
		},
	}
}

func (f *feeder) emulate(s *cachedSlice, value *services.Slice) {
	if f.emulation != nil {
		f.emulation.SetSlice(cache.MetaObjectToName(s), value)
	}
}

func nameOf(s *cachedService) services.Name {
	return services.Name{Namespace: s.Namespace, Name: s.Name}
}

// note counts a relevant change, and logs the fields that cannot be used. The rest of such an
// object is used (law 9).
func (f *feeder) note(count func(), obj klog.KMetadata, changed bool, err error) {
	if changed {
		count()
	}
	if err != nil {
		f.logger.Error(err, "Object has invalid values; ignoring them", "kind", kindOf(obj), "object", klog.KObj(obj))
	}
}

func kindOf(obj any) string {
	switch obj.(type) {
	case *cachedService:
		return "Service"
	case *cachedSlice:
		return "EndpointSlice"
	}
	return "Node"
}

func (f *feeder) setNode(obj *corev1.Node) {
	n, err := services.ReadNode(obj)
	f.note(nil, obj, false, err)
	n = n.WithOverrides(f.bindAddresses)
	if f.nodeDeleted {
		f.nodeDeleted = false
		f.logger.Info("Node was created again; health checks tell load balancers to send traffic to this node", "node", klog.KObj(obj), "addresses", n.IPs)
	}
	f.proxier.SetNode(n)
	f.ports.SetNode(n)
	f.health.SetNodeEligible(n.Eligible)
}

// removeNode makes cloud load balancers stop using this node. Existing rules, zone and addresses
// stay, since pods may still run here.
func (f *feeder) removeNode(obj *corev1.Node) {
	f.nodeDeleted = true
	f.logger.Info("Node was deleted; health checks tell load balancers not to send traffic to this node; existing rules left in place", "node", klog.KObj(obj))
	f.health.SetNodeEligible(false)
}
