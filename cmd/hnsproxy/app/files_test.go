// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestFileSource: the handlers hear of what the selectors of an API server would let through.
// An object that starts or ceases to match is added or removed for them, and what they keep is
// what informers would keep.
func TestFileSource(t *testing.T) {
	t.Parallel()
	var got []string
	var value *services.Slice
	h := handlers{
		objects.Services: eventHandler[*cachedService]{
			set: func(old, s *cachedService) {
				if old == nil {
					got = append(got, "add "+s.Name)
					return
				}
				got = append(got, "update "+old.Name)
			},
			remove: func(s *cachedService) { got = append(got, "remove "+s.Name) },
		},
		objects.EndpointSlices: eventHandler[*cachedSlice]{
			set:    func(_, s *cachedSlice) { value, got = s.value, append(got, "set "+s.Name) },
			remove: func(s *cachedSlice) { got = append(got, "remove "+s.Name) },
		},
		objects.Nodes: eventHandler[*corev1.Node]{
			set:    func(_, n *corev1.Node) { got = append(got, "set "+n.Name) },
			remove: func(n *corev1.Node) { got = append(got, "remove "+n.Name) },
		},
	}
	f := &fileSource{transform: cacheTransform{store: services.NewStore("me", fatSlice().CreationTimestamp.Time)}, handlers: h, hostname: "me"}
	with := func(obj metav1.Object, label string) metav1.Object {
		obj.GetLabels()[label] = ""
		return obj
	}
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: fatMeta(name)} }
	const otherProxy = "service.kubernetes.io/service-proxy-name"
	for _, tt := range []struct {
		name     string
		resource objects.Resource
		old, obj metav1.Object
		want     string
	}{
		{"a Service is added", objects.Services, nil, fatService(), "add web"},
		{"it changes", objects.Services, fatService(), fatService(), "update web"},
		{"it goes to another proxy", objects.Services, fatService(), with(fatService(), otherProxy), "remove web"},
		{"it changes there", objects.Services, with(fatService(), otherProxy), with(fatService(), otherProxy), ""},
		{"it comes back", objects.Services, with(fatService(), otherProxy), fatService(), "add web"},
		{"it is removed", objects.Services, fatService(), nil, "remove web"},
		{"a label of slices does not matter to it", objects.Services, nil, with(fatService(), corev1.IsHeadlessService), "add web"},
		{"a slice is added", objects.EndpointSlices, nil, fatSlice(), "set web-1"},
		{"it becomes that of a headless Service", objects.EndpointSlices, fatSlice(), with(fatSlice(), corev1.IsHeadlessService), "remove web-1"},
		{"a slice of another proxy", objects.EndpointSlices, nil, with(fatSlice(), otherProxy), ""},
		{"this Node", objects.Nodes, nil, node("me"), "set me"},
		{"another Node", objects.Nodes, nil, node("you"), ""},
		{"this Node is removed", objects.Nodes, node("me"), nil, "remove me"},
	} {
		got = nil
		f.change(tt.resource, tt.old, tt.obj)
		var want []string
		if tt.want != "" {
			want = []string{tt.want}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if want, err := f.transform.store.ReadSlice(fatSlice()); err != nil || !want.Equal(value) {
		t.Errorf("kept %+v, want %+v; error %v", value, want, err)
	}
}
