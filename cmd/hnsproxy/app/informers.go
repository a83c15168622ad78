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

func newInformers(lw listWatches, resync time.Duration, k keeper, h handlers) (*informers, error) {
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

// eventHandler is a cache.ResourceEventHandler of one type of object.
type eventHandler[T any] struct {
	// set takes an added or changed object; old is nil for an added one.
	set    func(old, obj T)
	remove func(obj T)
}

// OnAdd is part of cache.ResourceEventHandler.
func (h eventHandler[T]) OnAdd(obj any, _ bool) {
	if o, ok := obj.(T); ok {
		var none T
		h.set(none, o)
	}
}

// OnUpdate is part of cache.ResourceEventHandler.
func (h eventHandler[T]) OnUpdate(old, obj any) {
	if o, ok := obj.(T); ok {
		was, _ := old.(T)
		h.set(was, o)
	}
}

// OnDelete is part of cache.ResourceEventHandler. A deletion that the watch missed comes
// as a tombstone with the last known object.
func (h eventHandler[T]) OnDelete(obj any) {
	if stone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = stone.Obj
	}
	if o, ok := obj.(T); ok {
		h.remove(o)
	}
}

// feeder puts what a source tells into the proxy.
type feeder struct {
	proxier *proxier.Proxier
	metrics *metrics.Metrics
	health  *health.Health
	ports   *health.NodePorts
	// emulation hears of EndpointSlices too; nil for none.
	emulation Emulation
	// given are the node's addresses by --bind-address, which outrank those of its object.
	given  []netip.Addr
	logger klog.Logger
	// gone tells that the Node was deleted.
	gone bool
}

// handlers returns what makes the proxy, and the emulated network plugin, follow a source.
func (f *feeder) handlers() handlers {
	store := f.proxier.Store()
	return handlers{
		objects.Services: eventHandler[*keptService]{
			set: func(_, s *keptService) {
				f.note(f.metrics.ServiceChange, s, store.PutService(nameOf(s), s.value), s.err)
			},
			remove: func(s *keptService) { f.note(f.metrics.ServiceChange, s, store.DeleteService(nameOf(s)), nil) },
		},
		objects.EndpointSlices: eventHandler[*keptSlice]{
			set: func(old, s *keptSlice) {
				var was *services.Slice
				if old != nil {
					was = old.value
				}
				f.emulate(s, s.value)
				f.note(f.metrics.EndpointChange, s, store.PutSlice(was, s.value), s.err)
			},
			remove: func(s *keptSlice) {
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

func (f *feeder) emulate(s *keptSlice, value *services.Slice) {
	if f.emulation != nil {
		f.emulation.SetSlice(cache.MetaObjectToName(s), value)
	}
}

func nameOf(s *keptService) services.Name { return services.Name{Namespace: s.Namespace, Name: s.Name} }

// note counts a change if it mattered, and says which values could not be used. The rest
// of such an object is in force (law 9).
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
	case *keptService:
		return "Service"
	case *keptSlice:
		return "EndpointSlice"
	}
	return "Node"
}

func (f *feeder) setNode(obj *corev1.Node) {
	n, err := services.NodeOf(obj)
	f.note(nil, obj, false, err)
	n = n.WithGiven(f.given)
	if f.gone {
		f.gone = false
		f.logger.Info("Node was created again; health checks tell load balancers to send traffic to this node", "node", klog.KObj(obj), "addresses", n.IPs)
	}
	f.proxier.SetNode(n)
	f.ports.SetNode(n)
	f.health.SetNodeEligible(n.Eligible)
}

// removeNode stops load balancers from sending here. What is programmed stays: pods of
// this node may live on, and their zone and addresses with them.
func (f *feeder) removeNode(obj *corev1.Node) {
	f.gone = true
	f.logger.Info("Node was deleted; health checks tell load balancers not to send traffic to this node; existing rules left in place", "node", klog.KObj(obj))
	f.health.SetNodeEligible(false)
}
