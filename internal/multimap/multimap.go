// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package multimap holds several values per key, for indexes whose keys are many and
// nearly all of which have one value: a node of a large cluster knows 150,000 endpoint
// addresses, and a slice header for each would cost more than what it holds.
package multimap

import "iter"

// Map is a map from keys to one or more values. The zero Map is not usable; use New.
// It is not safe for concurrent use.
type Map[K, V comparable] map[K]*node[V]

type node[V comparable] struct {
	value V
	next  *node[V]
}

// New makes an empty map.
func New[K, V comparable]() Map[K, V] { return Map[K, V]{} }

// Add puts a value behind those that a key has.
func (m Map[K, V]) Add(k K, v V) {
	n := m[k]
	if n == nil {
		m[k] = &node[V]{value: v}
		return
	}
	for n.next != nil {
		n = n.next
	}
	n.next = &node[V]{value: v}
}

// Remove takes a value away from a key, and tells whether the key has none left.
func (m Map[K, V]) Remove(k K, v V) (last bool) {
	head := m[k]
	for at := &head; *at != nil; at = &(*at).next {
		if (*at).value == v {
			*at = (*at).next
			break
		}
	}
	if head == nil {
		delete(m, k)
		return true
	}
	m[k] = head
	return false
}

// Has tells whether a key has a value.
func (m Map[K, V]) Has(k K) bool { return m[k] != nil }

// All yields the values of a key, oldest first. The map must not be changed meanwhile.
func (m Map[K, V]) All(k K) iter.Seq[V] {
	return func(yield func(V) bool) {
		for n := m[k]; n != nil; n = n.next {
			if !yield(n.value) {
				return
			}
		}
	}
}
