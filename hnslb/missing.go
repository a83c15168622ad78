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

// shownNetworks is how many networks an error names. A node has two or three.
const shownNetworks = 8

// NetworkName is what a person needs to tell one network from another.
type NetworkName struct{ Name, Type string }

// NetworkNotFound is the cause of the NotFound error of Driver.Network. It says which networks
// there are, since a wrong name is as likely as a network that is yet to come.
type NetworkNotFound struct {
	// Name that was asked for.
	Name string
	// Existing are the networks that HNS has.
	Existing []NetworkName
	// Unknown is why Exist is not known, nil if it is.
	Unknown error
}

// Error says which network is missing and which exist. Names are quoted: whoever may make
// networks chooses them.
func (e *NetworkNotFound) Error() string {
	return fmt.Sprintf("HNS network %q not found; %s", e.Name, e.Networks())
}

// Networks says which networks exist, in words that follow a semicolon.
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

// Unwrap returns why it is not known which networks exist.
func (e *NetworkNotFound) Unwrap() error { return e.Unknown }

// WithNetworkNotFound gives a NotFound error of Driver.Network the cause that it must have, for
// drivers that make up errors. Other errors are returned as they are.
func WithNetworkNotFound(name string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if _, named := errors.AsType[*NetworkNotFound](err); !ok || named || e.Class != NotFound {
		return err
	}
	completed := *e
	completed.Err = &NetworkNotFound{Name: name, Unknown: e.Err}
	return &completed
}
