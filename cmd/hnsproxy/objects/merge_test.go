// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func contents(filesAndTexts ...string) []content {
	var out []content
	for i := 0; i < len(filesAndTexts); i += 2 {
		file := filesAndTexts[i]
		out = append(out, content{file: file, parsed: parse(file, []byte(filesAndTexts[i+1]), nil)})
	}
	return out
}

func (m merged) text() string {
	var out strings.Builder
	for _, k := range m.order {
		fmt.Fprintf(&out, "%s %s/%s at %s\n", k.resource, k.namespace, k.name, m.objects[k].at)
	}
	for _, k := range slices.SortedFunc(maps.Keys(m.kept), key.compare) {
		fmt.Fprintf(&out, "kept %s %s/%s\n", k.resource, k.namespace, k.name)
	}
	for _, e := range m.problems {
		fmt.Fprintln(&out, e)
	}
	return out.String()
}

func TestMerge(t *testing.T) {
	broken := edit(web, "port: 80\n", "port: eighty\n")
	for _, tt := range []struct {
		name  string
		files []content
		want  string
	}{{
		name:  "the first of a name counts",
		files: contents("b.yaml", web+"---\n"+web, "a.yaml", node+"---\n"+web),
		want: `services shop/web at b.yaml, document 1
nodes /win-1 at a.yaml, document 1
b.yaml, document 2: Service shop/web: metadata.name: duplicates the object in b.yaml, document 1, which is used; remove or rename one of the two
a.yaml, document 2: Service shop/web: metadata.name: duplicates the object in b.yaml, document 1, which is used; remove or rename one of the two
`,
	}, {
		name:  "the first counts even if it cannot be used",
		files: contents("a.yaml", broken, "b.yaml", web),
		want: `kept services shop/web
a.yaml, document 1: Service shop/web: spec.ports.port: is a JSON string, but must be of type int32; fix it; until then the last valid version of the object stays in effect
b.yaml, document 1: Service shop/web: metadata.name: duplicates the object in a.yaml, document 1, which is used; remove or rename one of the two
`,
	}, {
		name:  "one name in two kinds is two objects",
		files: contents("a.yaml", web+"---\n"+edit(webSlice, "name: web-1", "name: web")),
		want:  "services shop/web at a.yaml, document 1\nendpointslices shop/web at a.yaml, document 2\n",
	}} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, merge(tt.files, nil).text()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestMissing: an object is gone only when nothing that cannot be used may be it.
func TestMissing(t *testing.T) {
	service := key{Services, "shop", "web"}
	for _, tt := range []struct {
		name   string
		files  []content
		unread []*Error
		want   bool
	}{
		{name: "gone", files: contents("d/a.yaml", node), want: true},
		{name: "there", files: contents("d/a.yaml", web)},
		{name: "moved", files: contents("d/a.yaml", node, "d/b.yaml", web)},
		{name: "cannot be used", files: contents("d/a.yaml", edit(web, "port: 80\n", "port: eighty\n"))},
		{name: "slip in the kind", files: contents("d/a.yaml", edit(web, "kind: Service", "kind: Servise"))},
		{name: "the like of it in another group", files: contents("d/a.yaml", edit(web, "apiVersion: v1", "apiVersion: serving.knative.dev/v1")), want: true},
		{name: "file cannot be parsed", files: contents("d/a.yaml", "{")},
		{name: "another file cannot be parsed", files: contents("d/a.yaml", "", "d/b.yaml", "{"), want: true},
		{name: "file cannot be read", unread: []*Error{{Place: Place{File: "d/a.yaml"}}}},
		{name: "directory cannot be read", unread: []*Error{{Place: Place{File: "d"}}}},
		{name: "another directory cannot be read", unread: []*Error{{Place: Place{File: "e"}}}, want: true},
	} {
		m := merge(tt.files, tt.unread)
		if got := m.missing(service, "d/a.yaml"); got != tt.want {
			t.Errorf("%s: missing = %v, want %v", tt.name, got, tt.want)
		}
	}
}
