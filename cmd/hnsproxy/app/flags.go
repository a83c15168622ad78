// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// flagSets are the flags of one command in the groups that --help shows.
type flagSets struct{ cliflag.NamedFlagSets }

func newFlagSets() *flagSets {
	return &flagSets{cliflag.NamedFlagSets{NormalizeNameFunc: flagName}}
}

// flagName lets underscores equal dashes, as kube-proxy does, and knows flags by their
// short names.
func flagName(fs *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "network-type" {
		name = "emulator-network-type"
	}
	return cliflag.WordSepNormalizeFunc(fs, name)
}

// addTo puts all groups on a command's flag set.
func (s *flagSets) addTo(fs *pflag.FlagSet) {
	for _, name := range s.Order {
		s.FlagSets[name].VisitAll(tolerateEmpty)
		fs.AddFlagSet(s.FlagSets[name])
	}
}

// tolerateEmpty lets a flag be given with an empty value, as deployed start scripts do:
// it keeps its default. For a flag that takes text the empty text is a value like others.
func tolerateEmpty(f *pflag.Flag) {
	switch f.Value.Type() {
	case "string", "stringArray", "mapStringBool":
	default:
		f.Value = emptyIsDefault{f.Value}
	}
}

type emptyIsDefault struct{ pflag.Value }

// Set is part of pflag.Value.
func (v emptyIsDefault) Set(text string) error {
	if text == "" {
		return nil
	}
	return v.Value.Set(text)
}

func (o *Options) addSourceFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path to the kubeconfig `FILE` that says where the API server is. "+
		"Without it, and without --master and --objects, the pod's service account says so.")
	fs.StringVar(&o.Master, "master", o.Master, "`URL` of the API server; outranks the one in --kubeconfig.")
	fs.StringVar(&o.ContentType, "kube-api-content-type", o.ContentType, "Content type of requests to the API server.")
	fs.Float32Var(&o.QPS, "kube-api-qps", o.QPS, "Requests per second to the API server.")
	fs.Int32Var(&o.Burst, "kube-api-burst", o.Burst, "Requests to the API server that may come at once.")
	fs.DurationVar(&o.ConfigSyncPeriod, "config-sync-period", o.ConfigSyncPeriod,
		"How often everything known from the API server is looked at again. Must be greater than 0.")
	o.addObjectsFlag(fs)
}

func (o *Options) addObjectsFlag(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.Objects, "objects", o.Objects, "`FILE` or directory of YAML or JSON to take Services, EndpointSlices and Nodes from "+
		"instead of an API server, as \"kubectl get services,endpointslices,nodes -A -o yaml\" prints them; "+
		"\"-\" is standard input. Files are watched for changes; one that seems to be saved in part keeps what it gave until it is whole, "+
		"and an empty one too. May be given several times.")
}

func (o *Options) addNodeFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Hostname, "hostname-override", o.Hostname, "`NAME` of this node's Node object, the host's name by default.")
	fs.StringVar(&o.BindAddress, "bind-address", o.BindAddress, "The node's primary `IP`, which outranks the Node object's unless it is "+
		"unspecified. The name is kube-proxy's; nothing is bound to it.")
	fs.StringVar(&o.Network, "network-name", o.Network, "`NAME` of the HNS network that carries this node's pods; "+
		"the environment variable KUBE_NETWORK by default.")
	fs.StringVar(&o.SourceVIP, "source-vip", o.SourceVIP, "Source `IP` of balanced traffic. An overlay network needs one: "+
		"an address of this node's pod subnet that the network plugin keeps free.")
	fs.StringVar(&o.BridgeSource, "hns-bridge-source-vip", o.BridgeSource, "Source IP of balanced traffic on a network that is no overlay: "+
		"`auto|none|source-vip`. auto is the node's on HNS 9.x (Server 2019), so that a pod can be its own backend, and none elsewhere; "+
		"source-vip is what --source-vip gives, which is otherwise used on an overlay only, as kube-proxy does.")
	fs.BoolVar(&o.EnableDSR, "enable-dsr", o.EnableDSR, "Use direct server return for cluster IPs.")
	fs.StringSliceVar(&o.NodePortAddresses, "nodeport-addresses", o.NodePortAddresses, "`CIDR,...` of node addresses on which node ports, "+
		"and health-check node ports, answer; or the word primary, for the addresses of the Node object. All by default.")
	fs.StringSliceVar(&o.DenyEndpoints, "hns-deny-endpoints", o.DenyEndpoints, "`CIDR,...` of addresses that are never programmed as endpoints "+
		"or external IPs, whoever asks for them, beside those that never are (loopback, link-local, multicast, 240.0.0.0/4). "+
		"On Azure, 168.63.129.16/32 keeps Services away from the platform's own endpoint; the metadata service, 169.254.169.254, is link-local.")
	fs.StringVar(&o.UnenforcedSourceRanges, "unenforced-source-ranges", o.UnenforcedSourceRanges, "What to do with a load balancer's IP for "+
		"which loadBalancerSourceRanges names the allowed clients, since Windows cannot enforce that: `program|skip`, "+
		"serve whoever comes, or nobody. Both tell it in an Event on the Service.")
	fs.BoolVar(&o.ForwardHealthCheckVIP, "forward-healthcheck-vip", o.ForwardHealthCheckVIP, "Let health checks that a load balancer sends "+
		"to its own address, rather than to the node's, reach the health-check node port.")
	fs.StringVar(&o.RootEndpoint, "root-hnsendpoint-name", o.RootEndpoint, "`NAME` of the HNS endpoint of the node itself, to which "+
		"--forward-healthcheck-vip forwards.")
	fs.Var(cliflag.NewMapStringBool(&o.FeatureGates), "feature-gates", "`NAME=BOOL,...` switches feature gates:\n"+gateHelp())
}

