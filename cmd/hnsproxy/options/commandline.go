// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
)

// FlagName is how flags are looked up, for cobra's SetGlobalNormalizationFunc.
func FlagName(fs *pflag.FlagSet, name string) pflag.NormalizedName { return flagName(fs, name) }

// FlagSets are the flags of one command in the groups that --help shows.
type FlagSets struct {
	cliflag.NamedFlagSets
	// hidden are flags that --help does not show.
	hidden *pflag.FlagSet
}

// NewFlagSets returns no groups.
func NewFlagSets() *FlagSets {
	hidden := pflag.NewFlagSet("hidden", pflag.ContinueOnError)
	hidden.SetNormalizeFunc(flagName)
	return &FlagSets{cliflag.NamedFlagSets{NormalizeNameFunc: flagName}, hidden}
}

// AddTo puts all groups on a command's flag set.
func (s *FlagSets) AddTo(fs *pflag.FlagSet) {
	for _, name := range s.Order {
		s.FlagSets[name].VisitAll(tolerateEmpty)
		fs.AddFlagSet(s.FlagSets[name])
	}
	fs.AddFlagSet(s.hidden)
}

// LogFiles are the log files that kube-proxy wrote until Kubernetes 1.25.
type LogFiles struct {
	Dir, File              string
	ToStderr, AlsoToStderr bool
	// Threshold is the severity from which lines go to standard error as well.
	Threshold string
	// MaxSize of a file in megabytes, 0 for no limit.
	MaxSize uint64
}

// CommandLine is what the flags of a command say.
type CommandLine struct {
	// config is what kube-proxy's flags are bound to, own what hnsproxy's are.
	config   kubeproxy.KubeProxyConfiguration
	own      Options
	logFiles LogFiles

	file, writeTo            string
	hostname, master         string
	healthzPort, metricsPort int32
	cleanup, initOnly        bool
	version                  versionValue

	// Groups of flags, nil on commands that do not have them.
	logging, linux, retired *pflag.FlagSet
	// outranked are groups that --config outranks.
	outranked []*pflag.FlagSet
}

// Resolved is what the command line and the configuration file say together.
type Resolved struct {
	Options *Options
	// Config is the configuration in force, as the file of --config would say it.
	Config *kubeproxy.KubeProxyConfiguration
	// File is what was read from --config.
	File     []byte
	LogFiles LogFiles
	// WriteConfigTo is the file to write Config to, before the program ends.
	WriteConfigTo string
	// Cleanup asks to remove what hnsproxy made, and to end.
	Cleanup  bool
	Warnings []Warning
}

// NewCommandLine returns a command line without flags, and so with all defaults.
func NewCommandLine() *CommandLine {
	c := &CommandLine{own: *New(), version: "false", healthzPort: 10256, metricsPort: 10249}
	SetDefaults(&c.config)
	setWindowsDefaults(&c.config)
	c.config.Mode = "" // as kube-proxy shows it
	c.logFiles = LogFiles{ToStderr: true, Threshold: "ERROR", MaxSize: 1800}
	return c
}

// SetHNS makes another HNS than that of Windows the default of --hns-driver.
func (c *CommandLine) SetHNS(name string) { c.own.HNS = name }

// AddAll adds all flags that hnsproxy has without a subcommand.
func (c *CommandLine) AddAll(sets *FlagSets) {
	c.AddClientFlags(sets.FlagSet("API server"))
	c.AddNodeFlags(sets.FlagSet("node and network"))
	c.addSyncFlags(sets.FlagSet("proxy"))
	c.addServerFlags(sets.FlagSet("server"))
	c.addProgramFlags(sets.FlagSet("program"))
	c.logging = sets.FlagSet("logging")
	c.addLogFlags(c.logging)
	own := sets.FlagSet("hnsproxy")
	c.AddObjectsFlag(own)
	c.AddServiceFlags(own)
	c.AddHNSFlags(own)
	c.AddEmulatorFlags(own)
	c.addMetricsFlags(own)
	c.addRunFlags(own)
	c.linux = sets.FlagSet("no effect on Windows")
	c.addLinuxFlags(c.linux)
	for _, name := range []string{"API server", "node and network", "proxy", "server"} {
		c.outranked = append(c.outranked, sets.FlagSet(name))
	}
	c.retired = sets.hidden
	addRetiredFlags(c.retired)
}

