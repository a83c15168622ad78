// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"net"
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
)

// Ports that kube-proxy serves on, for addresses given without one.
const (
	healthzPort = "10256"
	metricsPort = "10249"
)

// Proxy modes that kube-proxy has on other systems.
const (
	modeIPTables = "iptables"
	modeIPVS     = "ipvs"
	modeNFTables = "nftables"
)

// kernelspace is the one proxy mode of Windows.
const kernelspace = "kernelspace"

// SetDefaults fills in what a configuration file leaves out, with kube-proxy's values.
func SetDefaults(c *kubeproxy.KubeProxyConfiguration) {
	orText(&c.BindAddress, "0.0.0.0")
	setDefaultAddresses(c)
	orText(&c.ClientConnection.ContentType, runtime.ContentTypeProtobuf)
	if c.ClientConnection.QPS == 0 {
		c.ClientConnection.QPS = 5
	}
	if c.ClientConnection.Burst == 0 {
		c.ClientConnection.Burst = 10
	}
	orDuration(&c.ConfigSyncPeriod, 15*time.Minute)
	orDuration(&c.IPTables.SyncPeriod, 30*time.Second)
	orDuration(&c.IPTables.MinSyncPeriod, time.Second)
	orDuration(&c.IPVS.SyncPeriod, 30*time.Second)
	orDuration(&c.NFTables.SyncPeriod, 30*time.Second)
	orDuration(&c.NFTables.MinSyncPeriod, time.Second)
	orValue(&c.IPTables.LocalhostNodePorts, true)
	orValue(&c.IPTables.MasqueradeBit, 14)
	orValue(&c.NFTables.MasqueradeBit, 14)
	orValue(&c.OOMScoreAdj, -999)
	orValue(&c.Conntrack.MaxPerCore, 32*1024)
	orValue(&c.Conntrack.Min, 128*1024)
	orValue(&c.Conntrack.TCPEstablishedTimeout, metav1.Duration{Duration: 24 * time.Hour})
	orValue(&c.Conntrack.TCPCloseWaitTimeout, metav1.Duration{Duration: time.Hour})
	if c.FeatureGates == nil {
		c.FeatureGates = map[string]bool{}
	}
	logsapi.SetRecommendedLoggingConfiguration(&c.Logging)
}

// setDefaultAddresses sets where to serve: on addresses of the family of the node's own.
func setDefaultAddresses(c *kubeproxy.KubeProxyConfiguration) {
	all, own := "[::]:", "[::1]:"
	if ip, err := netip.ParseAddr(c.BindAddress); err == nil && ip.Unmap().Is4() {
		all, own = "0.0.0.0:", "127.0.0.1:"
	}
	orText(&c.HealthzBindAddress, all+healthzPort)
	orText(&c.MetricsBindAddress, own+metricsPort)
	c.HealthzBindAddress = withPort(c.HealthzBindAddress, healthzPort)
	c.MetricsBindAddress = withPort(c.MetricsBindAddress, metricsPort)
}

// setWindowsDefaults are the defaults that kube-proxy has on Windows only.
func setWindowsDefaults(c *kubeproxy.KubeProxyConfiguration) {
	if c.Mode == "" {
		c.Mode = kernelspace
	}
	orText(&c.Winkernel.RootHnsEndpointName, "cbr0")
}

// Normalize leaves in a configuration what kube-proxy would keep of it: the values of the
// mode that is chosen, and none of fields without meaning.
func Normalize(c *kubeproxy.KubeProxyConfiguration) {
	none := metav1.Duration{}
	if c.Mode != modeIPVS {
		c.IPVS.SyncPeriod, c.IPVS.MinSyncPeriod = none, none
	}
	if c.Mode == modeNFTables {
		c.IPTables.MasqueradeAll = false
	} else {
		c.NFTables.MasqueradeAll, c.NFTables.SyncPeriod, c.NFTables.MinSyncPeriod = false, none, none
	}
	if c.Mode == modeIPVS || c.Mode == modeNFTables {
		c.IPTables.SyncPeriod, c.IPTables.MinSyncPeriod = none, none
	}
	c.PortRange = ""
}

// syncPeriods are the periods that count in the mode of a configuration.
func syncPeriods(c *kubeproxy.KubeProxyConfiguration) (period, shortest time.Duration) {
	switch c.Mode {
	case modeIPVS:
		return c.IPVS.SyncPeriod.Duration, c.IPVS.MinSyncPeriod.Duration
	case modeNFTables:
		return c.NFTables.SyncPeriod.Duration, c.NFTables.MinSyncPeriod.Duration
	}
	return c.IPTables.SyncPeriod.Duration, c.IPTables.MinSyncPeriod.Duration
}

func orText(value *string, or string) {
	if *value == "" {
		*value = or
	}
}

func orDuration(value *metav1.Duration, or time.Duration) {
	if value.Duration == 0 {
		value.Duration = or
	}
}

func orValue[T any](value **T, or T) {
	if *value == nil {
		*value = new(or)
	}
}

// withPort adds the port to an address that has none.
func withPort(addr, port string) string {
	if _, err := netip.ParseAddr(addr); err == nil {
		return net.JoinHostPort(addr, port)
	}
	return addr
}
