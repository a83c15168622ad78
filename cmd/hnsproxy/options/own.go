// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// flagName lets underscores equal dashes, as kube-proxy does, and knows flags of hnsproxy by
// the names that they had, or have for short.
func flagName(fs *pflag.FlagSet, name string) pflag.NormalizedName {
	switch normal := cliflag.WordSepNormalizeFunc(fs, name); normal {
	case "hns":
		return "hns-driver"
	case "network-type", "emulator-network-type":
		return "hns-emulator-network-type"
	case "emulator-profile", "emulator-state", "emulator-latency", "objects", "table", "unenforced-source-ranges":
		return "hns-" + normal
	default:
		return normal
	}
}

// AddObjectsFlag adds the flag that names files with objects.
func (c *CommandLine) AddObjectsFlag(fs *pflag.FlagSet) {
	o := &c.own
	fs.StringArrayVar(&o.Objects, "hns-objects", o.Objects, "`FILE` or directory with YAML or JSON from which to read Services, EndpointSlices and Nodes "+
		"instead of from an API server, as printed by \"kubectl get services,endpointslices,nodes -A -o yaml\"; "+
		"\"-\" is standard input. Files are watched for changes; the last valid contents of an empty or incomplete file stay in effect "+
		"until it is saved completely. May be repeated.")
}

// AddServiceFlags adds hnsproxy's own flags about how Services work.
func (c *CommandLine) AddServiceFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.StringSliceVar(&o.DenyEndpoints, "hns-deny-endpoints", o.DenyEndpoints, "`CIDR,...` of addresses that are never programmed as endpoints "+
		"or external IPs, in addition to those that never are (loopback, link-local, multicast, 240.0.0.0/4). "+
		"On Azure, 168.63.129.16/32 keeps Services from using the platform endpoint; the metadata service, 169.254.169.254, is link-local.")
	fs.StringVar(&o.UnenforcedSourceRanges, "hns-unenforced-source-ranges", o.UnenforcedSourceRanges, "What to do with a load balancer IP for "+
		"which loadBalancerSourceRanges is set, since Windows cannot enforce source ranges: `program|skip`, "+
		"that is, serve all clients or none. In both cases the Service gets an Event.")
	fs.StringVar(&o.BridgeSource, "hns-bridge-source-vip", o.BridgeSource, "Source IP of load-balanced traffic on a network other than an overlay: "+
		"`auto|none|source-vip`. auto uses the node's on HNS 9.x (Server 2019), so that a pod can be its own backend, and none elsewhere; "+
		"source-vip uses --source-vip, which is otherwise used on overlays only, as in kube-proxy.")
	fs.BoolVar(&o.LocalShortCut, "hns-local-short-cut", o.LocalShortCut, "With externalTrafficPolicy Local, let pods on a node without endpoints "+
		"reach external addresses through endpoints on other nodes.")
}

// AddHNSFlags adds the flags that choose the HNS and how it is called.
func (c *CommandLine) AddHNSFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.StringVar(&o.HNS, "hns-driver", o.HNS, "HNS `DRIVER`: hcn programs the HNS of this Windows host, emulator an HNS in memory that runs anywhere.")
	fs.DurationVar(&o.HNSCallTimeout, "hns-call-timeout", o.HNSCallTimeout, "Timeout of an HNS call; "+
		"four times that before HNS 11, since Server 2019 can be that slow.")
	fs.StringVar(&o.StateDir, "hns-state-dir", o.StateDir, "`DIR` in which hnsproxy probe stores what it found out about the HNS of this host "+
		"and from which hnsproxy reads it. May be empty or missing. Defaults to %ProgramData%\\hnsproxy on Windows.")
	fs.Float64Var(&o.HNSShare, "hns-share", o.HNSShare, "`FRACTION` of HNS time, from "+fmt.Sprint(leastShare)+" to 1, that hnsproxy may use for writes. "+
		"HNS executes one write at a time, and a pod cannot start before HNS has created its endpoint. With 1, the network plugin "+
		"waits behind two writes at most; with 0.5, hnsproxy pauses after each write for as long as it took, so its changes, "+
		"including a cold start, take twice as long. Lower it if pods start slowly while many Services change.")
	fs.IntVar(&o.CallsAtOnce, "hns-calls-at-once", o.CallsAtOnce, "Maximum `NUMBER` of concurrent HNS calls; 0 means 2, or 1 before HNS 11.")
	fs.BoolVar(&o.UDPInPlace, "hns-udp-in-place", o.UDPInPlace, "Update UDP load balancers in place when an endpoint is removed, as kube-proxy does, "+
		"instead of deleting and re-creating them. This avoids a gap in service, but clients may stay on the removed endpoint.")
}

// AddEmulatorFlags adds the flags of the HNS emulator.
func (c *CommandLine) AddEmulatorFlags(fs *pflag.FlagSet) {
	e := &c.own.Emulated
	names := make([]string, 0, len(profiles.All()))
	for _, p := range profiles.All() {
		names = append(names, p.Name)
	}
	fs.StringVar(&e.Profile, "hns-emulator-profile", e.Profile, "Windows `RELEASE` to emulate: "+strings.Join(names, ", ")+
		"; or a file written by hnsproxy probe on a real node.")
	fs.StringVar(&e.NetworkType, "hns-emulator-network-type", e.NetworkType,
		"`TYPE` of the network that is created when there is no saved state: "+strings.Join(NetworkTypes(), ", ")+".")
	fs.StringVar(&e.State, "hns-emulator-state", e.State, "`FILE` that preserves the emulated HNS across restarts, as Windows does.")
	fs.StringVar(&e.Latency, "hns-emulator-latency", e.Latency,
		"Latency of emulated `CALLS`: profile, which is none for a release and as measured for a file; none; "+
			"or ws2022 for 8 ms per write, one at a time.")
}

// addMetricsFlags adds hnsproxy's own flags about the metrics port.
func (c *CommandLine) addMetricsFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.StringVar(&o.MetricsCert, "hns-metrics-tls-cert-file", o.MetricsCert, "`FILE` with the certificate chain with which "+
		"--metrics-bind-address is served over HTTPS. Reloaded when it changes.")
	fs.StringVar(&o.MetricsKey, "hns-metrics-tls-private-key-file", o.MetricsKey, "`FILE` with the private key for --hns-metrics-tls-cert-file.")
	fs.BoolVar(&o.MetricsAuthorization, "hns-metrics-authorization", o.MetricsAuthorization, "Serve --metrics-bind-address only to clients whose bearer token "+
		"the API server authenticates and authorizes to get the path (nonResourceURLs of a ClusterRole). hnsproxy itself needs ClusterRole system:auth-delegator for this.")
}

// addRunFlags adds hnsproxy's own flags about how it runs.
func (c *CommandLine) addRunFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.BoolVar(&o.Table, "hns-table", o.Table, "Print a live table of all frontends, and log only errors unless --v is set.")
	fs.BoolVar(&o.ReloadConfig, "hns-reload-config", o.ReloadConfig, "Apply a changed --config file without ending the process, "+
		"and keep the current configuration if the file is invalid. Without it the process exits with code 3 when the file changes, "+
		"so that its supervisor restarts it.")
}
