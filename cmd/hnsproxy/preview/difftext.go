// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// diffForm is a difference for programs. Names of fields stay as they are.
type diffForm struct {
	Node    string      `json:"node"`
	Network networkForm `json:"network"`
	HNS     string      `json:"hnsVersion"`
	Changes []Change    `json:"changes"`
	// Blocked are frontends that HNS will lack all the same.
	Blocked  []frontendForm `json:"blocked,omitempty"`
	Problems []string       `json:"problems,omitempty"`
}

// DiffDocument is the difference for programs.
func (p *Plan) DiffDocument() any {
	d := diffForm{
		Node:    p.opts.Hostname,
		Network: networkForm{p.hns.Network.Name, p.hns.Network.Type},
		HNS:     p.hns.Features.Version.String(),
		Changes: p.Changes(),
	}
	for _, f := range p.blocked() {
		d.Blocked = append(d.Blocked, frontendDocument(f))
	}
	for _, err := range p.Problems {
		d.Problems = append(d.Problems, err.Error())
	}
	return d
}

// blocked are the frontends that wait or cannot be programmed.
func (p *Plan) blocked() []Frontend {
	var out []Frontend
	for _, f := range p.Frontends {
		if f.Action == Block || f.Action == Wait {
			out = append(out, f)
		}
	}
	return out
}

// DiffText prints the difference for people. Wide adds backends and the IDs of HNS.
func (p *Plan) DiffText(wide, colour bool) string {
	var b strings.Builder
	b.WriteString(printable.Text(fmt.Sprintf("Node %s, network %s (%s), HNS %s; compared with %s.",
		p.opts.Hostname, p.hns.Network.Name, p.hns.Network.Type, p.hns.Features.Version, p.hns.Text)) + "\n\n")
	changes := p.Changes()
	if len(changes) == 0 {
		b.WriteString("No changes: HNS holds what the Services need.\n")
	} else {
		b.WriteString(drawChanges(changes, wide, colour) + "\n")
	}
	counts := map[Action]int{}
	for _, c := range changes {
		counts[c.Action]++
	}
	if len(changes) > 0 {
		fmt.Fprintf(&b, "\n%d to create, %d to update, %d to replace, %d to delete.\n", counts[Create], counts[Update], counts[Replace], counts[Delete])
	}
	for i, f := range p.blocked() {
		if i == 0 {
			b.WriteString("\nNot programmed:\n")
		}
		b.WriteString(printable.Text(fmt.Sprintf("  %s %s: %s: %s", f.Service, f.Key, f.Note.Reason, f.Note.Message)) + "\n")
	}
	return b.String()
}

func drawChanges(changes []Change, wide, colour bool) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.SuppressTrailingSpaces()
	head := table.Row{"action", "object", "name", "service", "reason"}
	if wide {
		head = append(head, "backends", "id")
	}
	t.AppendHeader(head)
	colours := map[Action]text.Color{Create: text.FgGreen, Update: text.FgYellow, Replace: text.FgYellow, Delete: text.FgRed}
	for _, c := range changes {
		action := string(c.Action)
		if colour {
			action = colours[c.Action].Sprint(action)
		}
		row := table.Row{action, c.Object, printable.Text(c.Name), printable.Text(strings.Join(c.Services, ",")), printable.Text(c.Why)}
		if wide {
			row = append(row, addresses(c.Backends), printable.Text(string(c.ID)))
		}
		t.AppendRow(row)
	}
	return t.Render()
}

func addresses(ips []netip.Addr) string {
	texts := make([]string, 0, len(ips))
	for _, ip := range ips {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, ",")
}
