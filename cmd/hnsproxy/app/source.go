// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// listWatches are the sources of the objects.
type listWatches struct {
	services, slices, nodes cache.ListerWatcher
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

// listWatches opens the source that the options select. files is nil for an API server.
func (p *program) listWatches(ctx context.Context) (lw listWatches, files *objects.Source, err error) {
	o := &p.opts
	if len(o.Objects) == 0 {
		lw, err = p.apiListWatches()
		return lw, nil, err
	}
	files, err = objects.Open(ctx, objects.Options{
		Paths: o.Objects, Stdin: p.deps.In, Validate: services.Validate,
		OnError: func(err error) { logFileError(p.logger, err) },
	})
	if err != nil {
		return listWatches{}, nil, err
	}
	return listWatches{
		services: files.ListerWatcher(objects.Services, selectServices),
		slices:   files.ListerWatcher(objects.EndpointSlices, selectSlices),
		nodes:    files.ListerWatcher(objects.Nodes, selectNode(o.Hostname)),
	}, files, nil
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
	served, err := labels.Parse(services.SliceSelector)
	if err != nil {
		return out, append(errs, fmt.Errorf("select objects: %w", err))
	}
	out.Services = selected(out.Services, served)
	out.EndpointSlices = selected(out.EndpointSlices, served)
	return out, errs
}

func selected[T metav1.Object](all []T, by labels.Selector) []T {
	var out []T
	for _, o := range all {
		if by.Matches(labels.Set(o.GetLabels())) {
			out = append(out, o)
		}
	}
	return out
}
