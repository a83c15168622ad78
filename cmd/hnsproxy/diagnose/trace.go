// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/trace"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/spf13/cobra"
)

const traceHelp = `hnsproxy trace says where the first packet of a flow would go on this node: which load balancer of
HNS it meets, which backends it can reach and with which source address, or why it is lost. It
sends nothing. It reads what HNS holds and follows the packet through the model that hnsproxy's own
tests use; each answer names the section of docs/hns.md with the rule behind it.

FROM is "host", the address of a pod of this node, or any other address. Write outside:IP or pod:IP
where it should be taken for one or the other. TO is IP:PORT, with /UDP for UDP. Node ports are on
the node's own address.

HNS does not show everything. Rules that VFP has lost, programs that listen on the node, and the
network plugin's loopbackDSR setting are not in its lists; where the answer hangs on one of
them, it says so. The exit code is 0 when all packets arrive, 4 when some are lost, and 1 when
HNS could not be read.`

const traceExamples = `  # From a pod of this node to DNS, and from the node itself:
  hnsproxy trace 10.244.1.9 10.96.0.10:53/UDP
  hnsproxy trace host 10.96.0.10:53/UDP

  # From a client elsewhere to a node port:
  hnsproxy trace 203.0.113.9 10.0.0.5:30080

  # On what another node held when its bundle was made:
  hnsproxy trace 10.244.1.9 10.96.0.1:443 --file=hnsproxy-dump.zip`

type traceOptions struct {
	source
	host      Host
	fromPort  uint16
	loopback  bool
	listeners []string
	format    string
}

func newTrace(h Host) *cobra.Command {
	o := &traceOptions{source: newSource(), host: h, format: "text"}
	cmd := &cobra.Command{
		Use:     "trace FROM TO:PORT[/UDP] [flags]",
		Short:   "say where a packet would go, and why",
		Long:    traceHelp,
		Example: traceExamples,
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"host", "pod:", "outside:"}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("trace")
	fs.Uint16Var(&o.fromPort, "from-port", 0, "Source `PORT`; the backend that it leads to is marked. The hash is the model's, not that of Windows: "+
		"it shows that a choice is made, not which.")
	fs.BoolVar(&o.loopback, "loopback-dsr", false, "The network plugin sets loopbackDSR, so that a pod reaches itself through a load balancer with DSR.")
	fs.StringSliceVar(&o.listeners, "listener", nil, "`PORT/TCP,...` on which programs of the node listen.")
	addOutput(fs, &o.format)
	o.addFlags(sets, "trace")
	h.finish(cmd, sets)
	AcceptAll(cmd, o.command)
	Complete(cmd, "output", "text", "json", "yaml")
	return cmd
}

func (o *traceOptions) run(cmd *cobra.Command, args []string) error {
	if err := checkOneOf("output", o.format, "text", "json", "yaml"); err != nil {
		return err
	}
	if len(args) != 2 {
		return options.Usage("trace takes where a packet starts and where it is sent to", "write it like hnsproxy trace 10.244.1.9 10.96.0.10:53/UDP")
	}
	to, protocol, err := trace.ParseTo(args[1])
	if err != nil {
		return options.Usage(err.Error(), "write it like 10.96.0.10:53/UDP")
	}
	facts := trace.Host{LoopbackDSR: o.loopback}
	for _, text := range o.listeners {
		l, err := trace.ParseListener(text)
		if err != nil {
			return options.Invalid("listener", text, err.Error(), "write it like 10250/TCP")
		}
		facts.Listeners = append(facts.Listeners, l)
	}
	s, err := o.take(cmd.Context(), o.host)
	if err != nil {
		return err
	}
	node := trace.New(s, facts)
	from, err := node.ParseFrom(args[0])
	if err != nil {
		return options.Usage(err.Error(), "write host, or an address such as 10.244.1.9")
	}
	r := node.Follow(trace.Packet{From: from, FromPort: o.fromPort, To: to, Protocol: protocol})
	out := cmd.OutOrStdout()
	if err := o.host.Write(out, o.format, r, func() string { return drawTrace(r, o.host.colours(out)) }); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	return lostError(r)
}

// lostError is the error of packets that do not arrive.
func lostError(r trace.Result) error {
	lost := 0
	for _, o := range r.Outcomes {
		if o.Lost != "" {
			lost++
		}
	}
	switch {
	case lost == 0:
		return nil
	case lost == len(r.Outcomes):
		return found("the packet is lost")
	}
	return found(fmt.Sprintf("%d of %s lose the packet", lost, plural(len(r.Outcomes), "way")))
}

// drawTrace prints the way of a packet as people read it.
func drawTrace(r trace.Result, colour bool) string {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-14s%s\n", name, printable.Text(text)) }
	line("from", r.From)
	line("to", r.To.String()+"/"+r.Protocol)
	if lb := r.LoadBalancer; lb != nil {
		text := fmt.Sprintf("%s on %s, %s, %s by %s", lb.ID, lb.Frontend, lb.Mode, plural(lb.Backends, "backend"), lb.Choice)
		if lb.SourceVIP != "" {
			text += ", source VIP " + lb.SourceVIP
		}
		line("load balancer", text)
	} else {
		line("load balancer", "none")
	}
	b.WriteString("\n")
	g := newGrid(colour, "", "arrives at", "on", "source seen", "destination seen", "rule (docs/hns.md)", "note")
	for _, o := range r.Outcomes {
		mark := ""
		if o.Chosen {
			mark = "*"
		}
		if o.Lost != "" {
			g.add(mark, cell{"lost", bad}, "", "", "", o.Rule, o.Lost)
			continue
		}
		g.add(mark, cell{o.Backend, good}, where(o, r), o.SourceIP, seen(o, r.To), o.Rule, o.Note)
	}
	g.SuppressEmptyColumns()
	b.WriteString(g.render())
	for _, n := range r.Notes {
		b.WriteString("\nNote: " + printable.Text(n) + "\n")
	}
	return b.String()
}

func where(o trace.Outcome, r trace.Result) string {
	switch {
	case o.Local:
		return "this node"
	case r.LoadBalancer == nil && o.Backend == r.To.String():
		return ""
	}
	return "another node"
}

// seen is the destination that a backend sees.
func seen(o trace.Outcome, to netip.AddrPort) string {
	if o.DestinationKept {
		return to.String()
	}
	return o.Backend
}
