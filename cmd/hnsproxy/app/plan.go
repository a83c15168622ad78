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

The exit code is 1 if an object has invalid values; the plan for the other objects is still
printed.`

const planExamples = `  hnsproxy plan --hns-objects=cluster.yaml --hostname-override=win-node-1
  hnsproxy plan --hns-objects=cluster.yaml --hostname-override=win-node-1 --hns-emulator-network-type=Overlay --source-vip=10.244.1.2
  hnsproxy plan --hns-objects=new.yaml --hns-emulator-state=hns.json -o json
  kubectl get services,endpointslices,nodes -A -o yaml | hnsproxy plan --hns-objects=- --hostname-override=win-node-1`

// errBadObjects is returned for a plan that leaves out objects.
var errBadObjects = errors.New("some objects are invalid, see above")

func newPlanCommand(emulate Emulate) *cobra.Command {
	c, format := options.NewCommandLine(), "text"
	c.SetHNS(options.Emulator)
	cmd := &cobra.Command{
		Use:     "plan --hns-objects FILE... [flags]",
		Short:   "show what would be programmed, without programming it",
		Long:    planHelp,
		Example: planExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.AddObjects(slices.DeleteFunc(args, func(a string) bool { return a == "" }))
			return runPlan(cmd, c, emulate, format)
		},
	}
	sets := options.NewFlagSets()
	c.AddNodeFlags(sets.FlagSet("node and network"))
	own := sets.FlagSet("hnsproxy")
	c.AddObjectsFlag(own)
	c.AddServiceFlags(own)
	c.AddHNSFlags(own)
	c.AddEmulatorFlags(own)
	misc := sets.FlagSet("other")
	misc.StringVarP(&format, "output", "o", format, "`FORMAT` of the plan: text, json or yaml.")
	misc.BoolP("help", "h", false, "Print this help and exit.")
	sets.AddTo(cmd.Flags())
	setHelp(cmd, sets)
	return cmd
}

func runPlan(cmd *cobra.Command, c *options.CommandLine, emulate Emulate, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	r, err := c.Resolve(thisHost())
	if err != nil {
		return err
	}
	o := r.Options
	if len(o.Objects) == 0 {
		return options.Invalid("hns-objects", "", "no objects given", "specify files with Services and EndpointSlices")
	}
	ctx := klog.NewContext(cmd.Context(), ownLogger(cmd.ErrOrStderr()))
	p, err := makePlan(ctx, o, emulate, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if err := writeDocument(cmd.OutOrStdout(), format, p.Document(), p.Text); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
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
