// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probetest compares what the probe found out about an emulated machine with the
// switches that the machine has.
package probetest

import (
	"reflect"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// T is a test, or a property test.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Switches returns the switches of a profile by their names.
func Switches(p profiles.Profile) map[string]any {
	out := map[string]any{"MaxEndpoints": p.MaxEndpoints}
	for name, group := range map[string]any{"Quirks": p.Quirks, "Faults": p.Faults} {
		for i, v := 0, reflect.ValueOf(group); i < v.NumField(); i++ {
			out[name+"."+v.Type().Field(i).Name] = v.Field(i).Interface()
		}
	}
	return out
}

// Follows tells whether what a fact is found to be follows from another switch of the machine
// than the one that it decides, if any.
func Follows(machine profiles.Profile, fact string) bool {
	lies := profiles.Of(machine.Version).Quirks.ModifyLies
	q := machine.Quirks
	return (q.EchoHides|q.EchoAdds) != 0 && strings.Contains(fact, "flag") || q.EchoAddsFlags != 0 ||
		(q.EchoHides|q.EchoAdds) != 0 && strings.HasPrefix(fact, "echo of ") ||
		q.ModifyIgnoresFlags && strings.HasPrefix(fact, "modify of the ") ||
		q.ModifyLies != lies && strings.HasPrefix(fact, "modify of ") ||
		machine.Faults.EndpointDeleteLies && strings.Contains(fact, "endpoint")
}

// WantFound fails unless the profile that was found has the switches of the machine, but for
// those that are said to be unreached, which are as our documents have them.
func WantFound(t T, machine, found profiles.Profile, unreached map[string]string) {
	t.Helper()
	if machine.Quirks.UnknownEndpointCode == 0 {
		machine.Quirks.UnknownEndpointCode = hnslb.ResultEndpointNotFound
	}
	want, got, documented := Switches(machine), Switches(found), Switches(profiles.Of(machine.Version))
	for name := range unreached {
		want[name] = documented[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("switches (-set +found):\n%s unreached: %v", diff, unreached)
	}
	if found.Version != machine.Version {
		t.Errorf("version %v, want %v", found.Version, machine.Version)
	}
}
