// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Way is one way to run a script. Conditions of the script look at it.
type Way struct {
	// Network is one of Networks.
	Network string
	Profile profiles.Profile
	Variant Variant
}

// Variant is how changes reach the proxy, and how often HNS fails. The zero value has no
// name, so that no condition holds that asks for one.
type Variant struct {
	Name string
	// Reverse hands the objects of an apply in reverse order, Split lets the proxy finish
	// after each, Double hands each one twice, Squash ignores sync.
	Reverse, Split, Double, Squash bool
	// Seed is the luck of a run in which writes fail; 0 for none. InHNS lets HNS itself
	// fail, else the driver does.
	Seed  uint64
	InHNS bool
}

// Networks returns the kinds of network that a script runs on.
func Networks() []string { return []string{"l2bridge", "overlay"} }

// defaultProfiles are those that a script runs on when it names none: without modify and
// with it.
func defaultProfiles() []string { return []string{"ws2022", "ws2025"} }

// Variants returns those that a script can name.
func Variants() []Variant {
	return []Variant{
		{Name: "plain"},
		{Name: "reversed", Reverse: true},
		{Name: "split", Split: true},
		{Name: "doubled", Double: true},
		{Name: "squashed", Squash: true},
		{Name: "faulty-1", Seed: 1, InHNS: true},
		{Name: "faulty-2", Seed: 2, InHNS: true},
		{Name: "faulty-3", Seed: 3},
		{Name: "faulty-4", Seed: 4},
	}
}

// VariantNames returns the names of Variants.
func VariantNames() []string {
	var names []string
	for _, v := range Variants() {
		names = append(names, v.Name)
	}
	return names
}

// Plain tells whether calls, dark times and Events are those that the script states.
func (w Way) Plain() bool { return w.Variant.Name == "plain" }

// is tells whether a word of a condition holds.
func (w Way) is(word string) bool {
	switch word {
	case w.Network, w.Profile.Name, w.Variant.Name:
		return true
	case "faulty":
		return w.Variant.Seed != 0
	}
	return false
}

// releases are the Windows releases that a script may name: those of the emulator, the one
// that has no DSR, Server 2019 before KB4580390, one that holds on to UDP flows, and one that
// shows a load balancer without rules as degraded.
func releases() []profiles.Profile {
	noDSR, clinging, telling := profiles.WS2019(), profiles.WS2025(), profiles.WS2022()
	noDSR.Name, noDSR.Version.Minor = "ws2019-rtm", 2
	clinging.Name, clinging.Quirks.UDPFlowsStay = "udp-flows-stay", true
	telling.Name, telling.Quirks.ShowsDegraded = "shows-degraded", true
	return append([]profiles.Profile{noDSR, clinging, telling}, profiles.All()...)
}

func profileNames() []string {
	var names []string
	for _, p := range releases() {
		names = append(names, p.Name)
	}
	return names
}

// ProfileByName returns a profile that Script.Profiles names.
func ProfileByName(name string) profiles.Profile {
	return releases()[slices.Index(profileNames(), name)]
}

// knownWord tells whether a word can stand in a condition.
func knownWord(word string) bool {
	return word == "faulty" || slices.Contains(slices.Concat(Networks(), profileNames(), VariantNames()), word)
}
