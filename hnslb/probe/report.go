// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// format of reports, raised when an old program would misread a new report.
const format = 1

// Report is everything that one run found out.
type Report struct {
	Format int
	// Version of HNS, Build of Windows, Network is the type of the network.
	Version        hnslb.Version
	Build, Network string
	Facts          []Finding
	// Untimed says which sizes were not timed, and why.
	Untimed []string `json:",omitempty"`
	// Unreached are switches of the profile that a client cannot see, with the reason.
	Unreached map[string]string
	// Profile is the machine for the emulator. What is unknown is as our documents have it.
	Profile profiles.Profile
}

// Finding is one fact as it was found.
type Finding struct {
	Fact string
	// Row begins the row of quirks.md that it belongs to, if there is one.
	Row string `json:",omitempty"`
	// Documented is what our documents say, empty for nothing.
	Documented string `json:",omitempty"`
	// Found is what HNS does; empty if that is unknown, for the reason in Unknown.
	Found   string `json:",omitempty"`
	Unknown string `json:",omitempty"`
	// Switch of the profile that the fact decides.
	Switch string `json:",omitempty"`
}

// Differs tells whether HNS does other than our documents say.
func (f Finding) Differs() bool {
	return f.Found != "" && f.Documented != "" && f.Found != f.Documented
}

func newReport(b *bench) *Report {
	r := &Report{
		Format: format, Version: b.features.Version, Build: b.Build, Network: b.network.Type,
		Unreached: map[string]string{}, Profile: profiles.Of(b.features.Version),
	}
	r.Profile.Name = "probed-" + r.Version.String()
	r.Profile.Version = r.Version
	for _, o := range outOfReach() {
		for _, s := range o.switches {
			r.Unreached[s] = o.why
		}
	}
	return r
}

// add notes what came out of looking for a fact.
func (r *Report) add(f fact, got found, doc string) {
	out := Finding{Fact: f.name, Row: f.row, Documented: doc, Switch: f.sets}
	if got.err != nil {
		out.Unknown = got.err.Error()
		if f.sets != "" {
			r.Unreached[f.sets] = out.Unknown
		}
	} else {
		out.Found = got.value
		if f.set != nil {
			f.set(&r.Profile, got.value)
		}
	}
	r.Facts = append(r.Facts, out)
}

// ReadReport reads what Report.JSON wrote. Fields that this program does not know are refused.
func ReadReport(body []byte) (*Report, error) {
	var r Report
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("read the profile that hnsproxy probe wrote: %w", err)
	}
	if r.Format != format {
		return nil, fmt.Errorf("read the profile that hnsproxy probe wrote: its format is %d, this program reads %d", r.Format, format)
	}
	return &r, nil
}

// LoadReport reads a report from a file.
func LoadReport(path string) (*Report, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := ReadReport(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// JSON is the report as a file holds it.
func (r *Report) JSON() ([]byte, error) {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	return append(body, '\n'), nil
}
