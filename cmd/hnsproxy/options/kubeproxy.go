// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// AddClientFlags adds the flags that say where the API server is and how to ask it.
func (c *CommandLine) AddClientFlags(fs *pflag.FlagSet) {
	client := &c.config.ClientConnection
	fs.StringVar(&client.Kubeconfig, "kubeconfig", client.Kubeconfig, "Path to the kubeconfig `FILE` that says where the API server is; "+
		"the environment variable KUBECONFIG by default. Without both, the pod's service account says who asks, and --master where the API server is.")
	fs.StringVar(&c.master, "master", c.master, "`URL` of the API server; outranks the one in --kubeconfig.")
	fs.StringVar(&client.ContentType, "kube-api-content-type", client.ContentType, "Content type of requests to the API server.")
	fs.Float32Var(&client.QPS, "kube-api-qps", client.QPS, "Requests per second to the API server; a negative number is no limit.")
	fs.Int32Var(&client.Burst, "kube-api-burst", client.Burst, "Requests to the API server that may come at once.")
	fs.DurationVar(&c.config.ConfigSyncPeriod.Duration, "config-sync-period", c.config.ConfigSyncPeriod.Duration,
		"How often everything known from the API server is looked at again. At least 1s.")
}

// AddNodeFlags adds the flags of kube-proxy that say what this node is and how Services are
// to work on it.
func (c *CommandLine) AddNodeFlags(fs *pflag.FlagSet) {
	k := &c.config
	fs.StringVar(&c.hostname, "hostname-override", c.hostname, "`NAME` of this node's Node object, the host's name by default.")
	fs.Var(text{&k.BindAddress, "ip"}, "bind-address", "The node's primary `IP`, which outranks the Node object's unless it is "+
		"unspecified. The name is kube-proxy's; nothing is bound to it.")
	fs.StringVar(&k.Winkernel.NetworkName, "network-name", k.Winkernel.NetworkName, "`NAME` of the HNS network that carries this node's pods; "+
		"the environment variable KUBE_NETWORK by default, and without both the only L2Bridge, L2Tunnel or Overlay network that there is.")
	fs.StringVar(&k.Winkernel.SourceVip, "source-vip", k.Winkernel.SourceVip, "Source `IP` of balanced traffic. An overlay network needs one: "+
		"an address of this node's pod subnet that the network plugin keeps free. By default that of the endpoint which the plugin made for it.")
	fs.BoolVar(&k.Winkernel.EnableDSR, "enable-dsr", k.Winkernel.EnableDSR, "Use direct server return for cluster IPs.")
	fs.StringSliceVar(&k.NodePortAddresses, "nodeport-addresses", k.NodePortAddresses, "`CIDR,...` of node addresses on which node ports, "+
		"and health-check node ports, answer. The words primary (the addresses of the Node object), localhost and all may stand among them. All by default.")
	fs.BoolVar(&k.Winkernel.ForwardHealthCheckVip, "forward-healthcheck-vip", k.Winkernel.ForwardHealthCheckVip, "Let health checks that a load balancer "+
		"sends to its own address, rather than to the node's, reach the health-check node port.")
	fs.StringVar(&k.Winkernel.RootHnsEndpointName, "root-hnsendpoint-name", k.Winkernel.RootHnsEndpointName, "`NAME` of the HNS endpoint of the node "+
		"itself, to which --forward-healthcheck-vip forwards.")
	fs.Var(cliflag.NewMapStringBool(&k.FeatureGates), "feature-gates", "`NAME=BOOL,...` switches feature gates. Gates that hnsproxy does not have are "+
		"named in a warning and ignored. It has:\n"+gateHelp())
}

func (c *CommandLine) addSyncFlags(fs *pflag.FlagSet) {
	k := &c.config
	fs.Var(text{(*string)(&k.Mode), "ProxyMode"}, "proxy-mode", "The proxy `MODE`. Windows has one, kernelspace, which is the default.")
	fs.DurationVar(&k.IPTables.SyncPeriod.Duration, "iptables-sync-period", k.IPTables.SyncPeriod.Duration,
		"How often HNS is compared with what it should hold, and repaired. At least 1s. (The name is kube-proxy's.)")
	fs.DurationVar(&k.IPTables.MinSyncPeriod.Duration, "iptables-min-sync-period", k.IPTables.MinSyncPeriod.Duration,
		"How long a busy proxy may gather changes before it programs them; more than "+maxGather.String()+
			" counts as "+maxGather.String()+". An idle proxy never waits. 0 gathers nothing. (The name is kube-proxy's.)")
}

