// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
	"k8s.io/utils/clock"
)

const (
	// drawPeriod is how often the table is looked at.
	drawPeriod = 250 * time.Millisecond
	// patience is after how many looks a table that keeps changing is printed all the same.
	patience = 4
)

// Follower shows the table of frontends while it changes: in place on a terminal, else
// one table below the other.
type Follower struct {
	Out  io.Writer
	Rows func() []proxier.FrontendStatus
	// Calls returns how often HNS was called so far.
	Calls func() map[hnslb.Verb]int
	// Notices are errors to show below the table.
	Notices func() []string

	// seen is the content at the last look, shown the one that stands there.
	seen, shown string
	// waited counts the looks since content differs from shown.
	waited int
	// lines is how many lines it takes on the terminal.
	lines int
}

// Run shows the table until ctx ends, and how it then is.
func (f *Follower) Run(ctx context.Context, c clock.WithTicker) error {
	ticker := c.NewTicker(drawPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return f.look(true)
		case <-ticker.C():
			if err := f.look(false); err != nil {
				return err
			}
		}
	}
}

// look shows the table if it differs from the one that stands there.
func (f *Follower) look(last bool) error {
	rows, calls := f.Rows(), f.Calls()
	// Reads go on forever, so they alone are no news.
	all := statusRows(rows)
	now := Draw(all, Look{}) + reasons(all) + fmt.Sprint(writesOf(calls)) + strings.Join(f.Notices(), "\n")
	settled := now == f.seen || last
	f.seen = now
	if now == f.shown || len(rows) == 0 && f.shown == "" && !last {
		f.waited = 0
		return nil
	}
	f.waited++
	width, height, terminal := TerminalSize(f.Out)
	if !terminal && !settled && f.waited < patience {
		return nil // a batch is under way
	}
	f.shown, f.waited = now, 0
	if terminal {
		return f.redraw(rows, calls, width, height)
	}
	return f.write(Draw(statusRows(rows), Look{Width: wantedColumns(os.Getenv)}) + footer(rows, calls) + f.notes() + "\n")
}

// redraw puts the table in place of the last one.
func (f *Follower) redraw(rows []proxier.FrontendStatus, calls map[hnslb.Verb]int, width, height int) error {
	foot := footer(rows, calls) + f.notes()
	// The head, the line that tells what was cut, and the line of the cursor.
	room := max(height-3-screenLines(foot, width), 1)
	frame := Draw(statusRows(rows), Look{Colour: true, Width: width, Height: room}) + foot
	if f.lines > 0 {
		frame = fmt.Sprintf("\x1b[%dA\r\x1b[J", f.lines) + frame
	}
	f.lines = screenLines(frame, width)
	return f.write(frame)
}

func (f *Follower) write(out string) error {
	if _, err := io.WriteString(f.Out, out); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// notes are what would have gone to the log.
func (f *Follower) notes() string {
	if n := f.Notices(); len(n) > 0 {
		return "\n" + strings.Join(n, "\n") + "\n"
	}
	return ""
}

// TerminalSize tells whether w is a terminal, and its size.
func TerminalSize(w io.Writer) (width, height int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return width, height, err == nil
}

// wantedColumns is how wide a table may be that goes elsewhere than to a terminal; 0 for any.
func wantedColumns(getenv func(string) string) int {
	n, err := strconv.Atoi(getenv("COLUMNS"))
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// screenLines counts the lines that a text takes on a terminal, which wraps long ones.
func screenLines(frame string, width int) int {
	n := 0
	for line := range strings.Lines(frame) {
		columns := text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n"))
		n += 1 + max(columns-1, 0)/max(width, 1)
	}
	return n
}
