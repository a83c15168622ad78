// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

var update = flag.Bool("update", false, "rewrite documented.json; read the difference")

// asked returns what an emulator of a profile, on a network of that type, answers to the facts
// that have no words of their own.
func asked(t *testing.T, profile profiles.Profile, networkType string) map[string]string {
	t.Helper()
	e := emulator.New(emulator.Config{Profile: profile})
	network, err := e.AddNetwork(emulator.NetworkSpec{
		Name: networkName, Type: networkType, ManagementIP: netip.MustParseAddr("10.0.0.4"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Config: Config{Driver: e, Clock: clock.RealClock{}, ExhaustPorts: true}, network: network}
	if b.scratch, err = choose(network, hnsObjects{}); err != nil {
		t.Fatal(err)
	}
	b.Listen = func(protocol hnslb.Protocol, port uint16) (func(), error) {
		e.Reserve(port, protocol)
		return func() { e.Release(port, protocol) }, nil
	}
	out := map[string]string{}
	for _, f := range facts() {
		if f.doc != "" {
			continue
		}
		if answer, err := f.determine(context.WithoutCancel(t.Context()), b); err == nil {
			out[f.name] = answer
		}
	}
	return out
}

// TestDocumented: documented.json says what the emulator does, on any network for pods. With
// -update it is written again.
func TestDocumented(t *testing.T) {
	t.Parallel()
	all := map[string]map[string]string{everyProfile: {}}
	for _, p := range profiles.All() {
		all[p.Name] = asked(t, p, "L2Bridge")
		for _, kind := range []string{"L2Tunnel", hnslb.NetworkOverlay} {
			if diff := cmp.Diff(all[p.Name], asked(t, p, kind)); diff != "" {
				t.Errorf("%s answers otherwise on L2Bridge (-) and %s (+):\n%s", p.Name, kind, diff)
			}
		}
	}
	for fact, answer := range all[profiles.Next().Name] {
		same := true
		for _, p := range profiles.All() {
			same = same && all[p.Name][fact] == answer
		}
		if !same {
			continue
		}
		all[everyProfile][fact] = answer
		for _, p := range profiles.All() {
			delete(all[p.Name], fact)
		}
	}
	var want bytes.Buffer
	out := json.NewEncoder(&want)
	out.SetIndent("", "  ")
	if err := out.Encode(all); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("documented.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), string(documentedJSON)); diff != "" {
		t.Errorf("documented.json (-emulator +file), go test -update rewrites it:\n%s", diff)
	}
	for name := range all {
		if _, err := profiles.ByName(name); err != nil && name != everyProfile {
			t.Errorf("documented.json knows %q, which is no profile", name)
		}
	}
}
