// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"os"

	pretty "github.com/jedib0t/go-pretty/v6/table"
)

// NewPlain returns a table without lines between cells, as all commands print them.
func NewPlain(head ...any) pretty.Writer {
	t := pretty.NewWriter()
	t.SetStyle(pretty.StyleLight)
	t.Style().Options = pretty.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.SuppressTrailingSpaces()
	t.AppendHeader(head)
	return t
}

// UseColor returns whether output is colored: on a terminal, unless the user set NO_COLOR.
func UseColor(terminal bool) bool { return terminal && os.Getenv("NO_COLOR") == "" }
