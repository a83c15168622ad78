// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	pretty "github.com/jedib0t/go-pretty/v6/table"
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

// Document is the difference for programs.
func (d *Diff) Document() any {
	out := diffForm{
		Node:    d.plan.opts.Hostname,
		Network: networkForm{d.plan.hns.Network.Name, d.plan.hns.Network.Type},
		HNS:     d.plan.hns.Features.Version.String(),
		Changes: d.Changes,
	}
	for _, f := range d.plan.blocked() {
		out.Blocked = append(out.Blocked, frontendDocument(f))
	}
	for _, err := range d.plan.Problems {
		out.Problems = append(out.Problems, err.Error())
	}
	return out
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

// Text prints the difference for people. Wide adds backends and the IDs of HNS.
func (d *Diff) Text(wide, colour bool) string {
	var b strings.Builder
	p := d.plan
	b.WriteString(printable.Text(fmt.Sprintf("Node %s, network %s (%s), HNS %s; compared with %s.",
		p.opts.Hostname, p.hns.Network.Name, p.hns.Network.Type, p.hns.Features.Version, p.hns.Text)) + "\n\n")
	if len(d.Changes) == 0 {
		b.WriteString("No changes: HNS holds what the Services need.\n")
	} else {
		counts := map[Action]int{}
		for _, c := range d.Changes {
			counts[c.Action]++
		}
		b.WriteString(drawChanges(d.Changes, wide, colour) + "\n")
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
	head := pretty.Row{"action", "object", "name", "service", "reason"}
	if wide {
		head = append(head, "backends", "id")
	}
	t := table.NewPlain(head...)
	colours := map[Action]text.Color{Create: text.FgGreen, Update: text.FgYellow, Replace: text.FgYellow, Delete: text.FgRed}
	for _, c := range changes {
		action := string(c.Action)
		if colour {
			action = colours[c.Action].Sprint(action)
		}
		row := pretty.Row{action, c.Object, printable.Text(c.Name), printable.Text(strings.Join(c.Services, ",")), printable.Text(c.Why)}
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
