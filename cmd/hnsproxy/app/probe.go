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

const probeHelp = `hnsproxy probe finds out how the HNS of this host behaves where the documentation is
uncertain: which values it rejects and with which errors, what an update in place changes, how
many endpoints a load balancer may have, and how long calls take. Run it on a node as an
administrator.

It prints the results next to the documented behavior, and writes them to a file that
--hns-emulator-profile accepts on any host. hnsproxy itself reads its limits from that file
if it exists, but does not require it.`

const probeExamples = `  # On a Windows node:
  hnsproxy probe --network-name=Calico

  # In a script, without the checks that need many objects:
  hnsproxy probe --network-name=Calico --yes --quick -o json

  # Anywhere: emulate the host that was probed.
  hnsproxy --hns-driver=emulator --hns-emulator-profile=probe-13.2.json --hns-objects=examples/cluster --hns-table`

// probeOptions are the options of the probe command.
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
		Short:   "find out how the HNS of this host behaves",
		Long:    probeHelp,
		Example: probeExamples,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("probe")
	fs.BoolVar(&o.yes, "yes", false, "Do not ask for confirmation before creating scratch objects.")
	fs.BoolVar(&o.quick, "quick", false, "Skip checks that need more than 100 objects.")
	fs.BoolVar(&o.exhaust, "exhaust-ports", false, "Also find out how many load balancers without DSR can exist. "+
		"Programs on the node cannot open connections while this check runs.")
	fs.BoolVar(&o.clean, "clean", false, "Only remove objects left behind by an earlier run that was killed.")
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
		return options.Invalid("output", o.format, "unknown format", "use text or json")
	}
	r, err := o.command.Resolve(thisHost())
	if err != nil {
		return err
	}
	o.Options = r.Options
	if o.Network == "" {
		return options.Invalid("network-name", "", "the name of the HNS network is required", "run Get-HnsNetwork on the node to list networks")
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
		if err := confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), o.confirmationText()); err != nil {
			return err
		}
	}
	report, err := probe.Run(ctx, c)
	if report == nil {
		return err
	}
	return errors.Join(err, o.write(cmd, report))
}

// config connects to the HNS. An emulated one without a state file ends with the program.
func (o *probeOptions) config(ctx context.Context, progress io.Writer) (probe.Config, error) {
	if o.StateDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return probe.Config{}, fmt.Errorf("find a directory for the probe journal (set --hns-state-dir): %w", err)
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

// confirmationText describes what the probe will do.
func (o *probeOptions) confirmationText() string {
	sizes, most := "100 and 1,000", "about 2,000"
	if o.quick {
		sizes, most = "100", "about 250"
	}
	text := fmt.Sprintf(`This tests HNS network %s, using only objects that the probe creates:
  - remote endpoints named %s..., with addresses reserved for documentation and benchmarks
    (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 198.18.0.0/15);
  - load balancers on such addresses, and a few node ports, on ports between 40000 and 48000
    that are not in use; none of them leads to a pod.
Up to %s objects exist at a time, and calls are timed with %s endpoints and load balancers.
Existing objects are not changed. HNS calls of other programs, such as hnsproxy or the network
plugin starting a pod, have to wait for those of the probe. All objects are removed at the end,
also after Ctrl+C; if the program is killed, the next run or "hnsproxy probe --clean" removes
them.
`, printable.Text(o.Network), probe.NamePrefix, most, sizes)
	if o.exhaust {
		text += "For a while, no program on the node will be able to open connections (--exhaust-ports).\n"
	}
	return text
}

// confirm asks for confirmation.
func confirm(in io.Reader, out io.Writer, text string) error {
	if _, err := fmt.Fprint(out, text, "Continue? [y/N] "); err != nil {
		return fmt.Errorf("ask whether to go on: %w", err)
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("cancelled; answer y, or pass --yes in scripts")
	}
	return nil
}

// write prints the report and writes it to a file.
func (o *probeOptions) write(cmd *cobra.Command, r *probe.Report) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	path := o.profile
	if path == "" {
		path = filepath.Join(o.StateDir, probe.FileName(r.Version))
	}
	text := drawReport(r) + "\nReport written to " + printable.Text(path) + "\n"
	if o.format == "json" {
		text = string(printable.JSON(body))
	}
	if _, err := fmt.Fprint(cmd.OutOrStdout(), text); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if cmd.Context().Err() != nil && o.profile == "" {
		return nil // an incomplete report must not replace a complete one
	}
	if err := probe.WriteFile(path, body); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
