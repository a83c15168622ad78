// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"

	// --logging-format=json
	_ "k8s.io/component-base/logs/json/register"
)

// Validate tells all that is wrong with completed options at once, as an *InvalidError.
func (o *Options) Validate() error {
	v := &validation{o: o}
	v.hns()
	v.all()
	return v.done()
}

// ValidateWithDriver is Validate for a program that was given its driver.
func (o *Options) ValidateWithDriver() error {
	v := &validation{o: o}
	v.all()
	return v.done()
}

// fieldOf is the field of a configuration file that says what a flag says, if there is one.
func fieldOf(flag string) string {
	return map[string]string{
		"kube-api-burst":           "clientConnection.burst",
		"proxy-mode":               "mode",
		"bind-address":             "bindAddress",
		"source-vip":               "winkernel.sourceVip",
		"root-hnsendpoint-name":    "winkernel.rootHnsEndpointName",
		"nodeport-addresses":       "nodePortAddresses",
		"config-sync-period":       "configSyncPeriod",
		"iptables-sync-period":     "iptables.syncPeriod",
		"iptables-min-sync-period": "iptables.minSyncPeriod",
		"healthz-bind-address":     "healthzBindAddress",
		"metrics-bind-address":     "metricsBindAddress",
	}[flag]
}

// validation gathers problems.
type validation struct {
	o        *Options
	problems []Problem
}

func (v *validation) all() {
	v.sources()
	v.mode()
	v.node()
	v.nodePorts()
	v.periods()
	v.share()
	v.servers()
}

func (v *validation) done() error {
	if len(v.problems) == 0 {
		return nil
	}
	return &InvalidError{Problems: v.problems}
}

func (v *validation) add(flag string, value any, why, remedy string) {
	p := Problem{Flag: flag, Value: fmt.Sprint(value), Why: why, Remedy: remedy}
	if field := fieldOf(flag); field != "" && v.o.ConfigFile != "" {
		p.File, p.Field = v.o.ConfigFile, field
	}
	v.problems = append(v.problems, p)
}

func (v *validation) sources() {
	o := v.o
	api := o.Kubeconfig != "" || o.Master != ""
	if len(o.Objects) > 0 && api {
		v.add("hns-objects", strings.Join(o.Objects, ","), "objects are read either from files or from an API server",
			"remove --kubeconfig and --master, or --hns-objects")
	}
	if n := len(o.Objects); n > 1 && slices.Contains(o.Objects, "-") {
		v.add("hns-objects", "-", "standard input cannot be combined with files", "remove the files, or save the input to one")
	}
	if slices.Contains(o.Objects, "") {
		v.add("hns-objects", "", "is not a file", "specify a file or a directory")
	}
	if o.Burst < 0 {
		v.add("kube-api-burst", o.Burst, "must not be negative", "kube-proxy's default is 10")
	}
}

// program refuses what kube-proxy has on other systems only, and unknown severities.
func (v *validation) program(c *CommandLine) {
	if c.initOnly {
		v.add("init-only", true, "initialization is not needed on Windows", "remove it")
	}
	if !slices.Contains([]string{"INFO", "WARNING", "ERROR", "FATAL", "0", "1", "2", "3"}, strings.ToUpper(c.logFiles.Threshold)) {
		v.add("stderrthreshold", c.logFiles.Threshold, "is not a severity", "use INFO, WARNING, ERROR or FATAL")
	}
	if hidden := c.config.ShowHiddenMetricsForVersion; hidden != "" && !minorVersion.MatchString(hidden) {
		v.add("show-hidden-metrics-for-version", hidden, "is not a version", "use the form 1.36, or remove it: there are no hidden metrics")
	}
}

// minorVersion is a minor release of Kubernetes.
var minorVersion = regexp.MustCompile(`^\d+\.\d+$`)

