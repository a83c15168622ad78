// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/cleanup"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/spf13/cobra"
)

const cleanupHelp = `hnsproxy cleanup removes from HNS what hnsproxy made on the pods' network: load balancers, and the
remote endpoints that only they name. It shows them first and asks. Endpoints of pods, remote
endpoints of network plugins, the source VIP, and load balancers of others stay.

HNS does not keep who made a load balancer. One counts as hnsproxy's if it has the flags that
hnsproxy or kube-proxy.exe set and its endpoints are on this network, so kube-proxy's leftovers go
too. With --all every load balancer of the host goes, whoever made it.

Services stop to work on this node until something programs them again. Stop hnsproxy first,
or it makes everything anew. What is removed stays removed when the command is interrupted, and
running it again does the rest.`

const cleanupExamples = `  # Show what would be removed, and ask:
  hnsproxy cleanup

  # Only show it; in a script:
  hnsproxy cleanup --dry-run
  hnsproxy cleanup --yes

  # Every load balancer of the host, on a node whose network is named:
  hnsproxy cleanup --network-name=Calico --all`

type cleanupOptions struct {
	source
	host             Host
	yes, dryRun, all bool
	format           string
}

func newCleanup(h Host) *cobra.Command {
	o := &cleanupOptions{source: newSource(), host: h, format: "text"}
	cmd := &cobra.Command{
		Use:     "cleanup [flags]",
		Short:   "remove what hnsproxy made in HNS",
		Long:    cleanupHelp,
		Example: cleanupExamples,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := o.options(h)
			if err != nil {
				return err
			}
			return o.run(cmd.Context(), opts, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("cleanup")
	fs.BoolVar(&o.yes, "yes", false, "Do not ask.")
	fs.BoolVar(&o.dryRun, "dry-run", false, "Show what would be removed, and remove nothing.")
	fs.BoolVar(&o.all, "all", false, "Remove all load balancers of the host, whoever made them.")
	addOutput(fs, &o.format)
	o.command.AddNodeFlags(sets.FlagSet("node and network"))
	o.command.AddHNSFlags(sets.FlagSet("hnsproxy"))
	o.command.AddEmulatorFlags(sets.FlagSet("hnsproxy"))
	h.finish(cmd, sets)
	AcceptAll(cmd, o.command)
	Complete(cmd, "output", "text", "json", "yaml")
	return cmd
}

// CleanUp removes what hnsproxy made, without a question: kube-proxy's --cleanup.
func CleanUp(ctx context.Context, h Host, o *options.Options, out io.Writer) error {
	return (&cleanupOptions{host: h, yes: true, format: "text"}).run(ctx, o, nil, out)
}

// removal is what is, or would be, removed.
type removal struct {
	Network       string   `json:"network"`
	DryRun        bool     `json:"dryRun,omitempty"`
	LoadBalancers []object `json:"loadBalancers"`
	Endpoints     []object `json:"endpoints"`
	// Staying counts what is left alone.
	Staying struct {
		LoadBalancers int `json:"loadBalancers"`
		Endpoints     int `json:"endpoints"`
	} `json:"staying"`
}

type object struct {
	ID   hnslb.ID `json:"id"`
	Name string   `json:"name"`
}

func (o *cleanupOptions) run(ctx context.Context, opts *options.Options, in io.Reader, out io.Writer) error {
	if err := checkOneOf("output", o.format, "text", "json", "yaml"); err != nil {
		return err
	}
	hns, err := o.host.HNS(ctx, opts)
	if err != nil {
		return err
	}
	remove, doc, err := o.choose(ctx, hns, opts)
	if err != nil {
		return err
	}
	if err := o.host.Write(out, o.format, doc, func() string { return drawRemoval(doc) }); err != nil {
		return fmt.Errorf("print what is removed: %w", err)
	}
	if o.dryRun || remove.Empty() {
		return nil
	}
	if !o.yes {
		const text = "\nServices stop to work on this node until something programs them again. hnsproxy must not run meanwhile.\n"
		if err := o.host.Confirm(in, out, text); err != nil {
			return err
		}
	}
	done := 0
	err = cleanup.Remove(ctx, hns.Driver, remove, func(string) { done++ })
	if hns.Save != nil {
		err = errors.Join(err, hns.Save())
	}
	if o.format == "text" {
		_, _ = fmt.Fprintf(out, "Removed %s.\n", plural(done, "object")) // nobody may read it
	}
	if err != nil {
		return fmt.Errorf("not all was removed, run it again: %w", err)
	}
	return nil
}

// choose finds out what is to be removed.
func (o *cleanupOptions) choose(ctx context.Context, hns HNS, opts *options.Options) (cleanup.Holdings, removal, error) {
	doc := removal{DryRun: o.dryRun, LoadBalancers: []object{}, Endpoints: []object{}}
	fail := func(err error) (cleanup.Holdings, removal, error) { return cleanup.Holdings{}, doc, err }
	scope := cleanup.Scope{SourceVIP: opts.VIP(), All: o.all}
	var err error
	if opts.Network != "" {
		scope.Network, err = hns.Driver.Network(ctx, opts.Network)
	} else {
		scope.Network, err = place.Finder{Driver: hns.Driver, Names: hns.Names}.Network(ctx)
	}
	if err != nil {
		return fail(fmt.Errorf("find the network (--network-name names it): %w", err))
	}
	first, err := cleanup.List(ctx, hns.Driver)
	if err != nil {
		return fail(err)
	}
	second, err := cleanup.List(ctx, hns.Driver)
	if err != nil {
		return fail(err)
	}
	remove, stay := cleanup.Choose(first, second, scope)
	doc.Network = scope.Network.Name
	for _, lb := range remove.LoadBalancers {
		doc.LoadBalancers = append(doc.LoadBalancers, object{lb.ID, lb.ObjectName()})
	}
	for _, e := range remove.Endpoints {
		doc.Endpoints = append(doc.Endpoints, object{e.ID, e.ObjectName()})
	}
	doc.Staying.LoadBalancers, doc.Staying.Endpoints = len(stay.LoadBalancers), len(stay.Endpoints)
	return remove, doc, nil
}

// drawRemoval prints what is removed as people read it.
func drawRemoval(r removal) string {
	if len(r.LoadBalancers)+len(r.Endpoints) == 0 {
		return fmt.Sprintf("There is nothing of hnsproxy on network %s.\n", printable.Text(r.Network))
	}
	var b strings.Builder
	what := "To be removed"
	if r.DryRun {
		what = "Would be removed"
	}
	fmt.Fprintf(&b, "%s from HNS, network %s:\n\n", what, printable.Text(r.Network))
	g := newGrid(false, "object", "name", "id")
	for _, lb := range r.LoadBalancers {
		g.add("load balancer", lb.Name, string(lb.ID))
	}
	for _, e := range r.Endpoints {
		g.add("remote endpoint", e.Name, string(e.ID))
	}
	b.WriteString(g.render())
	fmt.Fprintf(&b, "\n%s and %s, others stay: %s and %s.\n", plural(len(r.LoadBalancers), "load balancer"), plural(len(r.Endpoints), "remote endpoint"),
		plural(r.Staying.LoadBalancers, "load balancer"), plural(r.Staying.Endpoints, "endpoint"))
	return b.String()
}
