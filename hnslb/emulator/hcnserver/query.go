// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// query is a HostComputeQuery [A: Queries and lists].
type query struct {
	// v1 asks for documents of the V1 schema [A: Microsoft's PowerShell module].
	v1     bool
	filter map[string]string
}

// The keys of filters in real use [A]. VirtualNetwork is for endpoints.
const (
	filterID      = "ID"
	filterName    = "Name"
	filterNetwork = "VirtualNetwork"
)

// parseQuery reads a query; no text means all objects. Keys of filters that no client was
// seen to use are refused, so that none is built on what HNS may not do [?].
func parseQuery(document string) (query, error) {
	var doc struct {
		SchemaVersion schemaVersion
		Flags         uint32
		Filter        string
	}
	if document == "" {
		return query{}, nil
	}
	if err := readJSON(document, &doc); err != nil {
		return query{}, err
	}
	q := query{v1: doc.SchemaVersion.Major == 1}
	if doc.Filter == "" {
		return q, nil
	}
	if err := readJSON(doc.Filter, &q.filter); err != nil {
		return query{}, err
	}
	for key := range q.filter {
		if key != filterID && key != filterName && key != filterNetwork {
			return query{}, refuse(hnslb.ResultInvalidArgument, "filter by %q", key)
		}
	}
	return q, nil
}

// byOne tells whether the query asks for one object, rather than for a list.
func (q query) byOne() bool {
	_, id := q.filter[filterID]
	_, name := q.filter[filterName]
	return id || name
}

// matches tells whether an object passes the filter: IDs in either case, names exactly
// [A: no wildcard was seen to work].
func (q query) matches(o object) bool {
	for key, want := range q.filter {
		switch key {
		case filterID:
			if !strings.EqualFold(want, string(o.id)) {
				return false
			}
		case filterName:
			if want != o.name {
				return false
			}
		case filterNetwork:
			if !strings.EqualFold(want, string(o.network)) {
				return false
			}
		}
	}
	return true
}
