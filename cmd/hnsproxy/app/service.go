// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const serviceHelp = `hnsproxy service installs hnsproxy as a Windows service, and manages that service. Commands
that change something require an administrator; every command may be repeated.

  install     create or update the service; --from-service=kube-proxy copies the arguments of
              the service that runs kube-proxy.exe
  uninstall   stop and remove the service
  start       start the service and wait until it is running
  stop        stop the service and wait until HNS calls in flight have finished
  status      show the state of the service and how it is installed

All commands leave HNS rules in place. The service restarts after 5 seconds if it fails, and
writes to the event log, with source hnsproxy, when it starts (event 1), stops (2) or fails (3).`

const installExamples = `  # Show what would replace kube-proxy, without changing anything:
  hnsproxy service install --from-service=kube-proxy --dry-run

  # Install the service, and switch over:
  hnsproxy service install --from-service=kube-proxy
  sc.exe stop kube-proxy
  sc.exe config kube-proxy start= disabled
  hnsproxy service start

  # Keep the service name that scripts expect. The output shows how to go back.
  hnsproxy service install --from-service=kube-proxy --name=kube-proxy

  # A new service; the flags of hnsproxy follow after --
  hnsproxy service install -- --config=C:\k\config.conf --logtostderr=false --log-file=C:\var\log\hnsproxy.log`

// serviceOptions are the options of the hnsproxy service commands.
type serviceOptions struct {
	// connect and self are service.Connect and os.Executable, except in tests.
	connect func() (service.Manager, error)
	self    func() (string, error)

	name, format string
	wait         time.Duration
	install      service.Install
}

func newServiceCommand(connect func() (service.Manager, error)) *cobra.Command {
	o := &serviceOptions{connect: connect, self: os.Executable, name: service.Source, format: "text", wait: time.Minute}
	cmd := &cobra.Command{
		Use:     "service install|uninstall|start|stop|status",
		Short:   "run hnsproxy as a Windows service",
		Long:    serviceHelp,
		Example: installExamples,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return options.Usage(cmd.CommandPath()+" needs a command", "the commands are: "+strings.Join(commandNames(cmd), ", "))
		},
	}
	sets := options.NewFlagSets()
	sets.FlagSet("other").BoolP("help", "h", false, "Print this help and exit.")
	sets.AddTo(cmd.Flags())
	setHelp(cmd, sets)
	cmd.AddCommand(o.installCommand(),
		o.command("uninstall", "stop and remove the service", o.uninstall),
		o.command("start", "start the service and wait until it is running", o.start),
		o.command("stop", "stop the service and wait until it has stopped", o.stop),
		o.command("status", "show the state of the service and how it is installed", o.status))
	return cmd
}

// command returns a command with the flags that all of them have.
func (o *serviceOptions) command(name, short string, run func(*cobra.Command, *service.Controller) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name + " [flags]",
		Short:   short,
		Long:    serviceHelp,
		Example: "  hnsproxy service " + name,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.controller()
			if err != nil {
				return err
			}
			return run(cmd, c)
		},
	}
	o.addFlags(cmd, name)
	return cmd
}

func (o *serviceOptions) addFlags(cmd *cobra.Command, name string) {
	sets := options.NewFlagSets()
	fs := sets.FlagSet("service " + name)
	fs.StringVar(&o.name, "name", o.name, "`NAME` of the service.")
	switch name {
	case "status":
		fs.StringVarP(&o.format, "output", "o", o.format, "`FORMAT`: text, json or yaml.")
	case "install":
		fs.StringVarP(&o.format, "output", "o", o.format, "`FORMAT`: text, json or yaml.")
		fs.StringVar(&o.install.From, "from-service", "", "Copy from the `SERVICE` that runs kube-proxy.exe its arguments, its launcher "+
			"(kube-log-runner or the EKS service host; nssm is not needed and left out), start type, account, dependencies and environment. "+
			"That service is not changed unless --name names it.")
		fs.StringVar(&o.install.Start, "start-type", "", "`START` type: auto, delayed-auto, manual or disabled. The default is auto, or that of --from-service.")
		fs.BoolVar(&o.install.DryRun, "dry-run", false, "Only print what would be done.")
	default:
		fs.DurationVar(&o.wait, "wait", o.wait, "How long to wait for the service.")
	}
	fs.BoolP("help", "h", false, "Print this help and exit.")
	sets.AddTo(cmd.Flags())
	setHelp(cmd, sets)
}

func (o *serviceOptions) installCommand() *cobra.Command {
	cmd := o.command("install", "create the service, or change it", nil)
	cmd.Use, cmd.Example = "install [flags] [-- FLAGS OF HNSPROXY]", installExamples
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if at := cmd.ArgsLenAtDash(); at > 0 || at < 0 {
			return noArguments(cmd, args)
		}
		return nil
	}
	cmd.RunE = o.runInstall
	return cmd
}

func (o *serviceOptions) controller() (*service.Controller, error) {
	if err := checkFormat(o.format); err != nil {
		return nil, err
	}
	if o.name == "" {
		return nil, options.Invalid("name", "", "a service needs a name", "omit the flag for "+service.Source)
	}
	m, err := o.connect()
	if err != nil {
		return nil, err
	}
	self, err := o.self()
	if err != nil {
		return nil, fmt.Errorf("find the path of this program: %w", err)
	}
	return &service.Controller{Manager: m, Self: self, Name: o.name, Wait: o.wait}, nil
}

func (o *serviceOptions) runInstall(cmd *cobra.Command, args []string) error {
	starts := []string{"", service.StartAuto, service.StartDelayed, service.StartManual, service.StartDisabled}
	if !slices.Contains(starts, o.install.Start) {
		return options.Invalid("start-type", o.install.Start, "unknown start type", "use "+strings.Join(starts[1:], ", "))
	}
	c, err := o.controller()
	if err != nil {
		return err
	}
	o.install.Args = args
	o.install.Check = func(all, environment []string) error {
		if err := checkPaths(args); err != nil {
			return err
		}
		_, err := resolveArguments(all, environment)
		return err
	}
	done, err := c.Install(o.install)
	if err != nil {
		return err
	}
	return writeDocument(cmd.OutOrStdout(), o.format, done, func() string { return printable.Lines(done.Text()) + "\n" })
}

// parseArguments parses arguments of hnsproxy without a subcommand.
func parseArguments(args []string) (*pflag.FlagSet, *options.CommandLine, error) {
	c, sets := options.NewCommandLine(), options.NewFlagSets()
	c.AddAll(sets)
	fs := pflag.NewFlagSet("hnsproxy", pflag.ContinueOnError)
	fs.SetNormalizeFunc(options.FlagName)
	sets.AddTo(fs)
	if err := fs.Parse(args); err != nil {
		return nil, nil, options.FlagError(fs, err)
	}
	for _, arg := range fs.Args() {
		if arg != "" {
			return nil, nil, options.Usage(fmt.Sprintf("the hnsproxy service takes no argument %q", arg), "all flags begin with --")
		}
	}
	return fs, c, nil
}

// resolveArguments resolves arguments as hnsproxy does before it runs, with additional environment
// variables.
func resolveArguments(args, environment []string) (*options.Resolved, error) {
	_, c, err := parseArguments(args)
	if err != nil {
		return nil, err
	}
	host := thisHost()
	host.Getenv = func(name string) string {
		for _, entry := range slices.Backward(environment) {
			if key, value, _ := strings.Cut(entry, "="); strings.EqualFold(key, name) {
				return value
			}
		}
		return os.Getenv(name)
	}
	return c.Resolve(host)
}

// checkPaths rejects relative paths, which would refer to another file when the service starts.
func checkPaths(args []string) error {
	fs, _, err := parseArguments(args)
	if err != nil {
		return err
	}
	for _, name := range []string{"config", "kubeconfig", "log-file", "log-dir", "hns-state-dir"} {
		if path := fs.Lookup(name).Value.String(); path != "" && !filepath.IsAbs(path) {
			return options.Invalid(name, path, "must be an absolute path: a service starts in System32", "use an absolute path")
		}
	}
	return nil
}

func (o *serviceOptions) uninstall(cmd *cobra.Command, c *service.Controller) error {
	found, err := c.Uninstall(cmd.Context())
	if err != nil {
		return err
	}
	if !found {
		return say(cmd, "Service %s is not installed; nothing to do", o.name)
	}
	return say(cmd, "Service %s removed; HNS rules left in place", o.name)
}

func (o *serviceOptions) start(cmd *cobra.Command, c *service.Controller) error {
	if err := c.Start(cmd.Context()); err != nil {
		return err
	}
	return say(cmd, "Service %s is running", o.name)
}

func (o *serviceOptions) stop(cmd *cobra.Command, c *service.Controller) error {
	if err := c.Stop(cmd.Context()); err != nil {
		return err
	}
	return say(cmd, "Service %s stopped; HNS rules left in place", o.name)
}

func (o *serviceOptions) status(cmd *cobra.Command, c *service.Controller) error {
	r, err := c.Status()
	if err != nil {
		return err
	}
	return writeDocument(cmd.OutOrStdout(), o.format, r, func() string { return printable.Lines(r.Text()) + "\n" })
}

func say(cmd *cobra.Command, format, name string) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", printable.Text(name))
	return err
}
