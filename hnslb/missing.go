// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// shownNetworks is the maximum number of networks in an error. A node has two or three.
const shownNetworks = 8

// NetworkName is the name and type of a network.
type NetworkName struct{ Name, Type string }

// NetworkNotFound is the cause of the NotFound error of Driver.Network. It lists the existing
// networks, since a wrong name is as likely as a network that does not exist yet.
type NetworkNotFound struct {
	// Name is the requested name.
	Name string
	// Existing are the existing networks.
	Existing []NetworkName
	// Unknown is the error of listing the networks, nil if Existing is known.
	Unknown error
}

// Error returns which network is missing and which exist. Names are quoted, since anyone who can
// create networks chooses them.
func (e *NetworkNotFound) Error() string {
	return fmt.Sprintf("HNS network %q not found; %s", e.Name, e.Networks())
}

// Networks describes the existing networks, in a form that can follow a semicolon.
func (e *NetworkNotFound) Networks() string {
	if e.Unknown != nil {
		return fmt.Sprintf("listing its networks failed: %v", e.Unknown)
	}
	if len(e.Existing) == 0 {
		return "no HNS network exists"
	}
	names := make([]string, 0, len(e.Existing))
	for _, n := range slices.SortedFunc(slices.Values(e.Existing), func(a, b NetworkName) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	}) {
		names = append(names, fmt.Sprintf("%q (%s)", n.Name, strings.Trim(fmt.Sprintf("%q", n.Type), `"`)))
	}
	if more := len(names) - shownNetworks; more > 0 {
		names = append(names[:shownNetworks], fmt.Sprintf("%d more", more))
	}
	return "existing networks: " + strings.Join(names, ", ")
}

// Unwrap returns the error of listing the networks.
func (e *NetworkNotFound) Unwrap() error { return e.Unknown }

// WithNetworkNotFound adds the required cause to a NotFound error of Driver.Network, for drivers
// that synthesize errors. Other errors are returned unchanged.
func WithNetworkNotFound(name string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if _, named := errors.AsType[*NetworkNotFound](err); !ok || named || e.Class != NotFound {
		return err
	}
	completed := *e
	completed.Err = &NetworkNotFound{Name: name, Unknown: e.Err}
	return &completed
}
