// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"
)

// Object is one Service or EndpointSlice.
type Object struct {
	// Name is "Service/web", with the namespace in front when it is not default.
	Name string
	// One of these is set.
	Service *corev1.Service
	Slice   *discoveryv1.EndpointSlice
}

// decode reads a YAML file of Services and EndpointSlices. A field that the API does not
// have is an error.
func decode(text string) ([]Object, error) {
	var out []Object
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

func decodeOne(doc []byte) (Object, error) {
	var kind struct{ Kind string }
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		return Object{}, err
	}
	switch kind.Kind {
	case "Service":
		svc := &corev1.Service{}
		err := yaml.UnmarshalStrict(doc, svc)
		svc.Namespace = cmp.Or(svc.Namespace, "default")
		return Object{Name: objectName("Service", svc.Namespace, svc.Name), Service: svc}, err
	case "EndpointSlice":
		slice := &discoveryv1.EndpointSlice{}
		err := yaml.UnmarshalStrict(doc, slice)
		slice.Namespace = cmp.Or(slice.Namespace, "default")
		slice.AddressType = cmp.Or(slice.AddressType, discoveryv1.AddressTypeIPv4)
		return Object{Name: objectName("EndpointSlice", slice.Namespace, slice.Name), Slice: slice}, err
	}
	return Object{}, fmt.Errorf("kind %q, want Service or EndpointSlice", kind.Kind)
}

func objectName(kind, namespace, name string) string {
	if namespace != "default" {
		name = namespace + "/" + name
	}
	return kind + "/" + name
}
