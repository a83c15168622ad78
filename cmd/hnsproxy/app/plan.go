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
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/preview"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const planHelp = `hnsproxy plan says what would be programmed for the Services, EndpointSlices and Nodes in
files, and programs nothing: each frontend, and the steps in their order.

Without --hns-emulator-state and --hns-driver=hcn HNS is taken to hold nothing but the network and an
endpoint for each pod of this node, as the network plugin makes them. With either the plan
starts from what HNS holds, and backends on this node that it lacks wait.

The exit code is 1 when an object has values that cannot be used; the plan for the rest is
printed all the same.`

const planExamples = `  hnsproxy plan --hns-objects=cluster.yaml --hostname-override=win-node-1
  hnsproxy plan --hns-objects=cluster.yaml --hostname-override=win-node-1 --hns-emulator-network-type=Overlay --source-vip=10.244.1.2
  hnsproxy plan --hns-objects=new.yaml --hns-emulator-state=hns.json -o json
  kubectl get services,endpointslices,nodes -A -o yaml | hnsproxy plan --hns-objects=- --hostname-override=win-node-1`

// errBadObjects ends a plan that left something out.
var errBadObjects = errors.New("some objects cannot be used, see above")

func newPlanCommand() *cobra.Command {
	c, format := options.NewCommandLine(), "text"
	var files []string
	c.SetHNS(options.Emulator)
	cmd := &cobra.Command{
		Use:     "plan --hns-objects FILE... [flags]",
		Short:   "say what would be programmed, and program nothing",
		Long:    planHelp,
		Example: planExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			files = slices.DeleteFunc(args, func(a string) bool { return a == "" })
			return runPlan(cmd, c, files, format)
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

func runPlan(cmd *cobra.Command, c *options.CommandLine, files []string, format string) error {
	c.AddObjects(files)
	if err := checkFormat(format); err != nil {
		return err
	}
	r, err := c.Resolve(thisHost())
	if err != nil {
		return err
	}
	o := r.Options
	if len(o.Objects) == 0 {
		return options.Invalid("hns-objects", "", "there is nothing to plan for", "name files with Services and EndpointSlices")
	}
	p, err := makePlan(klog.NewContext(cmd.Context(), ownLogger(cmd.ErrOrStderr())), o, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if err := writeDocument(cmd.OutOrStdout(), format, p.document(), p.text); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	return p.complain(cmd.ErrOrStderr())
}

// planned is a preview with what it was made from.
type planned struct {
	preview.Preview
	opts     *Options
	network  hnslb.Network
	features hnslb.Features
	// hns says what HNS was taken to hold.
	hns string
	// problems are what is wrong with the objects; failed tells that something could not
	// be used.
	problems []error
	failed   bool
}

func makePlan(ctx context.Context, o *Options, stdin io.Reader) (*planned, error) {
	p := &planned{opts: o}
	all, problems := readObjects(ctx, o.Objects, stdin)
	for _, err := range problems {
		p.problem(err, objects.IsWarning(err))
	}
	store := services.NewStore(o.Hostname, time.Time{})
	p.fill(store, all)
	node, obj := p.node(all.Nodes)
	hns, err := planHNS(ctx, o, obj)
	if err != nil {
		return nil, err
	}
	p.network, p.features, p.hns = hns.network, hns.features, hns.text
	wanted := o.Desired()
	env := desired.NewEnv(node, hns.network, hns.features, wanted).
		WithRoot(desired.FindRoot(hns.endpoints, hns.network.ID, wanted.RootEndpoint))
	p.Preview = preview.Make(preview.Input{
		Services:      store.Take(),
		Env:           env,
		Endpoints:     hns.endpoints,
		LoadBalancers: hns.balancers,
		AssumeLocal:   hns.assumeLocal,
	})
	return p, nil
}

// fill puts objects into a store. Most of what cannot be used of them was refused before.
func (p *planned) fill(store *services.Store, all objects.Objects) {
	gates, _ := p.opts.Gates()
	keep := keeper{store, gates.Enabled(options.AllowExternalIPs)}
	for _, s := range all.Services {
		if _, err := store.SetService(keep.inForce(s)); err != nil {
			p.problem(fmt.Errorf("in Service %s: %w", klog.KObj(s), err), false)
		}
	}
	for _, s := range all.EndpointSlices {
		if _, err := store.SetSlice(nil, s); err != nil {
			p.problem(fmt.Errorf("in EndpointSlice %s: %w", klog.KObj(s), err), false)
		}
	}
}

// node returns this node, and its object if there is one.
func (p *planned) node(all []*corev1.Node) (services.Node, *corev1.Node) {
	given := p.opts.Node()
	var names []string
	for _, obj := range all {
		if obj.Name != p.opts.Hostname {
			names = append(names, obj.Name)
			continue
		}
		n, err := services.NodeOf(obj)
		if err != nil {
			p.problem(fmt.Errorf("in Node %s: %w", obj.Name, err), false)
		}
		return n.WithGiven(given.IPs), obj
	}
	text := fmt.Sprintf("there is no Node %q, so all endpoints count as remote", given.Name)
	if len(names) > 0 {
		text += "; --hostname-override takes one of: " + strings.Join(names, ", ")
	}
	p.problem(errors.New(text), true)
	return given, nil
}

// problem notes what is wrong; a warning does not fail the plan.
func (p *planned) problem(err error, warning bool) {
	p.problems = append(p.problems, err)
	p.failed = p.failed || !warning
}

// hnsState is what HNS holds before a plan.
type hnsState struct {
	network     hnslb.Network
	features    hnslb.Features
	endpoints   []hnslb.Endpoint
	balancers   []hnslb.LoadBalancer
	assumeLocal bool
	text        string
}

// planHNS reads the HNS that a plan starts from: this machine's, one from a state file, or
// an empty one.
func planHNS(ctx context.Context, o *Options, node *corev1.Node) (hnsState, error) {
	var driver hnslb.Driver
	out := hnsState{text: "the HNS of this machine"}
	if o.HNS == HCN {
		d, err := newHCN(klog.FromContext(ctx))
		if err != nil {
			return hnsState{}, err
		}
		driver = hnslb.WithTimeout(d, o.HNSCallTimeout)
	} else {
		if _, err := os.Stat(o.Emulated.State); o.Emulated.State != "" && err != nil {
			return hnsState{}, fmt.Errorf("read --hns-emulator-state: %w", err)
		}
		e, err := newEmulator(o.Emulated, clock.RealClock{})
		if err != nil {
			return hnsState{}, err
		}
		out.text = "the HNS of " + o.Emulated.State
		if o.Emulated.State == "" {
			out.text, out.assumeLocal = "an HNS that holds nothing but the pods of this node", true
			if _, err := e.AddNetwork(demoNetwork(o.Network, o.Emulated.NetworkType, node)); err != nil {
				return hnsState{}, err
			}
		}
		driver = e
	}
	return out, out.read(ctx, driver, o.Network)
}

func (s *hnsState) read(ctx context.Context, d hnslb.Driver, network string) error {
	var err error
	if s.features, err = d.Features(ctx); err != nil {
		return fmt.Errorf("read HNS: %w", err)
	}
	if s.network, err = d.Network(ctx, network); err != nil {
		return fmt.Errorf("read HNS (--network-name names the network): %w", err)
	}
	if s.endpoints, err = d.Endpoints(ctx); err != nil {
		return fmt.Errorf("read HNS: %w", err)
	}
	if s.balancers, err = d.LoadBalancers(ctx); err != nil {
		return fmt.Errorf("read HNS: %w", err)
	}
	return nil
}

// complain says what is wrong with the objects, and fails if something was left out.
func (p *planned) complain(w io.Writer) error {
	for _, err := range p.problems {
		if _, err := fmt.Fprintln(w, printable.Text(err.Error())); err != nil {
			return fmt.Errorf("print the problems: %w", err)
		}
	}
	if p.failed {
		return errBadObjects
	}
	return nil
}
