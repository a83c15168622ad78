// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// large is a List of n Services with as many EndpointSlices of 15 endpoints each.
func large(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "---\n%s---\n%s", edit(web, "name: web", fmt.Sprintf("name: web-%d", i), "10.96.0.7", fmt.Sprintf("10.96.%d.%d", i/250, i%250+1)),
			edit(webSlice, "name: web-1", fmt.Sprintf("name: web-%d-1", i)))
		for e := range 13 {
			fmt.Fprintf(&out, "- addresses: [10.%d.%d.%d]\n  conditions: {ready: true, serving: true}\n  nodeName: node-%d\n", e+1, i/250, i%250+1, e)
		}
	}
	return out.String()
}

// BenchmarkLook measures a look at a large file that changed in one place, and at one that
// did not change.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{100, 1000} {
		texts := []string{large(n), strings.Replace(large(n), "port: 80\n", "port: 81\n", 1)}
		path := filepath.Join(b.TempDir(), "a.yaml")
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		s := newSource(Options{Paths: []string{path}, Validate: services.Validate, OnError: func(err error) { b.Error(err) }})
		write(texts[0])
		s.look(b.Context())
		b.Run(fmt.Sprintf("changed/services=%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				write(texts[(i+1)%2])
				s.look(b.Context())
			}
		})
		b.Run(fmt.Sprintf("unchanged/services=%d", n), func(b *testing.B) {
			for b.Loop() {
				s.look(b.Context())
			}
		})
	}
}
