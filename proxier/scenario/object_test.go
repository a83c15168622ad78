// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"

	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// object is one Service or EndpointSlice.
type object struct {
	// name is "Service/web", with the namespace in front when it is not default.
	name    string
	service *corev1.Service
	slice   *discoveryv1.EndpointSlice
	// before is the slice that this one replaces, which an informer hands along.
	before *discoveryv1.EndpointSlice
}

// put hands a copy of the object to the store, as an informer does. What the store cannot
// understand was said by validate.
func (o object) put(s *services.Store) {
	if o.service != nil {
		_, _ = s.SetService(o.service.DeepCopy())
		return
	}
	_, _ = s.SetSlice(o.before, o.slice.DeepCopy())
}

func (o object) validate() error {
	if o.service != nil {
		return services.Validate(o.service)
	}
	return services.Validate(o.slice)
}

func (o object) remove(s *services.Store) {
	if o.service != nil {
		s.DeleteService(services.Name{Namespace: o.service.Namespace, Name: o.service.Name})
		return
	}
	s.DeleteSlice(o.slice)
}

// decode reads a YAML file of Services and EndpointSlices. A field that the API does not
// have is an error.
func decode(text string) ([]object, error) {
	var out []object
	for i, doc := range bytes.Split([]byte("\n"+text), []byte("\n---")) {
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		o, err := decodeOne(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		out = append(out, o)
	}
	return out, nil
}

func decodeOne(doc []byte) (object, error) {
	var kind struct{ Kind string }
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		return object{}, err
	}
	switch kind.Kind {
	case "Service":
		svc := &corev1.Service{}
		err := yaml.UnmarshalStrict(doc, svc)
		svc.Namespace = cmp.Or(svc.Namespace, "default")
		return object{name: objectName("Service", svc.Namespace, svc.Name), service: svc}, err
	case "EndpointSlice":
		slice := &discoveryv1.EndpointSlice{}
		err := yaml.UnmarshalStrict(doc, slice)
		slice.Namespace = cmp.Or(slice.Namespace, "default")
		slice.AddressType = cmp.Or(slice.AddressType, discoveryv1.AddressTypeIPv4)
		return object{name: objectName("EndpointSlice", slice.Namespace, slice.Name), slice: slice}, err
	}
	return object{}, fmt.Errorf("kind %q, want Service or EndpointSlice", kind.Kind)
}

func objectName(kind, namespace, name string) string {
	if namespace != "default" {
		name = namespace + "/" + name
	}
	return kind + "/" + name
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
		if i := w.find(o.name); i < 0 {
			w.objects = append(w.objects, o)
		} else {
			o.before = w.objects[i].slice
			w.objects[i] = o
		}
		if w.proxy != nil {
			o.put(w.proxy.Store())
			if w.way.variant.double {
				o.before = o.slice
				o.put(w.proxy.Store())
			}
		}
		if w.way.variant.split {
			w.settle()
			w.changed()
		}
	}
	return errors.Join(invalid...)
}

// remove takes objects away.
func (w *world) remove(objects []object) error {
	for _, o := range objects {
		i := w.find(o.name)
		if i < 0 {
			return fmt.Errorf("there is no %s", o.name)
		}
		o = w.objects[i]
		w.objects = slices.Delete(w.objects, i, i+1)
		if w.proxy != nil {
			o.remove(w.proxy.Store())
		}
		if w.way.variant.split {
			w.settle()
			w.changed()
		}
	}
	return nil
}

// objectsOf returns the objects of a section, in the order of the run.
func (w *world) objectsOf(section string) ([]object, error) {
	text, ok := w.script.section(section, w.way.network)
	if !ok {
		return nil, fmt.Errorf("no section %q", section)
	}
	objects, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", section, err)
	}
	if w.way.variant.reverse {
		slices.Reverse(objects)
	}
	return objects, nil
}

func (w *world) find(name string) int {
	return slices.IndexFunc(w.objects, func(o object) bool { return o.name == name })
}
