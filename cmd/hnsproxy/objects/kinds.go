// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Resource is a kind of object that a Service proxy reads, by its name in URLs.
type Resource string

// The resources that files can give.
const (
	Services       Resource = "services"
	EndpointSlices Resource = "endpointslices"
	Nodes          Resource = "nodes"
)

// knownKinds goes into messages about kinds that are not known.
const knownKinds = "a Service proxy reads Service (v1), EndpointSlice (discovery.k8s.io/v1) and Node (v1)"

// allResources lists the resources.
func allResources() []Resource { return []Resource{Services, EndpointSlices, Nodes} }

// object is what Service, EndpointSlice and Node have in common.
type object interface {
	runtime.Object
	metav1.Object
}

// key names an object.
type key struct {
	resource        Resource
	namespace, name string
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.resource, o.resource), cmp.Compare(k.namespace, o.namespace), cmp.Compare(k.name, o.name))
}

func keyOf(r Resource, m metav1.Object) key {
	return key{resource: r, namespace: m.GetNamespace(), name: m.GetName()}
}

// kind returns the kind that r is the resource of.
func (r Resource) kind() schema.GroupVersionKind {
	switch r {
	case Services:
		return corev1.SchemeGroupVersion.WithKind("Service")
	case EndpointSlices:
		return discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice")
	}
	return corev1.SchemeGroupVersion.WithKind("Node")
}

// empty returns a new object of the resource.
func (r Resource) empty() object {
	switch r {
	case Services:
		return &corev1.Service{}
	case EndpointSlices:
		return &discoveryv1.EndpointSlice{}
	}
	return &corev1.Node{}
}

// class says what to do with a document of some apiVersion and kind.
type class int

const (
	used class = iota
	usedList
	anyList
	skipped
	wrongVersion
	unknown
)

// classify says what a document is, and of which resource if it is one of ours.
func classify(apiVersion, kind string) (class, Resource) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return unknown, ""
	}
	gvk := gv.WithKind(kind)
	for _, r := range allResources() {
		ours := r.kind()
		list := ours.GroupVersion().WithKind(ours.Kind + "List")
		switch {
		case gvk == ours:
			return used, r
		case gvk == list:
			return usedList, r
		case kind == ours.Kind && (gv.Group == ours.Group || gv.Group == ""):
			return wrongVersion, r
		}
	}
	switch {
	case kind == "List" && apiVersion == "v1":
		return anyList, ""
	case scheme.Scheme.Recognizes(gvk):
		return skipped, ""
	}
	return unknown, ""
}

// mayBeOurs tells whether a document of unknown kind may be one of ours with a slip in
// apiVersion or kind.
func mayBeOurs(apiVersion string) bool {
	return !strings.Contains(apiVersion, ".") || strings.HasPrefix(apiVersion, discoveryv1.GroupName)
}
