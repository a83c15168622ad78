// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable/printabletest"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/jedib0t/go-pretty/v6/text"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
)

func sampleRows() []proxier.FrontendStatus {
	return []proxier.FrontendStatus{
		proxiertest.Row("many", "10.96.0.5", proxier.Programmed, desired.Note{}, "10.244.1.1*", "10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.5"),
		proxiertest.Row("node", "", proxier.Failing, desired.Note{Reason: desired.HNSPortInUse, Message: "somebody listens"}, "10.244.1.1"),
		proxiertest.Row("six", "fd00::5", proxier.Blocked, desired.Note{Reason: "NoEndpoints"}),
	}
}

// limitedRow is in force, but not as asked in two ways.
func limitedRow() proxier.FrontendStatus {
	r := proxiertest.Row("limited", "10.96.0.7", proxier.Programmed, desired.Note{}, "10.244.1.1")
	r.Frontend.Limits = []desired.Note{{Reason: desired.NoAffinity, Message: "HNS is too old"}, {Reason: desired.MixedPorts, Message: "1 is left out"}}
	return r
}

func TestDrawTable(t *testing.T) {
	t.Parallel()
	const want = `SERVICE       KIND       VIP:PORT      PROTO  STATE       WHY                                           BACKENDS
shop/many     clusterip  10.96.0.5:80  TCP    programmed                                                10.244.1.1*, 10.244.1.2, 10.244.1.3 and 2 more :8080
shop/node     nodeport   node:80       TCP    failing     HNSPortInUse                                  10.244.1.1 :8080
shop/six      clusterip  [fd00::5]:80  TCP    blocked     NoEndpoints                                   none
shop/limited  clusterip  10.96.0.7:80  TCP    programmed  SessionAffinityUnsupported, MixedTargetPorts  10.244.1.1 :8080
`
	if diff := cmp.Diff(want, Draw(statusRows(append(sampleRows(), limitedRow())), Look{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	narrow := Draw(statusRows(sampleRows()), Look{Width: 40, Height: 2, Colour: true})
	if !strings.Contains(narrow, "... and 1 more") || strings.Contains(narrow, "shop/six") {
		t.Errorf("a table of 2 rows:\n%s", narrow)
	}
	if n := screenLines(narrow, 44); n != 4 {
		t.Errorf("a table of 2 rows takes %d lines on a terminal, want 4:\n%s", n, narrow)
	}
	if n := screenLines("\x1b[32m123456\x1b[0m\n\n123\n", 3); n != 4 {
		t.Errorf("screenLines = %d, want 4: colours take no room, long lines wrap", n)
	}
}

// TestNarrowTable: a table on a narrow terminal gives up what says least, and no more than it
// has to.
func TestNarrowTable(t *testing.T) {
	t.Parallel()
	const at80 = `SERVICE       VIP:PORT          STATE       WHY            BACKENDS
shop/many     10.96.0.5:80/TCP  programmed                 5 (1*) :8080
shop/node     node:80/TCP       failing     HNSPortInUse   1 :8080
shop/six      [fd00::5]:80/TCP  blocked     NoEndpoints    none
shop/limited  10.96.0.7:80/TCP  programmed  SessionAffin~  1 :8080
`
	rows := statusRows(append(sampleRows(), limitedRow()))
	if diff := cmp.Diff(at80, Draw(rows, Look{Width: 80})); diff != "" {
		t.Errorf("80 columns (-want +got):\n%s", diff)
	}
	for width, heads := range map[int]string{
		200: "SERVICE KIND VIP:PORT PROTO STATE WHY BACKENDS",
		130: "SERVICE KIND VIP:PORT PROTO STATE WHY BACKENDS",
		120: "SERVICE KIND VIP:PORT PROTO STATE WHY BACKENDS",
		105: "SERVICE VIP:PORT STATE WHY BACKENDS",
	} {
		out := Draw(rows, Look{Width: width, Colour: true})
		if head, _, _ := strings.Cut(out, "\n"); strings.Join(strings.Fields(head), " ") != heads || widestLine(out) > width {
			t.Errorf("%d columns, of which %d are used:\n%s", width, widestLine(out), out)
		}
	}
	long := proxiertest.Row("a-service-with-a-name-that-is-as-long-as-names-may-be-in-kubernetes", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", proxier.Programmed, desired.Note{}, "10.244.1.1")
	if out := Draw(statusRows([]proxier.FrontendStatus{long}), Look{Width: 80}); widestLine(out) > 80 || !strings.Contains(out, "1 :8080") {
		t.Errorf("long names:\n%s", out)
	}
	for text, want := range map[string]int{"": 0, "80": 80, "-1": 0, "wide": 0} {
		if got := wantedColumns(func(string) string { return text }); got != want {
			t.Errorf("COLUMNS=%s makes tables %d wide, want %d", text, got, want)
		}
	}
}

func TestDrawFooter(t *testing.T) {
	t.Parallel()
	const want = `* is an endpoint of this node.

HNSPortInUse: somebody listens
SessionAffinityUnsupported: HNS is too old
MixedTargetPorts: 1 is left out

4 frontends: 2 programmed, 1 blocked, 1 failing
HNS calls so far: 3 writes (CreateEndpoint 2, DeleteLoadBalancer 1)
                  reads: Network 4
`
	calls := map[hnslb.Verb]int{hnslb.VerbCreateEndpoint: 2, hnslb.VerbDeleteLoadBalancer: 1, hnslb.VerbNetwork: 4, hnslb.VerbUpdateLoadBalancer: 0}
	if diff := cmp.Diff(want, footer(append(sampleRows(), limitedRow()), calls)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestDrawReasons: each text once, and not too many.
func TestDrawReasons(t *testing.T) {
	t.Parallel()
	var rows []proxier.FrontendStatus
	for i := range 3 * shownReasons {
		rows = append(rows, proxiertest.Row("s", "", proxier.Blocked, desired.Note{Reason: "Why", Message: fmt.Sprint(i / 2)}))
	}
	lines := strings.Split(strings.TrimSpace(reasons(statusRows(rows))), "\n")
	if len(lines) != shownReasons+1 || lines[0] != "Why: 0" || lines[1] != "Why: 1" || lines[shownReasons] != "... and 5 more reasons" {
		t.Errorf("reasons %q", lines)
	}
}

// TestFollow: without a terminal a table is printed when it has been still for a moment,
// or has not been for too long, and once more at the end if it changed.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		var rows atomic.Pointer[[]proxier.FrontendStatus]
		show := func(r []proxier.FrontendStatus) { rows.Store(&r) }
		show(nil)
		f := &Follower{Out: &out, Rows: func() []proxier.FrontendStatus { return *rows.Load() },
			Calls:   func() map[hnslb.Verb]int { return map[hnslb.Verb]int{hnslb.VerbNetwork: len(*rows.Load())} },
			Notices: func() []string { return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx, clock.RealClock{}) }()
		step := func(n int, rowsNow []proxier.FrontendStatus) {
			t.Helper()
			show(rowsNow)
			<-time.After(drawPeriod)
			synctest.Wait()
			if got := strings.Count(out.String(), "SERVICE"); got != n {
				t.Errorf("%d tables, want %d:\n%s", got, n, out.String())
			}
		}
		all := sampleRows()
		step(0, nil)      // nothing to show
		step(0, all[:1])  // new
		step(1, all[:1])  // still
		step(1, all[:1])  // no news
		step(1, all[:2])  // a batch under way ...
		step(1, all[1:3]) // ...
		step(1, all[2:])  // ...
		step(2, all[:2])  // ... takes too long
		show(all)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !strings.Contains(out.String(), "3 frontends") {
			t.Errorf("the last state is not shown:\n%s", out.String())
		}
	})
}

func TestNotices(t *testing.T) {
	t.Parallel()
	n := NewNotices(testingclock.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	logger := logr.New(n)
	logger.Info("not shown")
	logger.WithName("x").WithValues("node", "n1").Error(errors.New("line 1\nline 2"), "It failed", "remedy", "try")
	if diff := cmp.Diff([]string{"03:04:05 It failed: line 1 line 2 node=n1 remedy=try"}, n.Lines()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for i := range 10 {
		logger.Error(nil, fmt.Sprint(i))
	}
	if lines := n.Lines(); len(lines) != keptNotices || !strings.HasSuffix(lines[0], " 5") {
		t.Errorf("kept %q, want the last %d", lines, keptNotices)
	}
}

// TestHostileTable: cells, reasons and errors are escaped, the colours of the table stay.
func TestHostileTable(t *testing.T) {
	text.EnableColors() // some Windows consoles have none
	r := proxiertest.Row("web"+printabletest.Hostile, "10.96.0.5", proxier.Failing, desired.Note{Reason: desired.HNSError, Message: printabletest.Hostile})
	r.Reason += printabletest.Hostile
	rows := statusRows([]proxier.FrontendStatus{r})
	drawn := Draw(rows, Look{}) + Legend(rows)
	printabletest.WantClean(t, "table", drawn, "shop/web"+printabletest.Escaped)
	if n := strings.Count(drawn, printabletest.Escaped); n != 4 || strings.Count(drawn, "\n") != 4 {
		t.Errorf("%d escaped texts, want service, why, and reason with message:\n%s", n, drawn)
	}
	coloured := Draw(rows, Look{Colour: true})
	if !strings.Contains(coloured, "\x1b[31mfailing\x1b[0m") {
		t.Errorf("a table without colours: %q", coloured)
	}
	n := NewNotices(testingclock.NewFakePassiveClock(time.Time{}))
	logr.New(n).Error(errors.New(printabletest.Hostile), printabletest.Hostile, "text", printabletest.Hostile)
	printabletest.WantClean(t, "notices", strings.Join(n.Lines(), "\n"), `\r I1124 forged`)
}
