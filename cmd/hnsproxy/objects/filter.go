// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
)

// filter is what the selectors of a list or watch let through.
type filter struct {
	labels labels.Selector
	fields fields.Selector
}

// newFilter reads the selectors. A field that an API server does not select by is refused,
// as it does.
func newFilter(r Resource, options *metav1.ListOptions) (filter, error) {
	l, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return filter{}, apierrors.NewBadRequest(fmt.Sprintf("label selector %q: %v", options.LabelSelector, err))
	}
	f, err := fields.ParseSelector(options.FieldSelector)
	if err != nil {
		return filter{}, apierrors.NewBadRequest(fmt.Sprintf("field selector %q: %v", options.FieldSelector, err))
	}
	known := fieldsOf(r.empty())
	for _, requirement := range f.Requirements() {
		if !known.Has(requirement.Field) {
			return filter{}, apierrors.NewBadRequest(fmt.Sprintf("field label not supported for %s: %s", r, requirement.Field))
		}
	}
	return filter{labels: l, fields: f}, nil
}

// fieldsOf returns the fields that an object can be selected by.
func fieldsOf(o object) fields.Set {
	out := fields.Set{"metadata.name": o.GetName()}
	switch o := o.(type) {
	case *corev1.Service:
		out["spec.clusterIP"] = o.Spec.ClusterIP
		out["spec.type"] = string(o.Spec.Type)
	case *corev1.Node:
		out["spec.unschedulable"] = fmt.Sprint(o.Spec.Unschedulable)
		return out // no namespace
	}
	out["metadata.namespace"] = o.GetNamespace()
	return out
}

func (f filter) matches(o object) bool {
	if o == nil || !f.labels.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	return f.fields.Empty() || f.fields.Matches(fieldsOf(o))
}

func (f filter) filter(objects []object) []object {
	out := make([]object, 0, len(objects))
	for _, o := range objects {
		if f.matches(o) {
			out = append(out, o)
		}
	}
	return out
}

// event says what a change is to someone who sees what the filter lets through: an object
// that no longer matches is deleted for them, and comes with the version of the change.
func (f filter) event(c change) (watch.Event, bool) {
	before, after := f.matches(c.old), f.matches(c.new)
	switch {
	case before && after:
		return watch.Event{Type: watch.Modified, Object: c.new}, true
	case after:
		return watch.Event{Type: watch.Added, Object: c.new}, true
	case before:
		return watch.Event{Type: watch.Deleted, Object: atRevision(c.old, c.revision)}, true
	}
	return watch.Event{}, false
}
