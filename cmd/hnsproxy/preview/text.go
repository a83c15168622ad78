// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Text prints the plan for people.
func (p *Plan) Text() string {
	var b strings.Builder
	b.WriteString(printable.Text(fmt.Sprintf("Node %s, network %s (%s), HNS %s; from %s.",
		p.opts.Hostname, p.hns.Network.Name, p.hns.Network.Type, p.hns.Features.Version, p.hns.Text)) + "\n\n")
	rows := make([]table.Row, 0, len(p.Frontends))
	for _, f := range p.Frontends {
		rows = append(rows, table.Row{Frontend: f.Frontend, State: string(f.Action), Colour: text.Reset, Notes: f.Notes(f.Note)})
	}
	if len(rows) > 0 {
		b.WriteString(table.Draw(rows, table.Look{State: "action"}) + table.Legend(rows) + "\n")
	}
	fmt.Fprintf(&b, "%d frontends, %d steps:\n", len(p.Frontends), len(p.Steps))
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%4d  %s\n", i+1, printable.Text(s.String()))
	}
	return b.String()
}

// document is a plan for programs. Names of fields stay as they are.
type document struct {
	Node      string         `json:"node"`
	Network   networkForm    `json:"network"`
	HNS       string         `json:"hnsVersion"`
	Frontends []frontendForm `json:"frontends"`
	Steps     []stepForm     `json:"steps"`
	Problems  []string       `json:"problems,omitempty"`
}

type networkForm struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type frontendForm struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	PortName  string `json:"portName,omitempty"`
	Kind      string `json:"kind"`
	Family    string `json:"family"`
	// VIP is empty for a node port.
	VIP      string `json:"vip,omitempty"`
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
	Action   Action `json:"action"`
	// Reason and Message say why it is blocked or waits.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Limits are what Windows cannot do for it.
	Limits     []limitForm   `json:"limits,omitempty"`
	TargetPort uint16        `json:"targetPort,omitempty"`
	SourceVIP  string        `json:"sourceVIP,omitempty"`
	Flags      []string      `json:"flags,omitempty"`
	Backends   []backendForm `json:"backends"`
}

type limitForm struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

type backendForm struct {
	IP    netip.Addr `json:"ip"`
	Local bool       `json:"local,omitempty"`
}

type stepForm struct {
	// Op is create, update or delete; Object is endpoint or loadbalancer.
	Op     string `json:"op"`
	Object string `json:"object"`
	// Name is the address of an endpoint, or the frontend of a load balancer.
	Name     string       `json:"name"`
	Backends []netip.Addr `json:"backends,omitempty"`
	// Text is the step as the text form prints it.
	Text string `json:"text"`
}

// Document is the plan for programs.
func (p *Plan) Document() any {
	d := document{
		Node:      p.opts.Hostname,
		Network:   networkForm{p.hns.Network.Name, p.hns.Network.Type},
		HNS:       p.hns.Features.Version.String(),
		Frontends: make([]frontendForm, 0, len(p.Frontends)),
		Steps:     make([]stepForm, 0, len(p.Steps)),
	}
	for _, f := range p.Frontends {
		d.Frontends = append(d.Frontends, frontendDocument(f))
	}
	for _, s := range p.Steps {
		d.Steps = append(d.Steps, stepDocument(s))
	}
	for _, err := range p.Problems {
		d.Problems = append(d.Problems, err.Error())
	}
	return d
}

func frontendDocument(f Frontend) frontendForm {
	out := frontendForm{
		Namespace:  f.Service.Namespace,
		Service:    f.Service.Name,
		PortName:   f.Port,
		Kind:       f.Kind.String(),
		Family:     f.Key.Family.String(),
		VIP:        addrText(f.Key.VIP),
		Port:       f.Key.Port,
		Protocol:   f.Key.Protocol.String(),
		Action:     f.Action,
		Reason:     string(f.Note.Reason),
		Message:    f.Note.Message,
		TargetPort: f.InternalPort,
		SourceVIP:  addrText(f.SourceVIP),
		Backends:   make([]backendForm, 0, len(f.Backends)),
	}
	if flags := plan.FlagNames(f.LoadBalancer()); flags != "" {
		out.Flags = strings.Split(flags, ",")
	}
	for _, l := range f.Limits {
		out.Limits = append(out.Limits, limitForm{string(l.Reason), l.Message})
	}
	for _, b := range f.Backends {
		out.Backends = append(out.Backends, backendForm{b.IP, b.Local})
	}
	return out
}

// addrText leaves out an address that is not set.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func stepDocument(s plan.Step) stepForm {
	d := stepForm{Name: s.Object(), Backends: s.Backends(), Text: s.String()}
	switch s.(type) {
	case plan.CreateEndpoint:
		d.Op, d.Object = "create", "endpoint"
	case plan.DeleteEndpoint:
		d.Op, d.Object = "delete", "endpoint"
	case plan.CreateLoadBalancer:
		d.Op, d.Object = "create", "loadbalancer"
	case plan.UpdateLoadBalancer:
		d.Op, d.Object = "update", "loadbalancer"
	case plan.DeleteLoadBalancer:
		d.Op, d.Object = "delete", "loadbalancer"
	}
	return d
}
