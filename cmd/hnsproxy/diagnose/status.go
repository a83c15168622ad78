// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/pages"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/spf13/cobra"
)

const statusHelp = `hnsproxy status asks the hnsproxy that runs on this node what has become of each frontend: of each
address and port on which a Service is to answer.

  programmed  HNS holds it as it should be
  pending     it is about to be written, or waits for a pod to start
  blocked     it cannot be programmed until something else changes; the reason says what
  failing     HNS refuses it, and it is tried again

The exit code is 0 when everything that is shown is programmed, 4 when something is not, and 1
when hnsproxy could not be asked. With --watch it is 0.`

const statusExamples = `  # Everything, and what is not as it should be:
  hnsproxy status
  hnsproxy status --state=blocked,failing,pending

  # One Service, one node port, and with backends and IDs of HNS:
  hnsproxy status kube-system/kube-dns
  hnsproxy status --node-port=30080 -o wide

  # Follow the changes; wait in a script until a Service is in force:
  hnsproxy status --watch
  until hnsproxy status default/web; do sleep 1; done`

type statusOptions struct {
	server
	host                                         Host
	services, namespaces, states, reasons, kinds []string
	nodePorts                                    []uint
	watch                                        bool
	every                                        time.Duration
	format                                       string
}

func newStatus(h Host) *cobra.Command {
	o := &statusOptions{server: newServer(), host: h, every: 2 * time.Second, format: "text"}
	cmd := &cobra.Command{
		Use:     "status [NAMESPACE/SERVICE...] [flags]",
		Short:   "say what has become of each Service on this node",
		Long:    statusHelp,
		Example: statusExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.services = append(o.services, slices.DeleteFunc(args, func(a string) bool { return a == "" })...)
			return o.run(cmd)
		},
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return o.serviceNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("status")
	fs.StringSliceVar(&o.services, "service", nil, "`NAMESPACE/NAME,...` of the Services to show.")
	fs.StringSliceVarP(&o.namespaces, "namespace", "n", nil, "`NAMESPACE,...` whose Services to show.")
	fs.UintSliceVar(&o.nodePorts, "node-port", nil, "`PORT,...` to show.")
	fs.StringSliceVar(&o.states, "state", nil, "`STATE,...` to show: programmed, pending, blocked, failing.")
	fs.StringSliceVar(&o.reasons, "reason", nil, "`REASON,...` to show, such as SourceVIPMissing.")
	fs.StringSliceVar(&o.kinds, "kind", nil, "`KIND,...` to show: clusterip, nodeport, externalip, ingressip, healthcheck.")
	fs.BoolVarP(&o.watch, "watch", "w", false, "Go on, and print each change.")
	fs.DurationVar(&o.every, "interval", o.every, "How often --watch asks. At least 100ms.")
	fs.StringVarP(&o.format, "output", "o", o.format, "`FORMAT` of the answer: text, wide, json or yaml.")
	o.addFlags(sets.FlagSet("hnsproxy"))
	h.finish(cmd, sets)
	Complete(cmd, "state", "programmed", "pending", "blocked", "failing")
	Complete(cmd, "kind", "clusterip", "nodeport", "externalip", "ingressip", "healthcheck")
	Complete(cmd, "output", "text", "wide", "json", "yaml")
	return cmd
}