// Version tells whether the version is asked for, and everything that is known of it.
func (c *CommandLine) Version() (asked, raw bool) { return c.version != "false", c.version == "raw" }

// Resolve reads the configuration file, if there is one, and validates everything. What
// cannot be used is an *InvalidError.
func (c *CommandLine) Resolve(h Host) (*Resolved, error) {
	r := &Resolved{LogFiles: c.logFiles, WriteConfigTo: c.writeTo, Cleanup: c.cleanup}
	if err := c.readConfig(r); err != nil {
		return nil, err
	}
	setWindowsDefaults(r.Config)
	r.Options = c.options(r)
	c.warnFlags(r)
	gates, err := r.Options.Gates()
	if err != nil {
		return nil, err
	}
	r.Warnings = append(r.Warnings, gates.Warnings...)
	if c.writeTo != "" {
		return r, nil // whatever it says, on whatever machine
	}
	if err := r.Options.Complete(h); err != nil {
		return nil, err
	}
	v := &validation{o: r.Options}
	v.program(c)
	v.hns()
	v.all()
	v.logging(&r.Config.Logging, gates)
	return r, v.done()
}

// readConfig takes the configuration from the file, or from the flags.
func (c *CommandLine) readConfig(r *Resolved) error {
	if c.file == "" {
		r.Config = c.config.DeepCopy()
		if c.writeTo == "" {
			r.Config.HealthzBindAddress = deprecatedPort(c.config.HealthzBindAddress, c.healthzPort)
			r.Config.MetricsBindAddress = deprecatedPort(c.config.MetricsBindAddress, c.metricsPort)
		}
		c.takeName(r.Config)
		return nil
	}
	var err error
	if r.Config, r.File, r.Warnings, err = ReadConfiguration(c.file); err != nil {
		return err
	}
	c.takeName(r.Config)
	return c.takeLogging(&r.Config.Logging)
}

// deprecatedPort is an address with the port that --healthz-port or --metrics-port gives,
// which serves nothing when it is 0, and counts only where the address has none.
func deprecatedPort(addr string, port int32) string {
	if port == 0 {
		return ""
	}
	return withPort(addr, fmt.Sprint(port))
}

// takeName lets --hostname-override outrank the file.
func (c *CommandLine) takeName(k *kubeproxy.KubeProxyConfiguration) {
	if c.hostname != "" {
		k.HostnameOverride = strings.ToLower(strings.TrimSpace(c.hostname))
	}
}

// takeLogging lets the logging flags that were given outrank the file; --vmodule adds to it.
func (c *CommandLine) takeLogging(to *logsapi.LoggingConfiguration) error {
	var fs pflag.FlagSet
	modules := to.VModule
	to.VModule = nil
	logsapi.AddFlags(to, &fs)
	var err error
	fs.VisitAll(func(f *pflag.Flag) {
		if given := c.logging.Lookup(f.Name); err == nil && given != nil && given.Changed {
			err = f.Value.Set(given.Value.String())
		}
	})
	to.VModule = append(to.VModule, modules...)
	if err != nil {
		return fmt.Errorf("set a logging flag: %w", err)
	}
	return nil
}

