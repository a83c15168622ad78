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
	fs.StringVar(&client.Kubeconfig, "kubeconfig", client.Kubeconfig, "Path to the kubeconfig `FILE` for connecting to the API server. Defaults to "+
		"the environment variable KUBECONFIG. If neither is set, the pod's service account provides the credentials, and --master the address of the API server.")
	fs.StringVar(&c.master, "master", c.master, "`URL` of the API server; overrides the value in --kubeconfig.")
	fs.StringVar(&client.ContentType, "kube-api-content-type", client.ContentType, "Content type of requests to the API server.")
	fs.Float32Var(&client.QPS, "kube-api-qps", client.QPS, "Maximum requests per second to the API server; a negative number disables the limit.")
	fs.Int32Var(&client.Burst, "kube-api-burst", client.Burst, "Burst of requests to the API server.")
	fs.DurationVar(&c.config.ConfigSyncPeriod.Duration, "config-sync-period", c.config.ConfigSyncPeriod.Duration,
		"How often all objects from the API server are processed again. Minimum 1s.")
}

// AddNodeFlags adds the flags of kube-proxy that say what this node is and how Services are
// to work on it.
func (c *CommandLine) AddNodeFlags(fs *pflag.FlagSet) {
	k := &c.config
	fs.StringVar(&c.hostname, "hostname-override", c.hostname, "`NAME` of the Node object of this node. Defaults to the host name.")
	fs.Var(text{&k.BindAddress, "ip"}, "bind-address", "The primary `IP` of the node; overrides the address in the Node object unless "+
		"unspecified. The flag name is kube-proxy's; nothing is bound to the address.")
	fs.StringVar(&k.Winkernel.NetworkName, "network-name", k.Winkernel.NetworkName, "`NAME` of the HNS network of the pods on this node. Defaults to "+
		"the environment variable KUBE_NETWORK; if neither is set, the only L2Bridge, L2Tunnel or Overlay network is used.")
	fs.StringVar(&k.Winkernel.SourceVip, "source-vip", k.Winkernel.SourceVip, "Source `IP` of load-balanced traffic. Required on an overlay network: "+
		"an address in this node's pod subnet that the network plugin reserves. Defaults to the address of the endpoint that the plugin created for it.")
	fs.BoolVar(&k.Winkernel.EnableDSR, "enable-dsr", k.Winkernel.EnableDSR, "Use direct server return for cluster IPs.")
	fs.StringSliceVar(&k.NodePortAddresses, "nodeport-addresses", k.NodePortAddresses, "`CIDR,...` of the node addresses that serve node ports "+
		"and health-check node ports. May include the keywords primary (the addresses of the Node object), localhost and all. Defaults to all.")
	fs.BoolVar(&k.Winkernel.ForwardHealthCheckVip, "forward-healthcheck-vip", k.Winkernel.ForwardHealthCheckVip, "Forward health checks that a load balancer "+
		"sends to its own address, instead of the node's, to the health-check node port.")
	fs.StringVar(&k.Winkernel.RootHnsEndpointName, "root-hnsendpoint-name", k.Winkernel.RootHnsEndpointName, "`NAME` of the HNS endpoint of the node itself, "+
		"to which --forward-healthcheck-vip forwards.")
	fs.Var(cliflag.NewMapStringBool(&k.FeatureGates), "feature-gates", "`NAME=BOOL,...` sets feature gates. Unknown gates are "+
		"ignored with a warning. Supported gates:\n"+gateHelp())
}

func (c *CommandLine) addSyncFlags(fs *pflag.FlagSet) {
	k := &c.config
	fs.Var(text{(*string)(&k.Mode), "ProxyMode"}, "proxy-mode", "The proxy `MODE`. Windows supports kernelspace only, the default.")
	fs.DurationVar(&k.IPTables.SyncPeriod.Duration, "iptables-sync-period", k.IPTables.SyncPeriod.Duration,
		"How often HNS is compared with the desired state and repaired. Minimum 1s. (The flag name is kube-proxy's.)")
	fs.DurationVar(&k.IPTables.MinSyncPeriod.Duration, "iptables-min-sync-period", k.IPTables.MinSyncPeriod.Duration,
		"How long a busy proxy may batch changes before programming them; more than "+maxGather.String()+
			" counts as "+maxGather.String()+". An idle proxy never waits. 0 disables batching. (The flag name is kube-proxy's.)")
}

