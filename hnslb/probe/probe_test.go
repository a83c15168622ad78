// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/probe/probetest"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// wantFound fails unless the report has the switches of the machine.
func wantFound(t failer, machine profiles.Profile, r *Report) {
	t.Helper()
	probetest.WantFound(t, machine, r.Profile, r.Unreached)
}

// reachable are the switches that some fact decides.
func reachable() []string {
	var out []string
	for _, f := range facts() {
		if f.sets != "" {
			out = append(out, f.sets)
		}
	}
	return out
}

// TestProfiles: the probe finds what each release does, which is what our documents say.
func TestProfiles(t *testing.T) {
	for _, profile := range profiles.All() {
		for _, networkType := range []string{"L2Bridge", hnslb.NetworkOverlay} {
			t.Run(profile.Name+"/"+networkType, func(t *testing.T) {
				n := newNode(t, profile, networkType)
				c := n.config(t.TempDir())
				c.Quick, c.ExhaustPorts = false, true
				r, err := Run(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				n.wantUntouched(t)
				wantFound(t, profile, r)
				for _, name := range reachable() {
					if why, unreached := r.Unreached[name]; unreached {
						t.Errorf("%s is unknown: %s", name, why)
					}
				}
				for _, f := range r.Facts {
					if f.Differs() || f.Unknown != "" && !strings.Contains(f.Unknown, "too soon to tell") && !strings.Contains(f.Unknown, "one interface of HNS only") {
						t.Errorf("%+v", f)
					}
				}
				if _, err := os.Stat(c.Journal); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the journal is left: %v", err)
				}
			})
		}
	}
}

// TestRandomProfiles: whatever the switches, the probe finds them.
func TestRandomProfiles(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		for range 2 { // so that 200 are drawn
			testRandomProfile(t, dir)
		}
	})
}