// options makes Options of a configuration and hnsproxy's own flags.
func (c *CommandLine) options(r *Resolved) *Options {
	o, k := c.own, r.Config
	o.ConfigFile = c.file
	o.Kubeconfig, o.Master = k.ClientConnection.Kubeconfig, c.master
	o.ContentType, o.AcceptContentTypes = k.ClientConnection.ContentType, k.ClientConnection.AcceptContentTypes
	o.QPS, o.Burst = k.ClientConnection.QPS, k.ClientConnection.Burst
	o.Hostname, o.BindAddress = k.HostnameOverride, k.BindAddress
	if c.hostname != "" && o.Hostname == "" {
		o.Hostname = c.hostname // nothing but blanks, which Validate refuses
	}
	o.Network, o.SourceVIP, o.EnableDSR = k.Winkernel.NetworkName, k.Winkernel.SourceVip, k.Winkernel.EnableDSR
	o.NodePortAddresses = k.NodePortAddresses
	o.ForwardHealthCheckVIP, o.RootEndpoint = k.Winkernel.ForwardHealthCheckVip, k.Winkernel.RootHnsEndpointName
	o.ProxyMode, o.FeatureGates = string(k.Mode), k.FeatureGates
	o.ConfigSyncPeriod = k.ConfigSyncPeriod.Duration
	o.SyncPeriod, o.MinSyncPeriod = syncPeriods(k)
	o.HealthzBindAddress, o.MetricsBindAddress = k.HealthzBindAddress, k.MetricsBindAddress
	o.BindAddressHardFail, o.Profiling = k.BindAddressHardFail, k.EnableProfiling
	o.RunAsService = k.WindowsRunAsService || c.config.WindowsRunAsService
	if mode := o.ProxyMode; c.file != "" && slices.Contains([]string{modeIPTables, modeIPVS, modeNFTables}, mode) {
		o.ProxyMode = kernelspace
		r.Warnings = append(r.Warnings, Warning{"The configuration file sets a Linux proxy mode; using kernelspace",
			[]any{"file", c.file, "mode", mode}})
	}
	return &o
}

// warnFlags names the flags that have no effect.
func (c *CommandLine) warnFlags(r *Resolved) {
	warn := func(names []string, text string, values ...any) {
		if len(names) > 0 {
			slices.Sort(names)
			r.Warnings = append(r.Warnings, Warning{text, append([]any{"flags", strings.Join(names, " ")}, values...)})
		}
	}
	var outranked []string
	if c.file != "" {
		for _, fs := range c.outranked {
			outranked = append(outranked, changedIn(fs)...)
		}
		outranked = slices.DeleteFunc(outranked, func(name string) bool { return name == "--hostname-override" || name == "--master" })
	}
	warn(outranked, "The configuration file overrides these flags", "file", c.file)
	if l := c.logFiles; l.ToStderr && l.Dir+l.File != "" {
		r.Warnings = append(r.Warnings, Warning{"Logging to standard error; --log-dir and --log-file require --logtostderr=false",
			[]any{"place", cmp.Or(l.File, l.Dir)}})
	}
	var idle []string
	if c.linux != nil {
		idle = append(changedIn(c.linux), changedIn(c.retired)...)
	}
	warn(idle, "These flags have no effect on Windows")
}

// Values returns what each flag of fs says, by name, but for those that have long been without
// meaning.
func (c *CommandLine) Values(fs *pflag.FlagSet) map[string]string {
	out := map[string]string{}
	fs.VisitAll(func(f *pflag.Flag) {
		if c.retired == nil || c.retired.Lookup(f.Name) == nil {
			out[f.Name] = f.Value.String()
		}
	})
	return out
}

// AddObjects adds files to those of --hns-objects.
func (c *CommandLine) AddObjects(files []string) { c.own.Objects = append(c.own.Objects, files...) }

// Invalid is the error about one value of one flag.
func Invalid(flag, value, why, remedy string) error {
	return &InvalidError{Problems: []Problem{{Flag: flag, Value: value, Why: why, Remedy: remedy}}}
}

// Usage is the error about a command line as a whole.
func Usage(why, remedy string) error {
	return &InvalidError{Problems: []Problem{{Why: why, Remedy: remedy}}}
}
