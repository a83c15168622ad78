// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestStandardInput: it is read once and never changes.
func TestStandardInput(t *testing.T) {
	o := Options{Paths: []string{"-"}, Stdin: strings.NewReader(web + "---\n{")}
	var said []string
	o.OnError = func(err error) { said = append(said, err.Error()) }
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Run(t.Context()) // There is nothing to follow.
	if s.Get(Services, "shop", "web") == nil || s.Get(Services, "shop", "none") != nil || len(said) != 1 || !strings.HasPrefix(said[0], "-, document 2: cannot be read: ") {
		t.Errorf("errors %q", said)
	}
}

func TestRead(t *testing.T) {
	tr := newTree(t, map[string]string{
		"b.yaml": web + "---\n" + webSlice, "a.yaml": node + "---\napiVersion: v1\nkind: Secret\n",
		"c.yaml": edit(web, "name: web", "name: api", "10.96.0.7", "x"),
	})
	objects, errs := Read(t.Context(), Options{
		Paths: []string{tr.dir, tr.path("b.yaml"), "-", tr.path("none.yaml")}, Validate: services.Validate,
		Stdin: strings.NewReader(edit(web, "name: web", "name: piped")),
	})
	var got []string
	for _, s := range objects.Services {
		got = append(got, s.Name)
	}
	for _, s := range objects.EndpointSlices {
		got = append(got, s.Name)
	}
	for _, n := range objects.Nodes {
		got = append(got, n.Name)
	}
	if diff := cmp.Diff([]string{"web", "piped", "web-1", "win-1"}, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if len(errs) != 2 || !strings.Contains(errs[0].Error(), "none.yaml: cannot be read") || !strings.Contains(errs[1].Error(), "c.yaml, document 1: Service shop/api: spec.clusterIPs[0]: ") {
		t.Errorf("errors %q", errs)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
		want    string
	}{
		{"no path", Options{}, "open objects: no file given"},
		{"no such file", Options{Paths: []string{"none.yaml"}}, "open objects: none.yaml: cannot be read: "},
		{"one of two", Options{Paths: []string{".", "none.yaml"}}, "open objects: none.yaml: cannot be read: "},
		{"no standard input", Options{Paths: []string{"-"}}, "open objects: -: cannot be read: no such file"},
	} {
		_, err := Open(t.Context(), tt.options)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}