func (c *CommandLine) addServerFlags(fs *pflag.FlagSet) {
	k := &c.config
	fs.Var(text{&k.HealthzBindAddress, "ipport"}, "healthz-bind-address",
		"`IP[:PORT]` that serves /healthz and /livez. Port 0 selects a free port; an empty value disables the server.")
	fs.Var(text{&k.MetricsBindAddress, "ipport"}, "metrics-bind-address",
		"`IP[:PORT]` that serves /metrics, /debug/frontends, and everything that kube-proxy serves there. Port 0 selects a free port; an empty value disables the server.")
	fs.BoolVar(&k.BindAddressHardFail, "bind-address-hard-fail", k.BindAddressHardFail, "Exit if a server cannot bind to its address.")
	fs.BoolVar(&k.EnableProfiling, "profiling", k.EnableProfiling, "Serve /debug/pprof and /debug/flags on the metrics port.")
	fs.Int32Var(&c.healthzPort, "healthz-port", c.healthzPort, "Port of the health check server; 0 disables it.")
	fs.Int32Var(&c.metricsPort, "metrics-port", c.metricsPort, "Port of the metrics server; 0 disables it.")
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
	fs.StringVar(&l.Dir, "log-dir", l.Dir, "`DIRECTORY` for log files, with --logtostderr=false. Created if missing.")
	fs.StringVar(&l.File, "log-file", l.File, "Log `FILE` to use instead of --log-dir, with --logtostderr=false.")
	fs.Uint64Var(&l.MaxSize, "log-file-max-size", l.MaxSize, "Size in `MEGABYTES` at which a log file is rotated, "+
		"keeping the last two; 0 disables the limit.")
	fs.BoolVar(&l.ToStderr, "logtostderr", l.ToStderr, "Log to standard error instead of files.")
	fs.BoolVar(&l.AlsoToStderr, "alsologtostderr", l.AlsoToStderr, "Log to standard error as well as to files.")
	fs.StringVar(&l.Threshold, "stderrthreshold", l.Threshold, "With log files, the minimum severity that is also logged to standard error: `INFO`, WARNING, ERROR or FATAL.")
}

func (c *CommandLine) addProgramFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.file, "config", c.file, "`FILE` with a kube-proxy configuration. It overrides all other flags except --hostname-override, --master, "+
		"--windows-service, logging flags, and flags that start with --hns-.")
	fs.StringVar(&c.writeTo, "write-config-to", c.writeTo, "Write the configuration that results from the other flags to `FILE` and exit.")
	fs.BoolVar(&c.config.WindowsRunAsService, "windows-service", c.config.WindowsRunAsService, "Run under the Windows service control manager. hnsproxy detects when it was "+
		"started by it; the flag is needed with a launcher in between, such as kube-log-runner. See hnsproxy service --help.")
	fs.BoolVar(&c.cleanup, "cleanup", c.cleanup, "Remove the HNS objects of hnsproxy without asking, and exit; \"hnsproxy cleanup\" shows them and asks.")
	fs.BoolVar(&c.initOnly, "init-only", c.initOnly, "Not supported on Windows; exits with an error.")
	fs.StringVar(&c.config.ShowHiddenMetricsForVersion, "show-hidden-metrics-for-version", c.config.ShowHiddenMetricsForVersion,
		"`MAJOR.MINOR` for which to show hidden metrics. There are none.")
	fs.Var(&c.version, "version", "Print the Kubernetes version that hnsproxy is compatible with and exit; --version=raw prints all details.")
	fs.Lookup("version").NoOptDefVal = "true"
	fs.BoolP("help", "h", false, "Print this help and exit.")
}
