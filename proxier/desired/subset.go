// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// limitEndpoints returns at most limit endpoints: those on this node first, then one of each zone
// in turn. Within a zone they are ordered by a hash of node and address, so that adding or removing
// an endpoint changes at most one other, and nodes leave out different ones. The order of the input
// is kept.
func limitEndpoints(cs []candidate, limit int, node string) []candidate {
	if len(cs) <= limit {
		return cs
	}
	ranked := make([]rankedCandidate, 0, len(cs))
	for _, c := range cs {
		ranked = append(ranked, rankedCandidate{c, hash(node, c)})
	}
	slices.SortFunc(ranked, func(a, b rankedCandidate) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), a.IP.Compare(b.IP))
	})
	zones := map[string][]candidate{}
	out := make([]candidate, 0, limit)
	for _, c := range ranked {
		switch {
		case !c.local:
			zones[c.Zone] = append(zones[c.Zone], c.candidate)
		case len(out) < limit:
			out = append(out, c.candidate)
		}
	}
	names := slices.Sorted(maps.Keys(zones))
	for turn := 0; len(out) < limit; turn++ {
		for _, name := range names {
			if turn < len(zones[name]) && len(out) < limit {
				out = append(out, zones[name][turn])
			}
		}
	}
	slices.SortFunc(out, func(a, b candidate) int { return a.IP.Compare(b.IP) })
	return out
}

type rankedCandidate struct {
	candidate
	hash uint64
}

func hash(node string, c candidate) uint64 {
	ip := c.IP.As16()
	sum := sha256.Sum256(append([]byte(node), ip[:]...))
	return binary.BigEndian.Uint64(sum[:])
}
