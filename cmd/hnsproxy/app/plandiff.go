// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/snapshot"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/preview"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// diffPlan is hnsproxy plan --diff.
type diffPlan struct {
	*planCommand
	options *Options
	// network that was asked for, which the defaults of the emulator do not fill in.
	network string
}

// runDiff says what a start of hnsproxy would change in HNS.
func (c *planCommand) runDiff(ctx context.Context, cmd *cobra.Command) error {
	flags := cmd.Flags()
	if c.file == "" && !flags.Changed("hns-driver") && !flags.Changed("hns-emulator-state") {
		c.line.SetHNS(HCN) // the HNS of the node, as hnsproxy itself would take
	}
	r, err := c.line.Resolve(thisHost())
	if err != nil {
		return err
	}
	d := diffPlan{c, r.Options, cmp.Or(r.Config.Winkernel.NetworkName, os.Getenv("KUBE_NETWORK"))}
	hns, err := d.hns(ctx)
	if err != nil {
		return err
	}
	all, problems, err := d.objects(ctx, cmd)
	if err != nil {
		return err
	}
	p := preview.NewPlan(d.options, all, problems)
	p.Make(hns)
	out, diff := cmd.OutOrStdout(), p.Diff()
	err = writeDocument(out, c.format, diff.Document(), func() string {
		_, _, terminal := table.TerminalSize(out)
		return diff.Text(c.format == "wide", table.UseColor(terminal))
	})
	if err != nil {
		return fmt.Errorf("print the differences: %w", err)
	}
	if err := printProblems(cmd, p); err != nil {
		return err
	}
	if n := len(diff.Changes); n > 0 {
		return diagnose.Found(fmt.Sprintf("HNS differs: %d objects would change", n))
	}
	return nil
}

// hns reads what HNS holds, and completes the options with what hnsproxy finds there.
func (d *diffPlan) hns(ctx context.Context) (preview.HNS, error) {
	held, text, err := d.snapshot(ctx)
	if err != nil {
		return preview.HNS{}, err
	}
	out := preview.HNS{Features: hnslb.FeaturesOf(held.Release().Version), Endpoints: held.Endpoints, LoadBalancers: held.LoadBalancers, Text: text}
	if out.Network, err = held.Network(d.network); err != nil {
		return out, err
	}
	d.options.Network = out.Network.Name
	if out.Network.IsOverlay() && !d.options.VIP().IsValid() {
		vip, err := place.SourceVIP(out.Network, out.Endpoints)
		if err != nil {
			return out, err
		}
		if vip.IsValid() {
			d.options.SourceVIP = vip.String()
		}
	}
	return out, nil
}

// snapshot takes the HNS of the file, of this machine, or of the emulator.
func (d *diffPlan) snapshot(ctx context.Context) (snapshot.Snapshot, string, error) {
	if d.file != "" {
		s, err := diagnose.ReadFile(d.file)
		return s, "the HNS of " + d.file, err
	}
	hns, err := openHNS(ctx, d.options, d.emulate)
	if err != nil {
		return snapshot.Snapshot{}, "", err
	}
	s, err := snapshot.Take(ctx, hns.Driver, hns.Names)
	text := "the HNS of this machine"
	if d.options.HNS == Emulator {
		text = "the HNS of " + cmp.Or(d.options.Emulated.State, "the emulator")
	}
	return s, text, err
}

// objects reads the Services from files, or from the API server as hnsproxy does.
func (d *diffPlan) objects(ctx context.Context, cmd *cobra.Command) (objects.Objects, []error, error) {
	if len(d.options.Objects) > 0 {
		all, problems := readObjects(ctx, d.options.Objects, cmd.InOrStdin())
		return all, problems, nil
	}
	all, err := readAPI(ctx, d.options)
	return all, nil, err
}

// readAPI lists once what the proxy watches.
func readAPI(ctx context.Context, o *options.Options) (objects.Objects, error) {
	var out objects.Objects
	fail := func(err error) (objects.Objects, error) {
		return out, fmt.Errorf("read Services from the API server (--hns-objects reads them from files): %w", err)
	}
	config, err := restConfig(o)
	if err != nil {
		return fail(err)
	}
	from, err := newListWatches(config, o.Hostname)
	if err != nil {
		return fail(err)
	}
	for _, lw := range from {
		list, err := cache.ToListerWatcherWithContext(lw).ListWithContext(ctx, metav1.ListOptions{})
		if err != nil {
			return fail(err)
		}
		switch list := list.(type) {
		case *corev1.ServiceList:
			out.Services = pointers(list.Items)
		case *discoveryv1.EndpointSliceList:
			out.EndpointSlices = pointers(list.Items)
		case *corev1.NodeList:
			out.Nodes = pointers(list.Items)
		}
	}
	return out, nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