// logging takes over what the logging library says.
func (v *validation) logging(c *logsapi.LoggingConfiguration, gate featuregate.FeatureGate) {
	for _, err := range logsapi.Validate(c, gate, field.NewPath("logging")) {
		p := Problem{File: v.o.ConfigFile, Field: err.Field, Value: fmt.Sprint(err.BadValue), Why: err.Detail, Remedy: "see hnsproxy --help"}
		switch err.Field {
		case "logging.format":
			p.Flag, p.Remedy = "logging-format", "use text or json"
		case "logging.flushFrequency":
			p.Flag, p.Value, p.Remedy = "log-flush-frequency", c.FlushFrequency.Duration.Duration.String(), "the default is 5s"
		default:
			p.Why = err.Error()
		}
		v.problems = append(v.problems, p)
	}
}

// mode refuses the modes of other systems, and the userspace mode that kube-proxy had on
// Windows until 1.25.
func (v *validation) mode() {
	const remedy = "use --proxy-mode=kernelspace, or remove it"
	switch mode := v.o.ProxyMode; mode {
	case "", kernelspace:
	case "userspace":
		v.add("proxy-mode", mode, "the userspace mode was removed in Kubernetes 1.26; kernelspace replaces it, including for UDP", remedy)
	case "iptables", "ipvs", "nftables":
		v.add("proxy-mode", mode, "Linux only; Windows supports kernelspace only", remedy)
	default:
		v.add("proxy-mode", mode, "unknown mode; Windows supports kernelspace only", remedy)
	}
}

func (v *validation) node() {
	o := v.o
	if o.Hostname == "" {
		v.add("hostname-override", o.Hostname, "the node name is empty", "set it to the name of this node's Node object")
	}
	if _, err := services.ParseAddr(o.BindAddress); err != nil {
		v.add("bind-address", o.BindAddress, err.Error(), "use the address of the node, such as 10.0.0.4, or remove it")
	}
	switch source := desired.BridgeSource(o.BridgeSource); source {
	case "", desired.BridgeAuto, desired.BridgeNone, desired.BridgeGiven:
	default:
		v.add("hns-bridge-source-vip", source, "unknown value", "use auto, none or source-vip")
	}
	if o.SourceVIP != "" {
		ip, err := services.ParseAddr(o.SourceVIP)
		if err == nil && ip.IsUnspecified() {
			err = errors.New("is not a valid endpoint IP address")
		}
		if err != nil {
			v.add("source-vip", o.SourceVIP, err.Error(),
				"use the address that the network plugin reserves on this node, or remove it")
		}
	}
}

func (v *validation) nodePorts() {
	o := v.o
	if _, err := desired.ParseNodePortAddresses(o.NodePortAddresses); err != nil {
		v.add("nodeport-addresses", strings.Join(o.NodePortAddresses, ","), strings.ReplaceAll(err.Error(), "\n", "; "),
			"use ranges such as 10.0.0.0/8,fd00::/16, and the keywords primary, localhost or all")
	}
	if _, err := desired.ParseAddressRanges(o.DenyEndpoints); err != nil {
		v.add("hns-deny-endpoints", strings.Join(o.DenyEndpoints, ","), err.Error(), "use ranges such as 168.63.129.16/32,192.0.2.0/24")
	}
	if o.UnenforcedSourceRanges != Program && o.UnenforcedSourceRanges != Skip {
		v.add("hns-unenforced-source-ranges", o.UnenforcedSourceRanges, "is neither "+Program+" nor "+Skip, "the default is "+Program)
	}
	if o.ForwardHealthCheckVIP && o.RootEndpoint == "" {
		v.add("root-hnsendpoint-name", "", "is required with --forward-healthcheck-vip",
			"set it to the name of the HNS endpoint of this node; Get-HnsEndpoint lists endpoints")
	}
}

// shortestPeriod is the shortest time between two looks at everything, and for one call of HNS:
// less would do nothing else, and look like an HNS that hangs.
const shortestPeriod = time.Second

