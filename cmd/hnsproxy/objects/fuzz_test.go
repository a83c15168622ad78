// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"strings"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/services"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FuzzObjectFiles: whatever a file holds, nothing panics, an error names the file, and
// says what and what to do in one line; what was used is a valid object; and a second look at
// the same file changes nothing.
func FuzzObjectFiles(f *testing.F) {
	for _, seed := range []string{
		"", web, webSlice, node, web + "---\n" + webSlice + "...\n" + node, "{", "[1]", "null", "\xff\xfe{\x00", "\xef\xbb\xbf" + node,
		"apiVersion: v1\nkind: List\nitems:\n- null\n- {kind: Service}\n", edit(web, "port: 80\n", "port: eighty\n"),
		`{"apiVersion":"v1","kind":"NodeList","items":[{"metadata":{"name":"a"}}]}{`, edit(web, "kind: Service", "kind: Servise"),
		"a: &a [*a]\n", "? [1]\n: 2\n", "apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: never}\n",
		edit(web, "  selector", "  type: NodePort\n  sessionAffinity: ClientIP\n  unknown: x\n  selector"), strings.Repeat("[", 2000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := parse("fuzz.yaml", data, services.Validate)
		for _, e := range p.problems {
			text := e.Error()
			if !strings.HasPrefix(text, "fuzz.yaml") || e.Why == "" || e.Remedy == "" || e.Place.Document == 0 {
				t.Errorf("error %+v", e)
			}
			if strings.ContainsAny(text, "\n\r") && !strings.ContainsAny(e.Object+e.Kind+e.Field, "\n\r") {
				t.Errorf("error of several lines %q", text)
			}
		}
		if errs := len(p.problems); errs == 0 && p.torn {
			t.Error("torn without an error")
		}
		m := merge([]content{{file: "fuzz.yaml", parsed: p}}, nil)
		told, has := 0, view{}
		s := newSource(Options{OnChange: func(r Resource, old, obj metav1.Object) {
			if got := has.change(r, old, obj); !strings.HasPrefix(got, "add ") {
				t.Error(got)
			}
			told++
		}})
		s.take(t.Context(), m, time.Now())
		if told != len(m.objects) {
			t.Errorf("%d changes for %d objects", told, len(m.objects))
		}
		again := parse("fuzz.yaml", data, services.Validate)
		s.take(t.Context(), merge([]content{{file: "fuzz.yaml", parsed: again}}, nil), time.Now())
		if n := told - len(m.objects); n != 0 {
			t.Errorf("a second look made %d changes", n)
		}
		for _, o := range s.objects {
			if err := services.Validate(o); err != nil || o.GetName() == "" || o.GetUID() == "" {
				t.Errorf("used %+v: %v", o, err)
			}
		}
	})
}
