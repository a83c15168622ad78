// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/probe"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// probeArgs run the probe on an emulated HNS, with its files in dir.
func probeArgs(dir string, more ...string) []string {
	return append([]string{"probe", "--hns-driver=emulator", "--quick", "--hns-state-dir=" + dir}, more...)
}

// TestProbe probes a release, and then the machine that its report describes: the same comes
// out, the latencies included.
func TestProbe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, progress, err := execute(t, probeArgs(dir, "--yes", "--hns-emulator-profile=ws2019", "--hns-emulator-latency=none", "-o", "json")...)
	if err != nil || !strings.Contains(progress, "Timing calls with 100 endpoints") {
		t.Fatalf("%v\n%s", err, progress)
	}
	printed, err := probe.ReadReport([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "probe-9.5.json")
	kept, err := probe.LoadReport(path)
	if err != nil || kept.Version != printed.Version || kept.Profile.MaxEndpoints != 64 || !kept.Profile.Quirks.ListenerTakesVIP {
		t.Errorf("kept is %+v, printed %+v: %v", kept, printed, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "probe-journal.json")); err == nil {
		t.Error("the journal is left")
	}
	profile, err := options.EmulatedProfile(path)
	if err != nil || profile.Name != "probed-9.5" || len(profile.Timings) == 0 {
		t.Errorf("profile %+v: %v", profile, err)
	}
	text, _, err := execute(t, probeArgs(t.TempDir(), "--yes", "--hns-emulator-profile="+path)...)
	if err != nil || !strings.Contains(text, "HNS 9.5, Windows emulator probed-9.5, network of type L2Bridge") {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestProbeAsks: nothing is done unless somebody agrees, and what would be done is said.
func TestProbeAsks(t *testing.T) {
	t.Parallel()
	for answer, done := range map[string]bool{"": false, "n\n": false, "no, yes\n": false, "Y\n": true, "yes": true} {
		dir := t.TempDir()
		cmd := NewCommand(nil, emulate)
		var out, errOut bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&errOut)
		cmd.SetIn(strings.NewReader(answer))
		cmd.SetArgs(probeArgs(dir))
		err := cmd.ExecuteContext(t.Context())
		files, _ := os.ReadDir(dir)
		if (err == nil) != done || (len(files) == 1) != done {
			t.Errorf("answer %q: error %v, files %v", answer, err, files)
		}
		if !strings.Contains(errOut.String(), "hnsproxy-probe-") || !strings.Contains(errOut.String(), "Continue? [y/N]") {
			t.Errorf("it asks\n%s", errOut.String())
		}
	}
}

func TestProbeErrors(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"Format": 1, "NoSuchField": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "yaml"}, "use text or json"},
		{[]string{"--hns-call-timeout=0s"}, "--hns-call-timeout=0s"},
		{[]string{"--hns-emulator-profile=" + broken}, `unknown field "NoSuchField"`},
		{[]string{"--hns-emulator-profile=ws2016"}, "or a file written by hnsproxy probe"},
		{[]string{"stray"}, `takes no argument "stray"`},
	} {
		_, _, err := execute(t, probeArgs(t.TempDir(), append(tt.args, "--yes")...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %s", tt.args, err, tt.want)
		}
	}
}

// TestProbeClean removes what a run left that was killed, and makes nothing.
func TestProbeClean(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	journal := filepath.Join(dir, "probe-journal.json")
	if err := os.WriteFile(journal, []byte(`{"VIPs":"192.0.2.0/24","Addresses":["198.51.100.0/24"],"Unnamed":"198.51.100.1","FirstPort":40000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := execute(t, probeArgs(dir, "--clean")...)
	if _, gone := os.Stat(journal); err != nil || out != "" || gone == nil {
		t.Errorf("%v, output %q, journal is still there: %t", err, out, gone == nil)
	}
}

// TestDrawReport shows each kind of line.
func TestDrawReport(t *testing.T) {
	t.Parallel()
	golden(t, "probe.txt", drawReport(&probe.Report{
		Version: hnslb.Version{Major: 13, Minor: 2}, Build: "10.0.20348.2700", Network: "L2Bridge",
		Facts: []probe.Finding{
			{Fact: "no endpoints", Documented: "0x803b001c", Found: "0x803b001c"},
			{Fact: "most endpoints of one load balancer", Documented: "1024", Found: "512"},
			{Fact: "a second write at once", Documented: "waits for the first", Unknown: "calls end too soon to tell (1µs)"},
			{Fact: "name of an endpoint that is made without one", Found: "\"Ether\x1b[2Jnet\""},
		},
		Untimed:   []string{"with 1000 objects: making 1000 objects would take 2h"},
		Unreached: map[string]string{"Quirks.StopUntold": "it would take a restart of HNS", "Quirks.NoNotifications": "it would take a restart of HNS"},
		Profile: profiles.Profile{Timings: []profiles.Timing{
			{Verb: hnslb.VerbCreateEndpoint, Objects: 7, Median: 8123456, P99: 31 * time.Millisecond},
			{Verb: hnslb.VerbCreateEndpoint, Objects: 107, Median: 9 * time.Millisecond, P99: 1234567890},
			{Verb: hnslb.VerbEndpoints, Objects: 107, Median: 999, P99: 1000},
		}},
	}))
}

// TestListenOnHost: a port is taken until it is given back.
func TestListenOnHost(t *testing.T) {
	t.Parallel()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(free.Addr().(*net.TCPAddr).Port)
	if _, err := listenOnHost(hnslb.TCP, port); err == nil {
		t.Error("listens on a port that is taken")
	}
	_ = free.Close()
	for _, protocol := range []hnslb.Protocol{hnslb.TCP, hnslb.UDP} {
		stop, err := listenOnHost(protocol, port)
		if errors.Is(err, syscall.Errno(10045)) {
			continue // Wine does not know SIO_UDP_NETRESET, which Go sets on each UDP socket
		}
		if err != nil {
			t.Errorf("%s: %v", protocol, err)
			continue
		}
		if again, err := listenOnHost(protocol, port); err == nil {
			t.Errorf("%s: listens twice", protocol)
			again()
		}
		stop()
	}
	if _, err := listenOnHost(hnslb.SCTP, port); err == nil {
		t.Error("listens on SCTP")
	}
}
