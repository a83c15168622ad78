// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"slices"

	"github.com/spf13/pflag"
)

// addLinuxFlags adds the flags of kube-proxy that mean nothing on Windows. kube-proxy.exe
// takes them all the same, and start scripts pass them.
func (c *CommandLine) addLinuxFlags(fs *pflag.FlagSet) {
	k := &c.config
	fs.StringVar(&k.ClusterCIDR, "cluster-cidr", k.ClusterCIDR, "`CIDR,...` of the pods in the cluster.")
	fs.Var(text{(*string)(&k.DetectLocalMode), "LocalMode"}, "detect-local-mode", "`MODE` of detecting local traffic.")
	fs.StringVar(&k.DetectLocal.BridgeInterface, "pod-bridge-interface", "", "`NAME` of the bridge of local pods.")
	fs.StringVar(&k.DetectLocal.InterfaceNamePrefix, "pod-interface-name-prefix", "", "`PREFIX` of the interfaces of local pods.")
	fs.BoolVar(&k.IPTables.MasqueradeAll, "masquerade-all", false, "Masquerade all traffic to cluster IPs.")
	fs.Int32Var(k.IPTables.MasqueradeBit, "iptables-masquerade-bit", *k.IPTables.MasqueradeBit, "`BIT` that marks packets to masquerade.")
	fs.BoolVar(k.IPTables.LocalhostNodePorts, "iptables-localhost-nodeports", *k.IPTables.LocalhostNodePorts, "Serve node ports on localhost.")
	fs.Int32Var(k.OOMScoreAdj, "oom-score-adj", *k.OOMScoreAdj, "`SCORE` of the process for the OOM killer.")

	fs.DurationVar(&k.IPVS.SyncPeriod.Duration, "ipvs-sync-period", k.IPVS.SyncPeriod.Duration, "How often IPVS rules are refreshed.")
	// kube-proxy shows the default of its iptables mode here.
	fs.DurationVar(&k.IPVS.MinSyncPeriod.Duration, "ipvs-min-sync-period", k.IPTables.MinSyncPeriod.Duration, "Minimum interval between IPVS refreshes.")
	fs.StringVar(&k.IPVS.Scheduler, "ipvs-scheduler", "", "`NAME` of the IPVS scheduler.")
	fs.StringSliceVar(&k.IPVS.ExcludeCIDRs, "ipvs-exclude-cidrs", nil, "`CIDR,...` to exclude when cleaning up IPVS.")
	fs.BoolVar(&k.IPVS.StrictARP, "ipvs-strict-arp", false, "Enable strict ARP.")
	fs.DurationVar(&k.IPVS.TCPTimeout.Duration, "ipvs-tcp-timeout", 0, "Timeout of TCP connections in IPVS.")
	fs.DurationVar(&k.IPVS.TCPFinTimeout.Duration, "ipvs-tcpfin-timeout", 0, "Timeout of TCP connections in IPVS after a FIN.")
	fs.DurationVar(&k.IPVS.UDPTimeout.Duration, "ipvs-udp-timeout", 0, "Timeout of UDP in IPVS.")

	t := &k.Conntrack
	fs.Int32Var(t.MaxPerCore, "conntrack-max-per-core", *t.MaxPerCore, "Maximum number of tracked connections per core.")
	fs.Int32Var(t.Min, "conntrack-min", *t.Min, "Minimum number of connections to track.")
	fs.DurationVar(&t.TCPEstablishedTimeout.Duration, "conntrack-tcp-timeout-established", t.TCPEstablishedTimeout.Duration, "Timeout of tracked TCP connections.")
	fs.DurationVar(&t.TCPCloseWaitTimeout.Duration, "conntrack-tcp-timeout-close-wait", t.TCPCloseWaitTimeout.Duration, "Timeout of half-closed TCP connections.")
	fs.BoolVar(&t.TCPBeLiberal, "conntrack-tcp-be-liberal", false, "Do not mark out-of-window TCP packets as invalid.")
	fs.DurationVar(&t.UDPTimeout.Duration, "conntrack-udp-timeout", 0, "Timeout of UDP without replies.")
	fs.DurationVar(&t.UDPStreamTimeout.Duration, "conntrack-udp-timeout-stream", 0, "Timeout of UDP with replies.")
}

// switches are flags without a value that kube-proxy had once: what it ended with "unknown
// flag" years later still stands in start scripts.
func switches() []string {
	return []string{
		"add-dir-header", "cleanup-iptables", "cleanup-ipvs", "log-cadvisor-usage", "one-output", "skip-headers", "skip-log-headers",
	}
}

// settings are such flags with a value, and flags of kube-proxy's Linux build.
func settings() []string {
	return []string{
		"application-metrics-count-limit", "azure-container-registry-config", "boot-id-file", "conntrack-max", "google-json-key",
		"log-backtrace-at", "machine-id-file", "proxy-port-range", "resource-container", "udp-timeout",
	}
}

// addRetiredFlags adds flags that no longer exist, hidden.
func addRetiredFlags(fs *pflag.FlagSet) {
	for _, name := range switches() {
		fs.String(name, "", "Has no effect.")
		fs.Lookup(name).NoOptDefVal = "true"
	}
	for _, name := range settings() {
		fs.String(name, "", "Has no effect.")
	}
	fs.VisitAll(func(f *pflag.Flag) { f.Hidden = true })
}

// changedIn lists the flags of a set that the command line names, sorted.
func changedIn(fs *pflag.FlagSet) []string {
	var names []string
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			names = append(names, "--"+f.Name)
		}
	})
	slices.Sort(names)
	return names
}
