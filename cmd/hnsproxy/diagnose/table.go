// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"io"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// grid is a table without lines. Its cells are made printable.
type grid struct {
	pretty.Writer
	colour bool
}

// newGrid returns a table with a head.
func newGrid(colour bool, head ...string) *grid {
	row := make([]any, 0, len(head))
	for _, h := range head {
		row = append(row, h)
	}
	t := table.NewPlain(row...)
	t.Style().Format.Header = text.FormatUpper
	return &grid{t, colour}
}

// cell is a text with the meaning that its colour has.
type cell struct {
	text string
	mood mood
}

// mood is what a text means.
type mood int

const (
	plain mood = iota
	good
	doubtful
	bad
)

// add adds a row of strings and cells.
func (g *grid) add(cells ...any) {
	row := make(pretty.Row, 0, len(cells))
	for _, c := range cells {
		switch c := c.(type) {
		case cell:
			row = append(row, paint(g.colour, c.mood, printable.Text(c.text)))
		case string:
			row = append(row, printable.Text(c))
		}
	}
	g.AppendRow(row)
}

// render returns the table with the end of its last line.
func (g *grid) render() string { return g.Render() + "\n" }

// paint colours a text.
func paint(colour bool, m mood, s string) string {
	if !colour || m == plain || s == "" {
		return s
	}
	number := map[mood]string{good: "32", doubtful: "33", bad: "31"}[m]
	return "\x1b[" + number + "m" + s + "\x1b[0m"
}

// colours tells whether to use colours: on a terminal, unless somebody set NO_COLOR.
func (h Host) colours(w io.Writer) bool {
	_, terminal := h.Terminal(w)
	return table.UseColor(terminal)
}