func (c *CommandLine) addServerFlags(fs *pflag.FlagSet) {
	k := &c.config
	fs.Var(text{&k.HealthzBindAddress, "ipport"}, "healthz-bind-address",
		"`IP[:PORT]` that serves /healthz and /livez. Port 0 takes a free one, the empty text serves nothing.")
	fs.Var(text{&k.MetricsBindAddress, "ipport"}, "metrics-bind-address",
		"`IP[:PORT]` that serves /metrics, /debug/frontends, and all that kube-proxy serves there. Port 0 takes a free one, the empty text serves nothing.")
	fs.BoolVar(&k.BindAddressHardFail, "bind-address-hard-fail", k.BindAddressHardFail, "End the program when it cannot serve on one of them.")
	fs.BoolVar(&k.EnableProfiling, "profiling", k.EnableProfiling, "Serve /debug/pprof and /debug/flags beside /metrics.")
	fs.Int32Var(&c.healthzPort, "healthz-port", c.healthzPort, "The port of the health check server; 0 serves nothing.")
	fs.Int32Var(&c.metricsPort, "metrics-port", c.metricsPort, "The port of the metrics server; 0 serves nothing.")
	for name, instead := range map[string]string{"healthz-port": "healthz-bind-address", "metrics-port": "metrics-bind-address"} {
		f := fs.Lookup(name)
		f.Hidden, f.Deprecated = true, "use --"+instead
	}
}

// addLogFlags adds kube-proxy's logging flags, and those with which kube-proxy wrote log
// files until Kubernetes 1.25: start scripts for Windows go on passing them.
func (c *CommandLine) addLogFlags(fs *pflag.FlagSet) {
	logsapi.AddFlags(&c.config.Logging, fs)
	l := &c.logFiles
	fs.StringVar(&l.Dir, "log-dir", l.Dir, "`DIRECTORY` for log files, with --logtostderr=false. It is made if it is not there.")
	fs.StringVar(&l.File, "log-file", l.File, "One log `FILE` instead of --log-dir, with --logtostderr=false.")
	fs.Uint64Var(&l.MaxSize, "log-file-max-size", l.MaxSize, "`MEGABYTES` at which a log file is put aside and another one begun, "+
		"with the last two kept; 0 is no limit.")
	fs.BoolVar(&l.ToStderr, "logtostderr", l.ToStderr, "Log to standard error instead of files.")
	fs.BoolVar(&l.AlsoToStderr, "alsologtostderr", l.AlsoToStderr, "Log to standard error as well as to files.")
	fs.StringVar(&l.Threshold, "stderrthreshold", l.Threshold, "With log files, what goes to standard error too: `INFO`, WARNING, ERROR or FATAL.")
}

func (c *CommandLine) addProgramFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.file, "config", c.file, "`FILE` with kube-proxy's configuration, which outranks all other flags but --hostname-override, --master, "+
		"--windows-service, those for logging, and those that begin with --hns-.")
	fs.StringVar(&c.writeTo, "write-config-to", c.writeTo, "Write the configuration that the other flags make to this `FILE` and exit.")
	fs.BoolVar(&c.config.WindowsRunAsService, "windows-service", c.config.WindowsRunAsService, "Run under the Windows service control manager. hnsproxy sees by itself when that "+
		"started it; the flag is for a program in between, such as kube-log-runner. See hnsproxy service --help.")
	fs.BoolVar(&c.cleanup, "cleanup", c.cleanup, "Remove from HNS what hnsproxy made, without a question, and end; \"hnsproxy cleanup\" shows it and asks.")
	fs.BoolVar(&c.initOnly, "init-only", c.initOnly, "Has no meaning on Windows, and ends the program with an error.")
	fs.StringVar(&c.config.ShowHiddenMetricsForVersion, "show-hidden-metrics-for-version", c.config.ShowHiddenMetricsForVersion,
		"`MAJOR.MINOR` whose hidden metrics to show. There are none.")
	fs.Var(&c.version, "version", "Print the version of Kubernetes that hnsproxy behaves like, and exit; --version=raw prints all that is known of it.")
	fs.Lookup("version").NoOptDefVal = "true"
	fs.BoolP("help", "h", false, "Print this help and exit.")
}
