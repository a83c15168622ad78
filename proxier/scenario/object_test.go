// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// object is an object of the API server.
type object struct {
	Object
	// before is the slice that this one replaces, which an informer hands along.
	before *discoveryv1.EndpointSlice
}

// put hands a copy of the object to the store, as an informer does. What the store cannot
// understand was said by validate.
func (o object) put(s *services.Store) {
	if o.Service != nil {
		_, _ = s.SetService(o.Service.DeepCopy())
		return
	}
	_, _ = s.SetSlice(o.before, o.Slice.DeepCopy())
}

func (o object) validate() error {
	if o.Service != nil {
		return services.Validate(o.Service)
	}
	return services.Validate(o.Slice)
}

func (o object) remove(s *services.Store) {
	if o.Service != nil {
		s.DeleteService(services.Name{Namespace: o.Service.Namespace, Name: o.Service.Name})
		return
	}
	s.DeleteSlice(o.Slice)
}

// apply hands the objects of a section to the proxy, in the way of the run. It returns
// what of them a proxy cannot understand; the rest of such an object counts.
func (w *world) apply(section string) error {
	objects, err := w.objectsOf(section)
	if err != nil {
		return err
	}
	var invalid []error
	for _, o := range objects {
		invalid = append(invalid, o.validate())
		if i := w.find(o.Name); i < 0 {
			w.objects = append(w.objects, o)
		} else {
			o.before = w.objects[i].Slice
			w.objects[i] = o
		}
		if w.proxy != nil {
			o.put(w.proxy.Store())
			if w.way.Variant.Double {
				o.before = o.Slice
				o.put(w.proxy.Store())
			}
		}
		if w.way.Variant.Split {
			w.settle()
			w.changed()
		}
	}
	return errors.Join(invalid...)
}

// remove takes objects away.
func (w *world) remove(objects []object) error {
	for _, o := range objects {
		i := w.find(o.Name)
		if i < 0 {
			return fmt.Errorf("there is no %s", o.Name)
		}
		o = w.objects[i]
		w.objects = slices.Delete(w.objects, i, i+1)
		if w.proxy != nil {
			o.remove(w.proxy.Store())
		}
		if w.way.Variant.Split {
			w.settle()
			w.changed()
		}
	}
	return nil
}

// objectsOf returns the objects of a section, in the order of the run.
func (w *world) objectsOf(section string) ([]object, error) {
	read, err := w.script.Objects(section, w.way.Network)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, o := range read {
		objects = append(objects, object{Object: o})
	}
	if w.way.Variant.Reverse {
		slices.Reverse(objects)
	}
	return objects, nil
}

func (w *world) find(name string) int {
	return slices.IndexFunc(w.objects, func(o object) bool { return o.Name == name })
}