// serviceNames are what the shell completes with.
func (o *statusOptions) serviceNames(ctx context.Context) []string {
	doc, err := o.frontends(ctx, nil)
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range doc.Frontends {
		names = append(names, f.Service)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (o *statusOptions) run(cmd *cobra.Command) error {
	if err := checkOneOf("output", o.format, "text", "wide", "json", "yaml"); err != nil {
		return err
	}
	for _, s := range o.states {
		if err := checkOneOf("state", s, "programmed", "pending", "blocked", "failing"); err != nil {
			return err
		}
	}
	for _, s := range o.services {
		if strings.Count(s, "/") != 1 {
			return options.Invalid("service", s, "is no Service", "write it as NAMESPACE/NAME")
		}
	}
	if o.every < 100*time.Millisecond {
		return options.Invalid("interval", o.every.String(), "is too short", "use at least 100ms")
	}
	if o.watch {
		return o.follow(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o.ask)
	}
	doc, err := o.ask(cmd.Context())
	if err != nil {
		return err
	}
	if err := o.print(cmd.OutOrStdout(), doc); err != nil {
		return err
	}
	return verdict(doc)
}

// ask asks for what is to be shown.
func (o *statusOptions) ask(ctx context.Context) (pages.FrontendsDocument, error) {
	query := url.Values{}
	for name, values := range map[string][]string{
		"service": o.services, "namespace": o.namespaces, "state": o.states, "reason": o.reasons, "kind": o.kinds,
	} {
		if len(values) > 0 {
			query[name] = values
		}
	}
	doc, err := o.frontends(ctx, query)
	if len(o.nodePorts) > 0 {
		doc.Frontends = slices.DeleteFunc(doc.Frontends, func(f pages.FrontendDocument) bool {
			return f.Kind != "nodeport" || !slices.Contains(o.nodePorts, uint(f.ExternalPort))
		})
	}
	return doc, err
}

func (o *statusOptions) print(w io.Writer, doc pages.FrontendsDocument) error {
	return o.host.Write(w, o.format, doc, func() string {
		return drawStatus(doc, o.format == "wide", o.host.colours(w))
	})
}

// verdict is the error for frontends that are not in force.
func verdict(doc pages.FrontendsDocument) error {
	amiss := 0
	for _, f := range doc.Frontends {
		if f.State != proxier.Programmed {
			amiss++
		}
	}
	if amiss == 0 {
		return nil
	}
	return found(fmt.Sprintf("%d of %s not programmed", amiss, plural(len(doc.Frontends), "frontend")))
}

// drawStatus prints frontends as people read them.
func drawStatus(doc pages.FrontendsDocument, wide, colour bool) string {
	if len(doc.Frontends) == 0 {
		return "No frontends.\n"
	}
	head := []string{"service", "port", "kind", "frontend", "state", "since", "backends", "reason", "message"}
	if wide {
		head = append(head, "flags", "load balancer", "backend addresses", "limits")
	}
	g := newGrid(colour, head...)
	for _, f := range doc.Frontends {
		local := 0
		for _, b := range f.Backends {
			if b.Local {
				local++
			}
		}
		row := []any{f.Service, f.Port, f.Kind, address(f), cell{string(f.State), moodOf(f.State)}, age(doc.Time.Sub(f.Since)),
			fmt.Sprintf("%d (%d here)", len(f.Backends), local), reason(f), f.Message}
		if wide {
			row = append(row, f.Flags, f.LoadBalancer, backendList(f), limits(f))
		}
		g.add(row...)
	}
	text := g.render()
	if !doc.Objects {
		text += "hnsproxy has not begun to work on its HNS network; the log says what it waits for.\n"
	}
	return text
}

func moodOf(s proxier.FrontendState) mood {
	switch s {
	case proxier.Programmed:
		return good
	case proxier.Pending:
		return doubtful
	}
	return bad
}

// address prints where clients send to.
func address(f pages.FrontendDocument) string {
	vip := cmp.Or(f.VIP, "node")
	if strings.Contains(vip, ":") {
		vip = "[" + vip + "]"
	}
	return fmt.Sprintf("%s:%d/%s", vip, f.ExternalPort, f.Protocol)
}

// reason is why a frontend is in its state, or else what limits it.
func reason(f pages.FrontendDocument) string {
	if f.Reason != "" || len(f.Limits) == 0 {
		return string(f.Reason)
	}
	names := make([]string, 0, len(f.Limits))
	for _, l := range f.Limits {
		names = append(names, string(l.Reason))
	}
	return strings.Join(names, ",")
}

func limits(f pages.FrontendDocument) string {
	texts := make([]string, 0, len(f.Limits))
	for _, l := range f.Limits {
		texts = append(texts, l.Message)
	}
	return strings.Join(texts, "; ")
}

func backendList(f pages.FrontendDocument) string {
	const most = 8
	var out []string
	for _, b := range f.Backends[:min(most, len(f.Backends))] {
		out = append(out, fmt.Sprintf("%s>%d", b.IP, f.InternalPort))
	}
	if more := len(f.Backends) - most; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ",")
}

// age prints a duration in its largest unit, as kubectl does.
func age(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// follow prints what there is, and then each change, until ctx ends. An hnsproxy that does not
// answer is said once; it may be about to be started again.
func (o *statusOptions) follow(ctx context.Context, out, errOut io.Writer, ask func(context.Context) (pages.FrontendsDocument, error)) error {
	ticker := time.NewTicker(o.every)
	defer ticker.Stop()
	var before map[string]string
	silent := false
	for {
		doc, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && before == nil:
			return err
		case err != nil && !silent:
			_, _ = fmt.Fprintln(errOut, printable.Lines(err.Error())) // nobody may read it
		case err == nil:
			now, changes := o.changes(before, doc)
			if err := o.printChanges(out, doc, before == nil, changes); err != nil {
				return err
			}
			before = now
		}
		silent = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// changes compares frontends with those before, and returns how they are now.
func (o *statusOptions) changes(before map[string]string, doc pages.FrontendsDocument) (now map[string]string, lines []string) {
	now = map[string]string{}
	for _, f := range doc.Frontends {
		name := f.Service + ":" + f.Port + " " + address(f)
		now[name] = fmt.Sprintf("%s, %s", f.State, plural(len(f.Backends), "backend"))
		if r := reason(f); r != "" {
			now[name] += ", " + r
		}
		if now[name] != before[name] {
			lines = append(lines, name+"  "+cmp.Or(before[name], "not there")+" -> "+now[name])
		}
	}
	for name, was := range before {
		if _, there := now[name]; !there {
			lines = append(lines, name+"  "+was+" -> not there")
		}
	}
	slices.Sort(lines)
	return now, lines
}

// printChanges prints everything the first time and for programs, else a line for each change.
func (o *statusOptions) printChanges(out io.Writer, doc pages.FrontendsDocument, first bool, changes []string) error {
	if first || len(changes) > 0 && (o.format == "json" || o.format == "yaml") {
		return o.print(out, doc)
	}
	for _, line := range changes {
		if _, err := fmt.Fprintln(out, doc.Time.Format(time.TimeOnly), printable.Text(line)); err != nil {
			return err
		}
	}
	return nil
}
