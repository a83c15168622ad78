// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	// shownBackends is how many backends of one frontend a table shows by address.
	shownBackends = 3
	// shownReasons is how many reasons are explained below a table.
	shownReasons = 10
)

// localLegend explains the star.
const localLegend = "* is an endpoint of this node.\n"

// Look says how a table is drawn.
type Look struct {
	// State is the head of that column, "state" if empty.
	State string
	// Colour states, for a terminal.
	Colour bool
	// Width and Height cut the table; 0 cuts nothing.
	Width, Height int
}

// Row is one frontend in a table.
type Row struct {
	Frontend *desired.Frontend
	State    string
	Colour   text.Color
	// Notes say why it is in that state, and what Windows cannot do for it.
	Notes []desired.Note
}

// why is the reasons in short.
func (r Row) why() string {
	reasons := make([]string, 0, len(r.Notes))
	for _, n := range r.Notes {
		reasons = append(reasons, string(n.Reason))
	}
	return strings.Join(reasons, ", ")
}

// statusRows shows how far frontends are.
func statusRows(rows []proxier.FrontendStatus) []Row {
	out := make([]Row, 0, len(rows))
	for _, r := range rows {
		colour := text.FgYellow
		switch r.State {
		case proxier.Programmed:
			colour = text.FgGreen
		case proxier.Failing:
			colour = text.FgRed
		}
		out = append(out, Row{r.Frontend, string(r.State), colour, r.Notes()})
	}
	return out
}

// Draw prints frontends as people read them. The table ends with a line break. One that is
// wider than asked gives up columns, those first that say least.
func Draw(rows []Row, l Look) string {
	shown := rows
	if l.Height > 0 && len(shown) > l.Height {
		shown = shown[:l.Height]
	}
	var out string
	for narrow := range narrowest + 1 {
		out = drawColumns(shown, l, narrow)
		if l.Width == 0 || widestLine(out) <= l.Width {
			break
		}
	}
	out += "\n"
	if cut := len(rows) - len(shown); cut > 0 {
		out += fmt.Sprintf("... and %d more; enlarge the terminal\n", cut)
	}
	return out
}

// How narrow a table is. Each step takes those before it.
const (
	withoutFlags    = iota + 1
	countedBackends // instead of their addresses
	withoutKind     // and with the protocol behind the port
	cutNames
	narrowest = cutNames
)

// drawColumns prints a table that is narrow to a degree.
func drawColumns(rows []Row, l Look, narrow int) string {
	head := pretty.Row{"service", "kind", "vip:port", "proto", cmp.Or(l.State, "state"), "why", "backends", "flags"}
	t := NewPlain(head...)
	t.SuppressEmptyColumns()
	var columns []pretty.ColumnConfig
	hide := func(names ...string) {
		for _, name := range names {
			columns = append(columns, pretty.ColumnConfig{Name: name, Hidden: true})
		}
	}
	if narrow >= withoutFlags {
		hide("flags")
	}
	if narrow >= withoutKind {
		hide("kind", "proto")
	}
	if narrow >= cutNames {
		t.Style().Size.WidthMax = l.Width
		columns = append(columns, cutTo("service", l.Width/4), cutTo("vip:port", l.Width/3), cutTo("why", l.Width/6))
	}
	t.SetColumnConfigs(columns)
	for _, r := range rows {
		t.AppendRow(r.cells(l, narrow))
	}
	return t.Render()
}

// cutTo makes a column cut what is longer.
func cutTo(name string, width int) pretty.ColumnConfig {
	return pretty.ColumnConfig{Name: name, WidthMax: width, WidthMaxEnforcer: func(s string, most int) string { return text.Snip(s, most, "~") }}
}

// cells are what a row shows in each column.
func (r Row) cells(l Look, narrow int) pretty.Row {
	f, state := r.Frontend, printable.Text(r.State)
	if l.Colour {
		state = r.Colour.Sprint(state)
	}
	address, backends := Address(f.Key), Backends(f)
	if narrow >= withoutKind {
		address += "/" + f.Key.Protocol.String()
	}
	if narrow >= countedBackends {
		backends = backendsCounted(f)
	}
	return pretty.Row{
		printable.Text(f.Service.String()), f.Kind.String(), address, f.Key.Protocol.String(), state,
		printable.Text(r.why()), backends, plan.FlagNames(f.LoadBalancer()),
	}
}

