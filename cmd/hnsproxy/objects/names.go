// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// badName says what an API server would refuse in the name or namespace of an object; nil
// if nothing. Such a name tells as little as a missing one which object is meant.
func (h head) badName(at Place, k key) *Error {
	const remedy = "fix it; until then the last valid contents of the file stay in effect"
	if wrong := wrongName(k); len(wrong) > 0 {
		return h.problem(at, "metadata.name", strings.Join(wrong, "; "), remedy)
	}
	if wrong := validation.IsDNS1123Label(k.namespace); k.resource != Nodes && len(wrong) > 0 {
		return h.problem(at, "metadata.namespace", strings.Join(wrong, "; "), remedy)
	}
	return nil
}

// wrongName takes for a Service what Kubernetes takes since it relaxed the rule, a label
// that may begin with a digit.
func wrongName(k key) []string {
	if k.resource == Services {
		return validation.IsDNS1123Label(k.name)
	}
	return validation.IsDNS1123Subdomain(k.name)
}

// badPortNames says which port names an API server would refuse.
func badPortNames(o object) []*Error {
	var out []*Error
	add := func(path *field.Path, name string) {
		if name == "" {
			return // whether it may be empty depends on the other ports
		}
		if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
			out = append(out, &Error{Field: path.String(), Why: strings.Join(wrong, "; "), Remedy: remedyInvalid})
		}
	}
	switch o := o.(type) {
	case *corev1.Service:
		for i := range o.Spec.Ports {
			add(field.NewPath("spec", "ports").Index(i).Child("name"), o.Spec.Ports[i].Name)
		}
	case *discoveryv1.EndpointSlice:
		for i := range o.Ports {
			add(field.NewPath("ports").Index(i).Child("name"), *o.Ports[i].Name)
		}
	}
	return out
}
