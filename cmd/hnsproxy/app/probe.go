// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/probe"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const probeHelp = `hnsproxy probe finds out what the HNS of this machine does where documents are not sure:
which values it refuses and how, what a change in place changes, how many endpoints a load
balancer may have, and how long calls take. Run it on a node as an administrator.

It prints what it found beside what our documents say, and writes it to a file, which
--hns-emulator-profile takes on any machine. hnsproxy itself takes its limits from that file
when it is there, and needs none.`

const probeExamples = `  # On a Windows node:
  hnsproxy probe --network-name=Calico

  # The same in a script, without the large sizes:
  hnsproxy probe --network-name=Calico --yes --quick -o json

  # Anywhere: emulate the machine that was probed.
  hnsproxy --hns-driver=emulator --hns-emulator-profile=probe-13.2.json --hns-objects=examples/cluster --hns-table`

// probeOptions are those of the probe alone.
type probeOptions struct {
	*options.Options
	emulate                    Emulate
	command                    *options.CommandLine
	yes, quick, exhaust, clean bool
	format, profile            string
}

func newProbeCommand(emulate Emulate) *cobra.Command {
	o := &probeOptions{emulate: emulate, command: options.NewCommandLine(), format: "text"}
	cmd := &cobra.Command{
		Use:     "probe [flags]",
		Short:   "find out what this machine's HNS does",
		Long:    probeHelp,
		Example: probeExamples,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("probe")
	fs.BoolVar(&o.yes, "yes", false, "Do not ask before scratch objects are made.")
	fs.BoolVar(&o.quick, "quick", false, "Leave out what needs more than 100 objects.")
	fs.BoolVar(&o.exhaust, "exhaust-ports", false, "Also find out how many load balancers without DSR there can be. "+
		"Until that is known no program on the node can open a connection.")
	fs.BoolVar(&o.clean, "clean", false, "Only remove what an earlier run left, if it was killed.")
	fs.StringVarP(&o.format, "output", "o", o.format, "`FORMAT` of the report: text or json.")
	fs.StringVar(&o.profile, "profile-file", "", "`FILE` to write the report to as JSON; one in --hns-state-dir, named after the version of HNS, by default.")
	o.command.AddNodeFlags(sets.FlagSet("node and network"))
	o.command.AddHNSFlags(sets.FlagSet("hnsproxy"))
	o.command.AddEmulatorFlags(sets.FlagSet("hnsproxy"))
	sets.FlagSet("other").BoolP("help", "h", false, "Print this help and exit.")
	sets.AddTo(cmd.Flags())
	setHelp(cmd, sets)
	return cmd
}

func (o *probeOptions) run(cmd *cobra.Command) error {
	if !slices.Contains([]string{"text", "json"}, o.format) {
		return options.Invalid("output", o.format, "there is no such format", "use text or json")
	}
	r, err := o.command.Resolve(thisHost())
	if err != nil {
		return err
	}
	o.Options = r.Options
	if o.Network == "" {
		return options.Invalid("network-name", "", "the probe needs the name of the HNS network", "on the node, Get-HnsNetwork lists the networks")
	}
	ctx := klog.NewContext(cmd.Context(), ownLogger(cmd.ErrOrStderr()))
	c, err := o.config(ctx, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if o.clean {
		return probe.Clean(ctx, c)
	}
	if !o.yes {
		if err := confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), o.announcement()); err != nil {
			return err
		}
	}
	report, err := probe.Run(ctx, c)
	if report == nil {
		return err
	}
	return errors.Join(err, o.write(cmd, report))
}

// config connects to the HNS. With an emulated one nothing outlives the program.
func (o *probeOptions) config(ctx context.Context, progress io.Writer) (probe.Config, error) {
	if o.StateDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return probe.Config{}, fmt.Errorf("find a place for the journal of the probe (--hns-state-dir gives one): %w", err)
		}
		o.StateDir = filepath.Join(dir, "hnsproxy")
	}
	c := probe.Config{
		Network: o.Network, Journal: filepath.Join(o.StateDir, "probe-journal.json"),
		Quick: o.quick, ExhaustPorts: o.exhaust, Listen: listenOnHost, Build: windowsBuild(),
		Progress: func(text string) { _, _ = fmt.Fprintln(progress, printable.Text(text)) }, // nobody may read it
	}
	if o.HNS == HCN {
		d, err := newHCN(klog.FromContext(ctx))
		if err != nil {
			return probe.Config{}, err
		}
		c.Driver = hnslb.WithTimeout(d, o.HNSCallTimeout)
		c.Viewer, _ = d.(hnslb.Viewer)
		return c, nil
	}
	e, err := o.emulate.make(o.Options, klog.FromContext(ctx), clock.RealClock{})
	if err != nil {
		return probe.Config{}, err
	}
	if o.Emulated.State == "" {
		if err := e.Prepare(nil); err != nil {
			return probe.Config{}, err
		}
	}
	c.Driver, c.Build, c.Listen = hnslb.WithTimeout(e.Driver(), o.HNSCallTimeout), "emulator "+e.Release(), e.Listen
	return c, nil
}

// announcement says what the probe will do.
func (o *probeOptions) announcement() string {
	sizes, most := "100 and 1,000", "about 2,000"
	if o.quick {
		sizes, most = "100", "about 250"
	}
	text := fmt.Sprintf(`This will try things on HNS network %s, with objects of its own only:
  - remote endpoints named %s..., with addresses of documentation and benchmarks
    (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 198.18.0.0/15);
  - load balancers on such addresses, and a few node ports, on ports between 40000 and 48000
    that nobody uses; none of them leads to a pod.
There will be %s objects at a time, and calls are timed with %s endpoints and load balancers.
Existing objects are not touched. Other calls of HNS, as of hnsproxy and of pods that start,
have to wait for those of the probe. All objects are removed at the end, also after Ctrl+C; if
the program is killed, the next run removes them, or "hnsproxy probe --clean".
`, printable.Text(o.Network), probe.NamePrefix, most, sizes)
	if o.exhaust {
		text += "For a while no program on the node will be able to open a connection (--exhaust-ports).\n"
	}
	return text
}

// confirm asks whether to go on.
func confirm(in io.Reader, out io.Writer, text string) error {
	if _, err := fmt.Fprint(out, text, "Go on? [y/N] "); err != nil {
		return fmt.Errorf("ask whether to go on: %w", err)
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done; answer y, or give --yes in a script")
	}
	return nil
}

// write prints the report and keeps it in a file.
func (o *probeOptions) write(cmd *cobra.Command, r *probe.Report) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	path := o.profile
	if path == "" {
		path = filepath.Join(o.StateDir, probe.FileName(r.Version))
	}
	text := drawReport(r) + "\nThe report is in " + printable.Text(path) + "\n"
	if o.format == "json" {
		text = string(printable.JSON(body))
	}
	if _, err := fmt.Fprint(cmd.OutOrStdout(), text); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if cmd.Context().Err() != nil && o.profile == "" {
		return nil // a report of half a run must not take the place of a whole one
	}
	if err := probe.WriteFile(path, body); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
