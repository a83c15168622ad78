// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"flag"
	"fmt"
	"testing"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
)

// everyEcho is for the whole matrix, which takes minutes; without it each network has one way to show flags.
var everyEcho = flag.Bool("every-echo", false, "try every way to show flags on every network")

// TestTakeoverWithEchoes puts hnsproxy.exe in the place of kube-proxy.exe on HNS that shows flags otherwise than they were asked for.
// Whatever it shows, hnsproxy keeps all that kube-proxy made, and keeps it again when it is restarted: no write, nothing dark.
func TestTakeoverWithEchoes(t *testing.T) {
	kubeProxy, hnsproxy := programs(t)
	for _, profile := range []profiles.Profile{profiles.WS2019(), profiles.WS2022(), profiles.WS2025()} {
		for _, overlay := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/overlay=%v", profile.Name, overlay), func(t *testing.T) {
				t.Parallel()
				n := newNode(t, profile, overlay)
				n.start(kubeProxy).Stop()
				made := n.State()
				for name, quirks := range echoesOf(*everyEcho) {
					t.Run(name, func(t *testing.T) {
						p := profile
						p.Quirks.EchoHides, p.Quirks.EchoAdds, p.Quirks.EchoAddsFlags = quirks.EchoHides, quirks.EchoAdds, quirks.EchoAddsFlags
						n.on(t, p, made).takenOver(hnsproxy)
					})
				}
			})
		}
	}
}

// echoesOf returns every way to show flags, or the one that differs most from what was asked for.
func echoesOf(every bool) map[string]profiles.Quirks {
	echoes := proxiertest.Echoes()
	if every {
		return echoes
	}
	const most = "with all, and without what it asks"
	return map[string]profiles.Quirks{most: echoes[most]}
}

// on returns the node on another HNS that holds the same.
func (n *node) on(t *testing.T, profile profiles.Profile, state emulator.State) *node {
	t.Helper()
	e := emulator.New(emulator.Config{Profile: profile})
	other := *n
	other.tb, other.tracker = t, bulk.NewTracker() // which waits for nothing: it is all there
	other.must(e.Restore(state))
	var err error
	other.Service, err = winlab.Serve(e)
	other.must(err)
	t.Cleanup(func() { other.must(other.Close()) })
	other.host.HNS, other.host.Dir = other.Service, t.TempDir()
	return &other
}

// takenOver says that a program starts twice on what HNS holds, writes nothing, and lets nothing be dark.
func (n *node) takenOver(p program.Program) {
	n.tb.Helper()
	for _, start := range []string{"taken over", "restarted"} {
		n.reset()
		r := n.start(p)
		r.Stop()
		if writes := n.writes(); len(writes) > 0 {
			n.tb.Errorf("%s: %v, want no write\n%s", start, writes, n.Dump())
		}
		n.neverDark()
		if words := n.complaints(r); len(words) > 0 {
			n.tb.Errorf("%s: it logged errors: %q", start, words)
		}
	}
}
