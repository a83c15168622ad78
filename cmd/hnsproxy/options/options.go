// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/runtime"
)

// Values of Options.HNS.
const (
	// HCN is the HNS of the Windows machine that the program runs on.
	HCN = "hcn"
	// Emulator is an HNS in memory.
	Emulator = "emulator"
)

// Values of Options.UnenforcedSourceRanges.
const (
	Program = "program"
	Skip    = "skip"
)

// Environment variables that stand in for flags.
const (
	envNetwork    = "KUBE_NETWORK"
	envKubeconfig = "KUBECONFIG"
)

// Options are what the command line and the configuration file say. Names of kube-proxy mean
// what they mean there. New has the defaults; Complete must be called before Validate and Run.
type Options struct {
	// ConfigFile is the file that the options come from, empty for the command line.
	ConfigFile string
	// ReloadConfig takes over changes of ConfigFile, rather than ending the program.
	ReloadConfig bool
	// RunAsService runs the program under the Windows service control manager.
	RunAsService bool

	// Kubeconfig and Master say where the API server is; with neither, the service
	// account of the pod does. KubeconfigList are files in the place of Kubeconfig, joined
	// as in a path.
	Kubeconfig, KubeconfigList, Master string
	// ContentType, AcceptContentTypes, QPS and Burst are those of the client of the API
	// server.
	ContentType, AcceptContentTypes string
	QPS                             float32
	Burst                           int32
	// Objects are files and directories to take objects from instead of an API server;
	// "-" is standard input.
	Objects []string

	// Hostname is the name of this node's Node object, empty for the host's own name.
	Hostname string
	// BindAddress is the node's address, despite its name: the unspecified address
	// leaves it to the Node object.
	BindAddress string
	// Network is the name of the HNS network that carries the node's pods, empty for the
	// only one that can.
	Network string
	// SourceVIP is empty for that of the endpoint which the network plugin made.
	SourceVIP string
	// BridgeSource says which source VIP is used on a network that is no overlay, see
	// desired.BridgeSource.
	BridgeSource string
	EnableDSR    bool
	// NodePortAddresses are CIDRs and the words primary, localhost and all; none means all
	// addresses.
	NodePortAddresses []string
	// UnenforcedSourceRanges says what becomes of ingress IPs with loadBalancerSourceRanges,
	// which Windows cannot enforce: Program or Skip.
	UnenforcedSourceRanges string
	// DenyEndpoints are CIDRs whose addresses are left out as endpoints and external IPs.
	DenyEndpoints []string
	// ForwardHealthCheckVIP forwards health checks of load balancer addresses to the HNS
	// endpoint of the node that is named RootEndpoint.
	ForwardHealthCheckVIP bool
	RootEndpoint          string
	ProxyMode             string
	// FeatureGates as given; see Gates for those that exist.
	FeatureGates map[string]bool

	// ConfigSyncPeriod is how often informers send everything again.
	ConfigSyncPeriod time.Duration
	// SyncPeriod is how often HNS is listed and compared with what it should hold.
	SyncPeriod time.Duration
	// MinSyncPeriod bounds how long a busy proxy gathers changes, see Gather.
	MinSyncPeriod time.Duration

	// HealthzBindAddress and MetricsBindAddress are "ip" or "ip:port"; empty serves
	// nothing, port 0 takes a free one.
	HealthzBindAddress, MetricsBindAddress string
	// BindAddressHardFail ends the program when it cannot serve.
	BindAddressHardFail bool
	// Profiling serves /debug/pprof and /debug/flags beside /metrics.
	Profiling bool
	// MetricsCert and MetricsKey are files with the certificate that MetricsBindAddress is
	// served with; empty for HTTP without TLS.
	MetricsCert, MetricsKey string
	// MetricsAuthorization lets the API server decide who may read the pages there.
	MetricsAuthorization bool

	// HNS is HCN or Emulator.
	HNS string
	// HNSCallTimeout is how long one call of HNS may take; four times that before HNS 11.
	HNSCallTimeout time.Duration
	// HNSShare is the part of HNS's time that writes may take, from leastShare to 1.
	HNSShare float64
	// CallsAtOnce is how many calls of HNS may be in progress, 0 for what fits the HNS.
	CallsAtOnce int
	// UDPInPlace and LocalShortCut: see desired.Options.
	UDPInPlace, LocalShortCut bool
	// StateDir keeps what the probe found out; empty for none, which with HCN means the usual
	// place of Windows.
	StateDir string
	// Emulated is used with HNS == Emulator.
	Emulated EmulatorOptions

	// Table prints the table of frontends and follows it.
	Table bool
}

// EmulatorOptions describe the emulated HNS.
type EmulatorOptions struct {
	// Profile is the Windows release, see profiles.All.
	Profile string
	// NetworkType is the type of the network that is made when there is no state.
	NetworkType string
	// State is the file that HNS is kept in over restarts, empty for none.
	State string
	// Latency is "profile", "none" or "ws2022".
	Latency string
}

