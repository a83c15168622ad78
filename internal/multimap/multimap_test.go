// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package multimap

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMap: a Map answers as a plain map of slices does, whatever is added and removed.
func TestMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, plain := New[int, int](), map[int][]int{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			k, v := rapid.IntRange(0, 2).Draw(t, "key"), rapid.IntRange(0, 4).Draw(t, "value")
			i := slices.Index(plain[k], v)
			switch {
			case rapid.Bool().Draw(t, "add"):
				if i < 0 {
					m.Add(k, v)
					plain[k] = append(plain[k], v)
				}
			default:
				if i >= 0 {
					plain[k] = slices.Delete(plain[k], i, i+1)
				}
				if last := m.Remove(k, v); last != (len(plain[k]) == 0) {
					t.Fatalf("Remove(%d, %d) says last: %v, left are %v", k, v, last, plain[k])
				}
			}
			for k := range 3 {
				if diff := cmp.Diff(plain[k], slices.Collect(m.All(k))); diff != "" && len(plain[k]) > 0 {
					t.Fatalf("values of %d (-want +got):\n%s", k, diff)
				}
				if m.Has(k) != (len(plain[k]) > 0) {
					t.Fatalf("Has(%d) is %v, values are %v", k, m.Has(k), plain[k])
				}
			}
		}
	})
}
