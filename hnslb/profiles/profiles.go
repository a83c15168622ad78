// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Profile is a Windows release as HNS shows it. A Profile is a plain value: copy one and
// change a quirk to build a machine that no release matches.
type Profile struct {
	// Name as ByName takes it.
	Name string
	// Version that HNS reports.
	Version hnslb.Version
	// MaxEndpoints that one load balancer may name. 64 at first (k8s issue 98680), 1,024
	// later (k8s issue 135518).
	MaxEndpoints int
	// Quirks that this release always has.
	Quirks Quirks
	// Faults that are switched on from the start, until SetFaults or ClearFaults.
	Faults Faults
	// Timings of the calls, as they were measured. None means that calls take no time.
	Timings []Timing `json:",omitempty"`
}

// UnmarshalJSON reads a profile and refuses fields that it does not know: a switch that
// this program does not have would be left out without a word.
func (p *Profile) UnmarshalJSON(body []byte) error {
	type plain Profile // without methods, or this would call itself
	var in plain
	if err := strictJSON(body, &in); err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	if in.Version == (hnslb.Version{}) {
		return errors.New("read profile: it has no version of HNS")
	}
	*p = Profile(in)
	return nil
}

// strictJSON reads JSON and refuses unknown fields.
func strictJSON(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if strings.Contains(err.Error(), "unknown field") {
			return fmt.Errorf("%w: it was written by another version of hnsproxy, or misspelled", err)
		}
		return err
	}
	return nil
}

// All lists the known profiles, oldest first.
func All() []Profile {
	return []Profile{WS2019(), WS2022(), WS2025RTM(), WS2025(), Next()}
}

// WS2019 is Windows Server 2019 with current updates, HNS 9.5 (k8s PR 137530).
func WS2019() Profile {
	return Profile{
		Name:         "ws2019",
		Version:      hnslb.Version{Major: 9, Minor: 5},
		MaxEndpoints: 64,
		Quirks: Quirks{
			PortBlocks:          256,
			DefaultNameV1:       true,
			ListenerTakesVIP:    true,
			UnknownEndpointCode: hnslb.ResultInvalidJSONReference,
		},
	}
}

// WS2022 is Windows Server 2022. Its number is not confirmed; it has session affinity
// and SetPolicy, so it is at least 13.0 [C]. It names endpoints like Server 2019 does, also
// through V2, so that each way of naming them has a profile [C].
func WS2022() Profile {
	p := modern("ws2022", 13, 2)
	p.Quirks.DefaultNameV1, p.Quirks.DefaultNameV2 = true, true
	return p
}

// WS2025RTM is Windows Server 2025 as it came out: HNS 15.4, whose modify call says yes
// and changes nothing (k8s issue 131466).
func WS2025RTM() Profile {
	p := modern("ws2025-rtm", 15, 4)
	p.Quirks.ModifyLies = true
	return p
}

// WS2025 is Windows Server 2025 with updates, HNS 15.5, the first that modifies.
func WS2025() Profile { return modern("ws2025", 15, 5) }

// Next is the release after, HNS 16.0, named in hnslib's gate for modify.
func Next() Profile { return modern("next", 16, 0) }

// modern is what the releases since Server 2022 share.
func modern(name string, major, minor int) Profile {
	return Profile{
		Name:         name,
		Version:      hnslb.Version{Major: major, Minor: minor},
		MaxEndpoints: 1024,
		Quirks:       Quirks{UnknownEndpointCode: hnslb.ResultEndpointNotFound},
	}
}

// Of returns the known profile whose version is the latest that is not above v, the
// oldest when all are.
func Of(v hnslb.Version) Profile {
	best := All()[0]
	for _, p := range All() {
		if v.AtLeast(p.Version) {
			best = p
		}
	}
	return best
}

// ByName returns the profile of that name; the error lists the names.
func ByName(name string) (Profile, error) {
	names := make([]string, 0, len(All()))
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("emulator: unknown profile %q, want one of %s", name, strings.Join(names, ", "))
}
