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
	fs.StringArrayVar(&o.Objects, "hns-objects", o.Objects, "`FILE` or directory of YAML or JSON to take Services, EndpointSlices and Nodes from "+
		"instead of an API server, as \"kubectl get services,endpointslices,nodes -A -o yaml\" prints them; "+
		"\"-\" is standard input. Files are watched for changes; one that seems to be saved in part keeps what it gave until it is whole, "+
		"and an empty one too. May be given several times.")
}

// AddServiceFlags adds hnsproxy's own flags about how Services work.
func (c *CommandLine) AddServiceFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.StringSliceVar(&o.DenyEndpoints, "hns-deny-endpoints", o.DenyEndpoints, "`CIDR,...` of addresses that are never programmed as endpoints "+
		"or external IPs, whoever asks for them, beside those that never are (loopback, link-local, multicast, 240.0.0.0/4). "+
		"On Azure, 168.63.129.16/32 keeps Services away from the platform's own endpoint; the metadata service, 169.254.169.254, is link-local.")
	fs.StringVar(&o.UnenforcedSourceRanges, "hns-unenforced-source-ranges", o.UnenforcedSourceRanges, "What to do with a load balancer's IP for "+
		"which loadBalancerSourceRanges names the allowed clients, since Windows cannot enforce that: `program|skip`, "+
		"serve whoever comes, or nobody. Both tell it in an Event on the Service.")
	fs.StringVar(&o.BridgeSource, "hns-bridge-source-vip", o.BridgeSource, "Source IP of balanced traffic on a network that is no overlay: "+
		"`auto|none|source-vip`. auto is the node's on HNS 9.x (Server 2019), so that a pod can be its own backend, and none elsewhere; "+
		"source-vip is what --source-vip gives, which is otherwise used on an overlay only, as kube-proxy does.")
	fs.BoolVar(&o.LocalShortCut, "hns-local-short-cut", o.LocalShortCut, "With externalTrafficPolicy Local, let pods of a node without endpoints "+
		"reach external addresses at endpoints of other nodes.")
}

// AddHNSFlags adds the flags that choose the HNS and how it is called.
func (c *CommandLine) AddHNSFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.StringVar(&o.HNS, "hns-driver", o.HNS, "`WHICH` HNS to program: hcn, that of this Windows machine, or emulator, one in memory that runs anywhere.")
	fs.DurationVar(&o.HNSCallTimeout, "hns-call-timeout", o.HNSCallTimeout, "How long one call of HNS may take before it counts as lost; "+
		"four times that on an HNS before 11, since Server 2019 is that slow at times.")
	fs.StringVar(&o.StateDir, "hns-state-dir", o.StateDir, "`DIR` in which hnsproxy probe keeps what it found out about this machine's HNS, "+
		"and hnsproxy looks for it. Nothing is needed there. On Windows %ProgramData%\\hnsproxy by default.")
	fs.Float64Var(&o.HNSShare, "hns-share", o.HNSShare, "`FRACTION` of HNS's time, from "+fmt.Sprint(leastShare)+" to 1, that writes of hnsproxy may take. "+
		"HNS carries out one write at a time, and a pod cannot start before HNS has made its endpoint. With 1, the network plugin "+
		"waits behind two writes at most; with 0.5, hnsproxy rests after each write for as long as it took, and its changes, "+
		"those of a cold start too, take twice as long. Lower it where pods start slowly while many Services change.")
	fs.IntVar(&o.CallsAtOnce, "hns-calls-at-once", o.CallsAtOnce, "How many calls of HNS may be under way at a `TIME`; 0 is 2, and 1 on an HNS before 11.")
	fs.BoolVar(&o.UDPInPlace, "hns-udp-in-place", o.UDPInPlace, "Change load balancers of UDP in place when an endpoint goes, as kube-proxy does, "+
		"rather than to delete and create them: without the gap that this makes, and with the risk that clients stay on the endpoint that is gone.")
}

// AddEmulatorFlags adds the flags of the HNS emulator.
func (c *CommandLine) AddEmulatorFlags(fs *pflag.FlagSet) {
	e := &c.own.Emulated
	names := make([]string, 0, len(profiles.All()))
	for _, p := range profiles.All() {
		names = append(names, p.Name)
	}
	fs.StringVar(&e.Profile, "hns-emulator-profile", e.Profile, "Windows `RELEASE` to emulate: "+strings.Join(names, ", ")+
		"; or a file that hnsproxy probe wrote on a real node.")
	fs.StringVar(&e.NetworkType, "hns-emulator-network-type", e.NetworkType,
		"`TYPE` of the network that is made when there is no saved state: "+strings.Join(NetworkTypes(), ", ")+".")
	fs.StringVar(&e.State, "hns-emulator-state", e.State, "`FILE` that keeps the emulated HNS over restarts, as Windows does.")
	fs.StringVar(&e.Latency, "hns-emulator-latency", e.Latency,
		"How long emulated `CALLS` take: profile, which is no time for a release and what was measured for a file; none; "+
			"or ws2022 for 8 ms per write, one at a time.")
}

// addMetricsFlags adds hnsproxy's own flags about the metrics port.
func (c *CommandLine) addMetricsFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.StringVar(&o.MetricsCert, "hns-metrics-tls-cert-file", o.MetricsCert, "`FILE` with the certificate, and those that vouch for it, with which "+
		"--metrics-bind-address is served by HTTPS. It is read again when it changes.")
	fs.StringVar(&o.MetricsKey, "hns-metrics-tls-private-key-file", o.MetricsKey, "`FILE` with the key of --hns-metrics-tls-cert-file.")
	fs.BoolVar(&o.MetricsAuthorization, "hns-metrics-authorization", o.MetricsAuthorization, "Serve --metrics-bind-address only to those whose bearer token "+
		"the API server knows and whom it lets get that path (nonResourceURLs of a ClusterRole). hnsproxy itself needs ClusterRole system:auth-delegator for it.")
}

// addRunFlags adds hnsproxy's own flags about how it runs.
func (c *CommandLine) addRunFlags(fs *pflag.FlagSet) {
	o := &c.own
	fs.BoolVar(&o.Table, "hns-table", o.Table, "Print a table of all frontends that follows changes, and log nothing but errors unless --v is given.")
	fs.BoolVar(&o.ReloadConfig, "hns-reload-config", o.ReloadConfig, "Take over a changed file of --config without ending the process, "+
		"and keep the configuration that runs if the file cannot be used. Without it the process ends with exit code 3 when the file changes, "+
		"for its supervisor to start it again.")
}