// New returns the defaults, which are kube-proxy's where kube-proxy has the flag.
func New() *Options {
	return &Options{
		ContentType:  runtime.ContentTypeProtobuf,
		QPS:          5,
		Burst:        10,
		BindAddress:  "0.0.0.0",
		FeatureGates: map[string]bool{},
		RootEndpoint: "cbr0",

		UnenforcedSourceRanges: Program,
		BridgeSource:           string(desired.BridgeAuto),
		ConfigSyncPeriod:       15 * time.Minute,
		SyncPeriod:             30 * time.Second,
		MinSyncPeriod:          time.Second,
		HealthzBindAddress:     "0.0.0.0:" + healthzPort,
		MetricsBindAddress:     "127.0.0.1:" + metricsPort,
		HNS:                    HCN,
		HNSCallTimeout:         30 * time.Second,
		HNSShare:               1,
		LocalShortCut:          true,
		Emulated: EmulatorOptions{
			Profile:     "ws2022",
			NetworkType: "L2Bridge",
			Latency:     ProfileLatency,
		},
	}
}

// Host is what Complete asks of the machine.
type Host struct {
	Getenv   func(string) string
	Hostname func() (string, error)
}

// usualStateDir is where programs of the whole machine keep their data on Windows; empty
// elsewhere.
func usualStateDir(h Host) string {
	if dir := h.Getenv("ProgramData"); dir != "" {
		return filepath.Join(dir, "hnsproxy")
	}
	return ""
}

// Complete fills in what follows from other options and from the machine.
func (o *Options) Complete(h Host) error {
	if o.Network == "" {
		o.Network = h.Getenv(envNetwork)
	}
	if o.Network == "" && o.HNS == Emulator {
		o.Network = DefaultNetworkName(o.Emulated.NetworkType)
	}
	if o.StateDir == "" && o.HNS == HCN {
		o.StateDir = usualStateDir(h)
	}
	if o.Kubeconfig == "" && len(o.Objects) == 0 {
		o.KubeconfigList = h.Getenv(envKubeconfig)
	}
	if o.BindAddress == "" {
		o.BindAddress = "0.0.0.0"
	}
	o.HealthzBindAddress = withPort(o.HealthzBindAddress, healthzPort)
	o.MetricsBindAddress = withPort(o.MetricsBindAddress, metricsPort)
	name := o.Hostname
	if name == "" {
		var err error
		if name, err = h.Hostname(); err != nil {
			return fmt.Errorf("get the host name (set --hostname-override to choose one): %w", err)
		}
	}
	// The kubelet names its Node the same way.
	o.Hostname = strings.ToLower(strings.TrimSpace(name))
	o.FeatureGates = maps.Clone(o.FeatureGates)
	return nil
}

// leastShare is the least part of HNS's time with which hnsproxy gets its work done: 1,000
// Services with ten endpoints each take half an hour.
const leastShare = 0.05

// maxGather is the longest time that a change waits for others.
const maxGather = 50 * time.Millisecond

// Gather is how long changes are collected between two rounds. kube-proxy waits a second
// because each of its rounds costs a full pass over everything; a round here costs what
// changed, so that little is won by waiting and an idle proxy does not wait at all.
func (o *Options) Gather() time.Duration { return min(o.MinSyncPeriod, maxGather) }

// Node is this node as the options know it.
func (o *Options) Node() services.Node {
	n := services.Node{Name: o.Hostname}
	if ip, err := netip.ParseAddr(o.BindAddress); err == nil && !ip.IsUnspecified() {
		n.IPs = []netip.Addr{ip.Unmap()}
	}
	return n
}

// Desired is what frontends depend on of the options. Validate has complained about what
// does not parse.
func (o *Options) Desired() desired.Options {
	addresses, _ := desired.ParseNodePortAddresses(o.NodePortAddresses)
	denied, _ := desired.ParseAddressRanges(o.DenyEndpoints)
	out := desired.Options{DSR: o.EnableDSR, SourceVIP: o.VIP(), BridgeSource: desired.BridgeSource(o.BridgeSource), NodePortAddresses: addresses,
		DenyEndpoints: denied, UDPInPlace: o.UDPInPlace, NoShortCut: !o.LocalShortCut, SkipSourceRanges: o.UnenforcedSourceRanges == Skip}
	if o.ForwardHealthCheckVIP {
		out.RootEndpoint = o.RootEndpoint
		if address, err := netip.ParseAddrPort(o.HealthzBindAddress); err == nil {
			out.HealthzPort = address.Port()
		}
	}
	return out
}

// VIP is the parsed --source-vip, the zero Addr when there is none.
func (o *Options) VIP() netip.Addr {
	ip, err := netip.ParseAddr(o.SourceVIP)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}
