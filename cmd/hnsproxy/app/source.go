// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io"
	"slices"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// source follows Services, EndpointSlices and Nodes and tells handlers of them.
type source interface {
	// run follows until ctx ends.
	run(ctx context.Context)
	// wait returns when all handlers have seen the first objects. It is false when ctx ended
	// before.
	wait(ctx context.Context) bool
	// get returns what is there of an object, nil if there is none.
	get(r objects.Resource, namespace, name string) metav1.Object
}

type (
	// handlers take a *cachedService, a *cachedSlice or a *corev1.Node.
	handlers    map[objects.Resource]cache.ResourceEventHandler
	listWatches map[objects.Resource]cache.ListerWatcher
)

// fileSource is the source of objects that is files.
type fileSource struct {
	files     *objects.Source
	transform cacheTransform
	handlers  handlers
	hostname  string
}

var (
	_ source = (*informers)(nil)
	_ source = (*fileSource)(nil)
)

func (p *program) openFiles(ctx context.Context, k cacheTransform, h handlers) (source, error) {
	f := &fileSource{transform: k, handlers: h, hostname: p.opts.Hostname}
	files, err := objects.Open(ctx, objects.Options{
		Paths: p.opts.Objects, Stdin: p.deps.In, Validate: services.Validate, OnChange: f.change,
		OnError: func(err error) { logFileError(p.logger, err) },
	})
	f.files = files
	return f, err
}

// run is part of source.
func (f *fileSource) run(ctx context.Context) { f.files.Run(ctx) }

// wait is part of source: the handlers saw the first objects when the files were opened.
func (f *fileSource) wait(ctx context.Context) bool { return ctx.Err() == nil }

// get is part of source.
func (f *fileSource) get(r objects.Resource, namespace, name string) metav1.Object {
	return f.files.Get(r, namespace, name)
}

// change tells the handler of an object that changed. One that is no longer served is
// removed for it.
func (f *fileSource) change(r objects.Resource, old, obj metav1.Object) {
	was, is := f.kept(old), f.kept(obj)
	switch h := f.handlers[r]; {
	case was != nil && is != nil:
		h.OnUpdate(was, is)
	case is != nil:
		h.OnAdd(is, false)
	case was != nil:
		h.OnDelete(was)
	}
}

// kept returns what the handlers take of an object; nil for one that is not served.
func (f *fileSource) kept(obj metav1.Object) any {
	node, isNode := obj.(*corev1.Node)
	if obj == nil || !services.Serves(obj) || isNode && node.Name != f.hostname {
		return nil
	}
	return f.transform.cached(obj)
}

// The selectors are those of kube-proxy 1.37: no Services of another proxy, no headless ones, and
// only this Node.
func selectServices(l *metav1.ListOptions) {
	l.LabelSelector = services.ServiceSelector
	l.FieldSelector = fields.OneTermNotEqualSelector("spec.clusterIP", corev1.ClusterIPNone).String()
}

func selectSlices(l *metav1.ListOptions) { l.LabelSelector = services.SliceSelector }

func selectNode(name string) func(*metav1.ListOptions) {
	return func(l *metav1.ListOptions) {
		l.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}

func logFileError(logger klog.Logger, err error) {
	if objects.IsWarning(err) {
		logger.Info("Object in a file accepted with a warning", "warning", err.Error())
		return
	}
	logger.Error(err, "Invalid object in a file")
}

// readObjects reads files once and returns the objects that kube-proxy would serve.
func readObjects(ctx context.Context, paths []string, stdin io.Reader) (objects.Objects, []error) {
	out, errs := objects.Read(ctx, objects.Options{Paths: paths, Stdin: stdin, Validate: services.Validate})
	out.Services = slices.DeleteFunc(out.Services, func(s *corev1.Service) bool { return !services.Serves(s) })
	out.EndpointSlices = slices.DeleteFunc(out.EndpointSlices, func(s *discoveryv1.EndpointSlice) bool { return !services.Serves(s) })
	return out, errs
}