func testRandomProfile(t *rapid.T, dir string) {
	profile := randomProfile(t)
	n := newNode(t, profile, rapid.SampledFrom([]string{"L2Bridge", "L2Tunnel", hnslb.NetworkOverlay}).Draw(t, "network"))
	c := n.config(dir)
	c.ExhaustPorts = profile.Quirks.PortBlocks < maxTestPortBlocks
	r, err := Run(background(), c)
	if profile.Faults.EndpointDeleteLies {
		if left, ok := errors.AsType[*LeftError](err); !ok || len(left.Objects) == 0 {
			t.Fatalf("error %v, want what is left", err)
		}
		n.SetFaults(profiles.Faults{})
		err = Clean(background(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.wantUntouched(t)
	wantFound(t, profile, r)
	for _, f := range r.Facts {
		if f.Differs() && f.Switch == "" && !probetest.Follows(profile, f.Fact) {
			t.Errorf("%+v", f)
		}
	}
	for _, name := range reachable() {
		if why, unreached := r.Unreached[name]; unreached && !mayBeUnknown(profile, name) {
			t.Errorf("%s is unknown: %s", name, why)
		}
	}
}

// mayBeUnknown tells which switches hide others.
func mayBeUnknown(p profiles.Profile, name string) bool {
	switch name {
	case "MaxEndpoints":
		return p.MaxEndpoints >= quickEndpoints
	case "Quirks.DefaultNameV1", "Quirks.DefaultNameV2":
		return p.Faults.EndpointDeleteLies // they share an address
	case "Quirks.ModifyLies", "Quirks.ModifyIgnoresSourceVIP", "Quirks.ModifyIgnoresPort", "Quirks.ModifyIgnoresFlags":
		return !p.Version.AtLeast(hnslb.Version{Major: 15, Minor: 4}) // there is no modify
	}
	return false
}

// randomProfile draws a machine. What a new switch needs to be drawn is decided by its type.
func randomProfile(t *rapid.T) profiles.Profile {
	p := rapid.SampledFrom(profiles.All()).Draw(t, "release")
	p.MaxEndpoints = rapid.OneOf(rapid.IntRange(5, quickEndpoints), rapid.Just(1024)).Draw(t, "most endpoints")
	codes := []hnslb.HRESULT{0, hnslb.ResultEndpointNotFound, hnslb.ResultInvalidJSONReference, hnslb.ResultElementNotFound}
	for _, group := range []any{&p.Quirks, &p.Faults} {
		for i, v := 0, reflect.ValueOf(group).Elem(); i < v.NumField(); i++ {
			name := v.Type().Field(i).Name
			switch f := v.Field(i); f.Interface().(type) {
			case bool:
				f.SetBool(rapid.Bool().Draw(t, name))
			case hnslb.HRESULT:
				f.Set(reflect.ValueOf(rapid.SampledFrom(codes).Draw(t, name)))
			}
		}
	}
	p.Quirks.PortBlocks = rapid.SampledFrom([]int{0, 0, 0, 50, 256}).Draw(t, "port blocks")
	p.Quirks.OrphanDeleteFails, p.Faults.ModifyLies = false, false
	if !p.Version.AtLeast(hnslb.Version{Major: 15, Minor: 4}) {
		p.Quirks.ModifyLies = false // there is no modify
		p.Quirks.ModifyIgnoresSourceVIP, p.Quirks.ModifyIgnoresPort, p.Quirks.ModifyIgnoresFlags = false, false, false
	}
	if p.Quirks.ModifyLies { // it ignores everything
		p.Quirks.ModifyIgnoresSourceVIP, p.Quirks.ModifyIgnoresPort, p.Quirks.ModifyIgnoresFlags = false, false, false
	}
	p.Quirks.HalfMadeHolds = p.Quirks.HalfMadeHolds && p.Faults.HalfMade
	p.Quirks.EchoAdds = hnslb.MappingFlags(rapid.IntRange(0, 31).Draw(t, "mapping flags added"))
	p.Quirks.EchoHides = hnslb.MappingFlags(rapid.IntRange(0, 31).Draw(t, "mapping flags hidden")) &^ p.Quirks.EchoAdds
	p.Quirks.EchoAddsFlags = rapid.SampledFrom([]hnslb.LoadBalancerFlags{0, 4}).Draw(t, "flags added")
	p.Faults.NoDataPath, p.Faults.NoAdapter = false, false
	return p
}

// TestEverySwitch: each switch of the emulator is decided by a fact, or is out of reach for a
// reason; and each name stands for a switch.
func TestEverySwitch(t *testing.T) {
	known := map[string]int{}
	for _, name := range reachable() {
		known[name]++
	}
	for _, o := range outOfReach() {
		for _, name := range o.switches {
			known[name]++
		}
		if o.why == "" {
			t.Errorf("%q is out of reach without a reason", o.row)
		}
	}
	all := probetest.Switches(profiles.Profile{})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if known[name] != 1 {
			t.Errorf("%s is decided by %d entries of facts and outOfReach, want 1", name, known[name])
		}
		delete(known, name)
	}
	if len(known) > 0 {
		t.Errorf("there are no switches %v", known)
	}
}

// TestEveryRow: each row of quirks.md that is not certain is looked into by a fact, or is out
// of reach for a reason; and each entry names a row.
func TestEveryRow(t *testing.T) {
	body, err := os.ReadFile("../quirks.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string // sections, and first cells of rows
	uncertain := map[string]string{}
	section := ""
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "## ") {
			section = strings.TrimSpace(line)
			rows = append(rows, section)
		}
		cells := strings.Split(line, "|")
		if len(cells) < 6 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "Quirk" {
			continue
		}
		row := strings.TrimSpace(cells[1])
		rows = append(rows, row)
		if evidence := strings.TrimSpace(cells[3]); strings.ContainsAny(strings.Trim(evidence, "A: "), "?") || hasMark(evidence, "B") || hasMark(evidence, "C") {
			uncertain[row] = section
		}
	}
	var entries []string
	for _, f := range facts() {
		entries = append(entries, f.row)
	}
	for _, o := range outOfReach() {
		entries = append(entries, o.row)
	}
	for _, entry := range entries {
		if !slices.ContainsFunc(rows, func(row string) bool { return strings.HasPrefix(row, entry) }) {
			t.Errorf("no row of quirks.md begins with %q", entry)
		}
	}
	for row, section := range uncertain {
		if !slices.ContainsFunc(entries, func(entry string) bool {
			return entry != "" && (strings.HasPrefix(row, entry) || entry == section)
		}) {
			t.Errorf("nothing looks into the row %q", row)
		}
	}
	if len(uncertain) < 30 {
		t.Errorf("%d rows are uncertain; the table is misread", len(uncertain))
	}
}

// hasMark tells whether a mark of evidence stands in a cell such as "A: k8s #1; C: on no other".
func hasMark(evidence, mark string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(evidence, func(r rune) bool { return strings.ContainsRune(";,: ", r) }),
		func(word string) bool { return word == mark })
}

// TestStopped: a run that is stopped says so, and removes what it made.
func TestStopped(t *testing.T) {
	n := newNode(t, profiles.WS2025(), "L2Bridge")
	c := n.config(t.TempDir())
	ctx, stop := contextWithStop(t)
	c.Progress = func(text string) {
		if strings.Contains(text, "modify of the endpoints") {
			stop()
		}
	}
	r, err := Run(ctx, c)
	if err == nil || r == nil {
		t.Errorf("report %v, error %v; want both", r, err)
	}
	if f := r.find(t, "no internal port"); f.Unknown != "the probe was stopped" || f.Found != "" {
		t.Errorf("%+v", f)
	}
	n.wantUntouched(t)
}

// TestReportJSON: a report survives its file, and what is not understood is refused.
func TestReportJSON(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	want, err := Run(t.Context(), n.config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	body, err := want.JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadReport(body)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	for _, tt := range []struct{ old, new, want string }{
		{`"Format": 1`, `"Format": 2`, "format is 2"},
		{`"ModifyLies"`, `"ModifyLaughs"`, `"ModifyLaughs"`},
		{`"Build"`, `"Bilt"`, `"Bilt"`},
	} {
		if _, err := ReadReport([]byte(strings.Replace(string(body), tt.old, tt.new, 1))); err == nil || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("with %s: error %v, want %s", tt.new, err, tt.want)
		}
	}
}