func (o *Options) addSyncFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ProxyMode, "proxy-mode", o.ProxyMode, "The proxy `MODE`. Windows has one, kernelspace, which is the default.")
	fs.DurationVar(&o.SyncPeriod, "iptables-sync-period", o.SyncPeriod,
		"How often HNS is compared with what it should hold, and repaired. Must be greater than 0. (The name is kube-proxy's.)")
	fs.DurationVar(&o.MinSyncPeriod, "iptables-min-sync-period", o.MinSyncPeriod,
		"How long a busy proxy may gather changes before it programs them; more than "+maxGather.String()+
			" counts as "+maxGather.String()+". An idle proxy never waits. 0 gathers nothing. (The name is kube-proxy's.)")
}

func (o *Options) addServerFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.HealthzBindAddress, "healthz-bind-address", o.HealthzBindAddress,
		"`IP[:PORT]` that serves /healthz and /livez. Port 0 takes a free one, the empty text serves nothing.")
	fs.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress,
		"`IP[:PORT]` that serves /metrics and /proxyMode. Port 0 takes a free one, the empty text serves nothing.")
	fs.BoolVar(&o.BindAddressHardFail, "bind-address-hard-fail", o.BindAddressHardFail, "End the program when it cannot serve on one of them.")
	fs.BoolVar(&o.Profiling, "profiling", o.Profiling, "Serve /debug/pprof beside /metrics.")
}

func (o *Options) addHNSFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.HNS, "hns", o.HNS, "`WHICH` HNS to program: hcn, that of this Windows machine, or emulator, one in memory that runs anywhere.")
	fs.DurationVar(&o.HNSCallTimeout, "hns-call-timeout", o.HNSCallTimeout, "How long one call of HNS may take before it counts as lost; "+
		"four times that on an HNS before 11, since Server 2019 is that slow at times.")
	fs.Float64Var(&o.HNSShare, "hns-share", o.HNSShare, "`FRACTION` of HNS's time, from "+fmt.Sprint(leastShare)+" to 1, that writes of hnsproxy may take. "+
		"HNS carries out one write at a time, and a pod cannot start before HNS has made its endpoint. With 1, the network plugin "+
		"waits behind two writes at most; with 0.5, hnsproxy rests after each write for as long as it took, and its changes, "+
		"those of a cold start too, take twice as long. Lower it where pods start slowly while many Services change.")
	fs.IntVar(&o.CallsAtOnce, "hns-calls-at-once", o.CallsAtOnce, "How many calls of HNS may be under way at a `TIME`; 0 is 2, and 1 on an HNS before 11.")
	fs.BoolVar(&o.UDPInPlace, "hns-udp-in-place", o.UDPInPlace, "Change load balancers of UDP in place when an endpoint goes, as kube-proxy does, "+
		"rather than to delete and create them: without the gap that this makes, and with the risk that clients stay on the endpoint that is gone.")
	fs.BoolVar(&o.LocalShortCut, "hns-local-short-cut", o.LocalShortCut, "With externalTrafficPolicy Local, let pods of a node without endpoints "+
		"reach external addresses at endpoints of other nodes.")
}

func (o *Options) addEmulatorFlags(fs *pflag.FlagSet) {
	names := make([]string, 0, len(emulator.Profiles()))
	for _, p := range emulator.Profiles() {
		names = append(names, p.Name)
	}
	fs.StringVar(&o.Emulated.Profile, "emulator-profile", o.Emulated.Profile, "Windows `RELEASE` to emulate: "+strings.Join(names, ", ")+".")
	fs.StringVar(&o.Emulated.NetworkType, "emulator-network-type", o.Emulated.NetworkType,
		"`TYPE` of the network that is made when there is no saved state: "+strings.Join(networkTypes(), ", ")+".")
	fs.StringVar(&o.Emulated.State, "emulator-state", o.Emulated.State,
		"`FILE` that keeps the emulated HNS over restarts, as Windows does.")
	fs.StringVar(&o.Emulated.Latency, "emulator-latency", o.Emulated.Latency,
		"How long emulated `CALLS` take: none, or ws2022 for 8 ms per write, one at a time.")
}