func widestLine(out string) int {
	widest := 0
	for line := range strings.Lines(out) {
		widest = max(widest, text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")))
	}
	return widest
}

// Address prints "10.96.0.10:53", or "node:30080" for a node port.
func Address(k hnslb.FrontendKey) string {
	if k.NodePort() {
		return "node:" + strconv.Itoa(int(k.Port))
	}
	return strings.TrimSuffix(k.String(), "/"+k.Protocol.String())
}

// Backends prints "10.244.1.5*, 10.244.2.7 :8080", the star meaning this node.
func Backends(f *desired.Frontend) string {
	if len(f.Backends) == 0 {
		return "none"
	}
	var ips []string
	for _, b := range f.Backends[:min(len(f.Backends), shownBackends)] {
		ip := b.IP.String()
		if b.Local {
			ip += "*"
		}
		ips = append(ips, ip)
	}
	out := strings.Join(ips, ", ")
	if more := len(f.Backends) - len(ips); more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out + " :" + strconv.Itoa(int(f.InternalPort))
}

// backendsCounted prints "2 (1*) :8080", the star meaning this node.
func backendsCounted(f *desired.Frontend) string {
	local := 0
	for _, b := range f.Backends {
		if b.Local {
			local++
		}
	}
	switch {
	case len(f.Backends) == 0:
		return "none"
	case local == 0:
		return fmt.Sprintf("%d :%d", len(f.Backends), f.InternalPort)
	}
	return fmt.Sprintf("%d (%d*) :%d", len(f.Backends), local, f.InternalPort)
}

// reasons explains the reasons of a table, each text once: they are too long for a
// column, and often many frontends share one.
func reasons(rows []Row) string {
	var lines []string
	for _, r := range rows {
		for _, n := range r.Notes {
			if line := printable.Text(fmt.Sprintf("%s: %s", n.Reason, n.Message)) + "\n"; n.Message != "" && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	if more := len(lines) - shownReasons; more > 0 {
		lines = append(lines[:shownReasons:shownReasons], fmt.Sprintf("... and %d more reasons\n", more))
	}
	if len(lines) > 0 {
		lines = append([]string{"\n"}, lines...)
	}
	return strings.Join(lines, "")
}

// Legend explains what stands in a table.
func Legend(rows []Row) string {
	for _, r := range rows {
		if slices.ContainsFunc(r.Frontend.Backends, func(b desired.Backend) bool { return b.Local }) {
			return localLegend + reasons(rows)
		}
	}
	return reasons(rows)
}

// footer explains the table of frontends, and sums up states and calls of HNS.
func footer(rows []proxier.FrontendStatus, calls map[hnslb.Verb]int) string {
	counts := map[proxier.FrontendState]int{}
	for _, r := range rows {
		counts[r.State]++
	}
	var states []string
	for _, s := range proxier.FrontendStates() {
		if counts[s] > 0 || s == proxier.Programmed {
			states = append(states, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	var reads, writes []string
	for _, v := range hnslb.Verbs() {
		switch n := calls[v]; {
		case n == 0:
		case v.IsWrite():
			writes = append(writes, fmt.Sprintf("%s %d", v, n))
		default:
			reads = append(reads, fmt.Sprintf("%s %d", v, n))
		}
	}
	out := Legend(statusRows(rows)) + fmt.Sprintf("\n%d frontends: %s\nHNS calls so far: %d writes", len(rows), strings.Join(states, ", "), writesOf(calls))
	if len(writes) > 0 {
		out += " (" + strings.Join(writes, ", ") + ")"
	}
	return out + "\n                  reads: " + strings.Join(reads, ", ") + "\n"
}

func writesOf(calls map[hnslb.Verb]int) int {
	n := 0
	for v, c := range calls {
		if v.IsWrite() {
			n += c
		}
	}
	return n
}
