// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// informers watch the objects of a source.
type informers struct {
	services, slices, nodes cache.SharedIndexInformer
	// synced are done when the handlers have received the complete initial lists.
	synced []cache.DoneChecker
}

func newInformers(lw listWatches, resync time.Duration, k cacheTransform) (*informers, error) {
	i := &informers{}
	for _, x := range []struct {
		to      *cache.SharedIndexInformer
		from    cache.ListerWatcher
		example runtime.Object
	}{
		{&i.services, lw.services, &corev1.Service{}},
		{&i.slices, lw.slices, &discoveryv1.EndpointSlice{}},
		{&i.nodes, lw.nodes, &corev1.Node{}},
	} {
		*x.to = cache.NewSharedIndexInformerWithOptions(x.from, x.example,
			cache.SharedIndexInformerOptions{ResyncPeriod: resync})
		if err := (*x.to).SetTransform(k.transform); err != nil {
			return nil, err
		}
		if err := (*x.to).SetWatchErrorHandlerWithContext(quietWatchErrors); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// handle adds a handler. It must be called before run.
func (i *informers) handle(informer cache.SharedIndexInformer, h cache.ResourceEventHandler) error {
	r, err := informer.AddEventHandler(h)
	if err != nil {
		return err
	}
	i.synced = append(i.synced, r.HasSyncedChecker())
	return nil
}

// run runs the informers until ctx ends.
func (i *informers) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, informer := range []cache.SharedIndexInformer{i.nodes, i.services, i.slices} {
		wg.Go(func() { informer.RunWithContext(ctx) })
	}
	wg.Wait()
}

// wait waits until all handlers have received the initial lists. It returns false if ctx ended
// before.
func (i *informers) wait(ctx context.Context) bool {
	quiet := klog.NewContext(ctx, klog.FromContext(ctx).V(2))
	return cache.WaitFor(quiet, "the first lists", i.synced...)
}

// node returns the named Node object, nil if it does not exist.
func (i *informers) node(name string) *corev1.Node {
	obj, ok, err := i.nodes.GetStore().GetByKey(name)
	if err != nil || !ok {
		return nil
	}
	n, _ := obj.(*corev1.Node)
	return n
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

// feeder passes objects from the informers to the proxy.
type feeder struct {
	proxier *proxier.Proxier
	metrics *metrics.Metrics
	health  *health.Health
	ports   *health.NodePorts
	// bindAddresses are the node addresses of --bind-address, which take precedence over those of
	// the Node object.
	bindAddresses []netip.Addr
	logger        klog.Logger
	// nodeDeleted is true while the Node does not exist any more.
	nodeDeleted bool
}

// attach adds the handlers to the informers.
func (f *feeder) attach(i *informers) error {
	store := f.proxier.Store()
	err := i.handle(i.services, eventHandler[*cachedService]{
		set: func(_, s *cachedService) {
			f.note(f.metrics.ServiceChange, s, store.PutService(nameOf(s), s.value), s.err)
		},
		remove: func(s *cachedService) { f.note(f.metrics.ServiceChange, s, store.DeleteService(nameOf(s)), nil) },
	})
	if err != nil {
		return err
	}
	err = i.handle(i.slices, eventHandler[*cachedSlice]{
		set: func(old, s *cachedSlice) {
			var was *services.Slice
			if old != nil {
				was = old.value
			}
			f.note(f.metrics.EndpointChange, s, store.PutSlice(was, s.value), s.err)
		},
		remove: func(s *cachedSlice) { f.note(f.metrics.EndpointChange, s, store.PutSlice(s.value, nil), nil) },
	})
	if err != nil {
		return err
	}
	return i.handle(i.nodes, eventHandler[*corev1.Node]{
		set:    func(_, n *corev1.Node) { f.setNode(n) },
		remove: f.removeNode,
	})
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