func (v *validation) periods() {
	o := v.o
	for _, p := range []struct {
		flag  string
		value time.Duration
		usual string
	}{
		{"config-sync-period", o.ConfigSyncPeriod, "15m"},
		{"iptables-sync-period", o.SyncPeriod, "30s"},
		{"hns-call-timeout", o.HNSCallTimeout, "30s"},
	} {
		if p.value < shortestPeriod {
			v.add(p.flag, p.value, "must be at least "+shortestPeriod.String(), "the default is "+p.usual)
		}
	}
	if o.CallsAtOnce < 0 {
		v.add("hns-calls-at-once", o.CallsAtOnce, "must not be negative", "0 selects the number that suits the HNS version")
	}
	if o.MinSyncPeriod < 0 {
		v.add("iptables-min-sync-period", o.MinSyncPeriod, "must not be negative", "the default is 1s")
	}
	if o.MinSyncPeriod > o.SyncPeriod && o.SyncPeriod >= shortestPeriod {
		v.add("iptables-min-sync-period", o.MinSyncPeriod,
			fmt.Sprintf("must not be longer than --iptables-sync-period (%v)", o.SyncPeriod), "decrease it, or increase --iptables-sync-period")
	}
}

func (v *validation) share() {
	share := v.o.HNSShare
	if !(share >= leastShare && share <= 1) { // not a number is neither
		v.add("hns-share", share, fmt.Sprintf("must be a fraction from %v to 1", leastShare),
			"the default is 1; 0.5 leaves half of the HNS time to others")
	}
}

func (v *validation) servers() {
	v.address("healthz-bind-address", v.o.HealthzBindAddress)
	v.address("metrics-bind-address", v.o.MetricsBindAddress)
	o := v.o
	switch {
	case o.MetricsCert != "" && o.MetricsKey == "":
		v.add("hns-metrics-tls-cert-file", o.MetricsCert, "requires a private key", "add --hns-metrics-tls-private-key-file")
	case o.MetricsCert == "" && o.MetricsKey != "":
		v.add("hns-metrics-tls-private-key-file", o.MetricsKey, "requires a certificate", "add --hns-metrics-tls-cert-file")
	case o.MetricsAuthorization && o.MetricsCert == "":
		v.add("hns-metrics-authorization", true, "would send tokens unencrypted",
			"add --hns-metrics-tls-cert-file and --hns-metrics-tls-private-key-file")
	}
	if o.MetricsAuthorization && len(o.Objects) > 0 {
		v.add("hns-metrics-authorization", true, "requires an API server, but objects are read from files", "remove it, or --hns-objects")
	}
}

func (v *validation) address(flag, value string) {
	if value == "" {
		return
	}
	if _, err := netip.ParseAddrPort(value); err != nil {
		v.add(flag, value, "is not an IP address and port", "use the form 0.0.0.0:10256 or [::]:10256")
	}
}

func (v *validation) hns() {
	o := v.o
	switch o.HNS {
	case HCN:
		if runtime.GOOS != "windows" {
			v.add("hns-driver", o.HNS, "HNS is only available on Windows, and this is "+runtime.GOOS, "use --hns-driver=emulator")
		}
		if o.Emulated.State != "" {
			v.add("hns-emulator-state", o.Emulated.State, "requires the emulator", "add --hns-driver=emulator, or remove it")
		}
	case Emulator:
		v.emulator()
	default:
		v.add("hns-driver", o.HNS, "unknown driver", "use hcn or emulator")
	}
}

func (v *validation) emulator() {
	e := v.o.Emulated
	if _, err := EmulatedProfile(e.Profile); err != nil {
		v.add("hns-emulator-profile", e.Profile, err.Error(), "use one of them")
	}
	if !slices.ContainsFunc(NetworkTypes(), func(t string) bool { return strings.EqualFold(t, e.NetworkType) }) {
		v.add("hns-emulator-network-type", e.NetworkType, "unknown network type", "use one of "+strings.Join(NetworkTypes(), ", "))
	}
	if !slices.Contains(Latencies(), e.Latency) {
		v.add("hns-emulator-latency", e.Latency, "unknown latency", "use profile, none or ws2022")
	}
}
