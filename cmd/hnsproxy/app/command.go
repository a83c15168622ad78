// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	clientfeatures "k8s.io/client-go/features"
	cliflag "k8s.io/component-base/cli/flag"
	metricsfeatures "k8s.io/component-base/metrics/features"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const longHelp = `hnsproxy is a Service proxy for Windows nodes. It replaces kube-proxy.exe and accepts its
flags.

It watches Services and EndpointSlices and programs the load balancers and endpoints of HNS,
the Host Networking Service of Windows, to match. On start it adopts what HNS already holds
and applies only the difference. When it stops, HNS rules stay in place and traffic continues
to flow.

With --hns-driver=emulator it programs an HNS emulated in memory, on any operating system.`

const exampleHelp = `  # On a Windows node, with the flags of kube-proxy.exe:
  hnsproxy --kubeconfig=C:\k\config --network-name=Calico --enable-dsr --v=2

  # As a Windows service, with the arguments of the service that runs kube-proxy.exe:
  hnsproxy service install --from-service=kube-proxy

  # Anywhere: show how these objects are programmed. The table follows edits to the files.
  hnsproxy --hns-driver=emulator --hns-objects=examples/cluster --hostname-override=win-node-1 --hns-table

  # The same for your own cluster, as seen from one of its Windows nodes:
  kubectl get services,endpointslices,nodes -A -o yaml > cluster.yaml
  hnsproxy --hns-driver=emulator --hns-objects=cluster.yaml --hostname-override=NODE --hns-table

  # Only show what would be programmed, without programming it:
  hnsproxy plan --hns-objects=cluster.yaml --hostname-override=NODE`

// Supervisor receives the progress of the program's start; *service.Session implements it.
type Supervisor interface {
	// Configured is called once when the command line and the configuration are valid, before
	// anything that may take long. asService is whether they request a Windows service.
	Configured(asService bool, logger klog.Logger)
}

// NewCommand returns the command hnsproxy. It writes to standard output unless cobra's SetOut is
// used, and ends with the context that it is executed with. s may be nil, and so may emulate in a
// program without the emulator.
func NewCommand(s Supervisor, emulate Emulate) *cobra.Command {
	c := options.NewCommandLine()
	cmd := &cobra.Command{
		Use:     "hnsproxy [flags]",
		Short:   "Kubernetes Services on Windows nodes",
		Long:    longHelp,
		Example: exampleHelp,
		Args:    noArguments,
		// main prints errors; usage printed after a runtime error hides the error.
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked, raw := c.Version(); asked {
				return printKubernetesVersion(cmd.OutOrStdout(), raw)
			}
			d := Deps{Out: cmd.OutOrStdout(), Emulate: emulate, Flags: func() map[string]string { return c.Values(cmd.Flags()) }}
			return runRoot(cmd, c, s, d)
		},
	}
	sets := options.NewFlagSets()
	c.AddAll(sets)
	sets.AddTo(cmd.Flags())
	setHelp(cmd, sets)
	cmd.AddCommand(newPlanCommand(emulate), newProbeCommand(emulate), newServiceCommand(service.Connect), newVersionCommand())
	cmd.AddCommand(diagnose.Commands(diagnosis(emulate))...)
	cmd.SetGlobalNormalizationFunc(options.FlagName)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return options.FlagError(cmd.Flags(), err) })
	return cmd
}

// noArguments rejects arguments that are neither a flag nor a command. Empty arguments are
// accepted, as in kube-proxy, since scripts produce them.
func noArguments(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		if arg != "" {
			return options.Usage(fmt.Sprintf("%s takes no argument %q", cmd.CommandPath(), arg),
				"flags begin with --, and the commands are: "+strings.Join(commandNames(cmd), ", "))
		}
	}
	return nil
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

func runRoot(cmd *cobra.Command, c *options.CommandLine, s Supervisor, d Deps) error {
	r, err := c.Resolve(thisHost())
	if err != nil {
		return err
	}
	if r.WriteConfigTo != "" {
		return writeConfig(r)
	}
	if r.Cleanup {
		return diagnose.CleanUp(cmd.Context(), diagnosis(d.Emulate), r.Options, cmd.OutOrStdout())
	}
	gates, err := r.Options.Gates()
	if err != nil {
		return err
	}
	logs := newLogging(r)
	if err := logs.apply(gates); err != nil {
		return err
	}
	gates.AddMetrics()
	metricsfeatures.ApplyFeatureGates(gates)
	setClientGates(gates)
	if r.Options.Table && !cmd.Flags().Changed("v") && !logs.toFiles() {
		d.Notices = quietLogs(d)
	}
	logFlags(cmd.Flags())
	if s != nil {
		s.Configured(r.Options.RunAsService, klog.Background())
	}
	return serve(klog.NewContext(cmd.Context(), klog.Background()), c, r, d)
}

// quietLogs keeps informational log lines away from the table. On a terminal, errors are shown
// below the table, which would otherwise overwrite them; the returned function provides them.
func quietLogs(d Deps) func() []string {
	if _, _, terminal := table.TerminalSize(d.Out); terminal {
		n := table.NewNotices(clock.RealClock{})
		errorsOnly(n)
		return n.Lines
	}
	errorsOnly(klog.Background().GetSink())
	return nil
}

// logFlags logs the flags that were set.
func logFlags(fs *pflag.FlagSet) {
	var given []any
	fs.Visit(func(f *pflag.Flag) { given = append(given, f.Name, f.Value.String()) })
	klog.Background().Info("Command line", given...)
}

// setClientGates sets feature gates of the client library, which reads them when the first client
// is created.
func setClientGates(gates options.Gates) {
	settable, ok := clientfeatures.FeatureGates().(interface {
		Set(feature clientfeatures.Feature, on bool) error
	})
	for name, on := range gates.Client {
		if ok && settable.Set(name, on) == nil {
			continue
		}
		klog.Background().Info("Feature gate of the client library cannot be set; ignored", "gate", name)
	}
}

func thisHost() Host { return Host{Getenv: os.Getenv, Hostname: os.Hostname} }

// setHelp makes --help print the flags in groups.
func setHelp(cmd *cobra.Command, sets *options.FlagSets) {
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		out := cmd.OutOrStdout()
		width, _, _ := table.TerminalSize(out)
		var text strings.Builder
		fmt.Fprintf(&text, "%s\n\nUsage:\n  %s\n", cmd.Long, cmd.UseLine())
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&text, "  %s %s ...   %s\n", cmd.CommandPath(), c.Name(), c.Short)
			}
		}
		fmt.Fprintf(&text, "\nExamples:\n%s\n", cmd.Example)
		if _, err := fmt.Fprint(out, text.String()); err != nil {
			return // nobody reads it
		}
		cliflag.PrintSections(out, sets.NamedFlagSets, width)
	})
}
