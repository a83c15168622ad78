// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/preview"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const planHelp = `hnsproxy plan shows what would be programmed for the Services, EndpointSlices and Nodes in
files, without programming it: every frontend, and the steps in order.

By default, HNS is assumed to hold only the network and an endpoint for each pod on this node,
as created by the network plugin. With --hns-emulator-state or --hns-driver=hcn, the plan
starts from what HNS holds, and backends on this node that HNS does not have are pending.

With --diff, it shows only what a start of hnsproxy would create, update, replace or delete in the
HNS of this node, and why. Pass the flags that hnsproxy runs with. Nothing is changed.

The exit code is 1 if an object has invalid values; the plan for the other objects is still
printed. With --diff, it is 4 if anything would change, and 0 otherwise.`

const planExamples = `  hnsproxy plan --hns-objects=cluster.yaml --hostname-override=win-node-1
  hnsproxy plan --hns-objects=cluster.yaml --hostname-override=win-node-1 --hns-emulator-network-type=Overlay --source-vip=10.244.1.2
  hnsproxy plan --hns-objects=new.yaml --hns-emulator-state=hns.json -o json
  kubectl get services,endpointslices,nodes -A -o yaml | hnsproxy plan --hns-objects=- --hostname-override=win-node-1

  # On a node, before hnsproxy starts or replaces kube-proxy, with the flags that it will run with:
  hnsproxy plan --diff --kubeconfig=C:\k\config --network-name=Calico

  # For a node whose bundle was sent to you:
  hnsproxy plan --diff --file=hnsproxy-dump.zip --hns-objects=cluster.yaml --hostname-override=win-node-1`

// errBadObjects is returned for a plan that leaves out objects.
var errBadObjects = errors.New("some objects are invalid, see above")

// planCommand is what hnsproxy plan is asked for.
type planCommand struct {
	line         *options.CommandLine
	emulate      Emulate
	format, file string
	diff         bool
}

func newPlanCommand(emulate Emulate) *cobra.Command {
	c := &planCommand{line: options.NewCommandLine(), emulate: emulate, format: "text"}
	c.line.SetHNS(options.Emulator)
	cmd := &cobra.Command{
		Use:     "plan {--hns-objects FILE... | --diff} [flags]",
		Short:   "show what would be programmed, without programming it",
		Long:    planHelp,
		Example: planExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.line.AddObjects(slices.DeleteFunc(args, func(a string) bool { return a == "" }))
			return c.run(cmd)
		},
	}
	sets := options.NewFlagSets()
	own := sets.FlagSet("plan")
	own.BoolVar(&c.diff, "diff", false, "Show only what a start of hnsproxy would change in HNS, and why. Services come from --hns-objects, or else from the "+
		"API server, and HNS is that of this machine unless --file or an --hns-emulator flag says otherwise.")
	own.StringVarP(&c.file, "file", "f", "", "`FILE` to compare with instead of this machine's HNS, with --diff: a bundle of hnsproxy dump, the hns.json in it, "+
		"or a state file of the emulator.")
	own.StringVarP(&c.format, "output", "o", c.format, "`FORMAT` of the plan: text, json or yaml; with --diff also wide.")
	own.BoolP("help", "h", false, "Print this help and exit.")
	c.line.AddClientFlags(sets.FlagSet("API server"))
	c.line.AddNodeFlags(sets.FlagSet("node and network"))
	line := sets.FlagSet("hnsproxy")
	c.line.AddObjectsFlag(line)
	c.line.AddServiceFlags(line)
	c.line.AddHNSFlags(line)
	c.line.AddEmulatorFlags(line)
	sets.AddTo(cmd.Flags())
	diagnose.AcceptAll(cmd, c.line)
	setHelp(cmd, sets)
	diagnose.Complete(cmd, "output", "text", "wide", "json", "yaml")
	diagnose.CompleteCommandLine(cmd)
	return cmd
}

func (c *planCommand) run(cmd *cobra.Command) error {
	if err := c.check(); err != nil {
		return err
	}
	ctx := klog.NewContext(cmd.Context(), ownLogger(cmd.ErrOrStderr()))
	if c.diff {
		return c.runDiff(ctx, cmd)
	}
	r, err := c.line.Resolve(thisHost())
	if err != nil {
		return err
	}
	o := r.Options
	if len(o.Objects) == 0 {
		return options.Invalid("hns-objects", "", "no objects given", "specify files with Services and EndpointSlices")
	}
	p, err := makePlan(ctx, o, c.emulate, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if err := writeDocument(cmd.OutOrStdout(), c.format, p.Document(), p.Text); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	return printProblems(cmd, p)
}

// check refuses flags that do not go together.
func (c *planCommand) check() error {
	switch {
	case c.diff && c.format == "wide":
		return nil
	case c.file != "" && !c.diff:
		return options.Invalid("file", c.file, "only --diff compares with a file", "add --diff, or use --hns-emulator-state")
	}
	return checkFormat(c.format)
}

// printProblems prints what is wrong with the objects, which may fail the command.
func printProblems(cmd *cobra.Command, p *preview.Plan) error {
	for _, problem := range p.Problems {
		if _, err := fmt.Fprintln(cmd.ErrOrStderr(), printable.Text(problem.Error())); err != nil {
			return fmt.Errorf("print the problems: %w", err)
		}
	}
	if p.Failed {
		return errBadObjects
	}
	return nil
}

func makePlan(ctx context.Context, o *Options, emulate Emulate, stdin io.Reader) (*preview.Plan, error) {
	all, problems := readObjects(ctx, o.Objects, stdin)
	p := preview.NewPlan(o, all, problems)
	hns, err := hnsOfPlan(ctx, o, emulate, p.Node())
	if err != nil {
		return nil, err
	}
	p.Make(hns)
	return p, nil
}

// hnsOfPlan returns the HNS that a plan starts from: that of this host, one from a state file, or
// an empty one.
func hnsOfPlan(ctx context.Context, o *Options, emulate Emulate, node *corev1.Node) (preview.HNS, error) {
	switch {
	case o.HNS == HCN:
		d, err := newHCN(klog.FromContext(ctx))
		if err != nil {
			return preview.HNS{}, err
		}
		return preview.Read(ctx, hnslb.WithTimeout(d, o.HNSCallTimeout), o.Network, "the HNS of this machine")
	case o.Emulated.State == "":
		profile, err := options.EmulatedProfile(o.Emulated.Profile)
		if err != nil {
			return preview.HNS{}, err
		}
		return preview.Empty(place.Demo(o.Network, o.Emulated.NetworkType, node), hnslb.FeaturesOf(profile.Version)), nil
	}
	if _, err := os.Stat(o.Emulated.State); err != nil {
		return preview.HNS{}, fmt.Errorf("read --hns-emulator-state: %w", err)
	}
	e, err := emulate.make(o, klog.FromContext(ctx), clock.RealClock{})
	if err != nil {
		return preview.HNS{}, err
	}
	return preview.Read(ctx, e.Driver(), o.Network, "the HNS of "+o.Emulated.State)
}
