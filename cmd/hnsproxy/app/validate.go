// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Problem is one thing that is wrong with the command line.
type Problem struct {
	// Flag without dashes, and the value that it was given.
	Flag, Value string
	// Why it cannot be used, and what to do.
	Why, Remedy string
}

// String prints the problem in one line.
func (p Problem) String() string {
	text := fmt.Sprintf("--%s=%s: %s", p.Flag, p.Value, p.Why)
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// InvalidError is a command line that cannot be used, with everything that is wrong.
type InvalidError struct{ Problems []Problem }

// Error lists the problems, one in a line.
func (e *InvalidError) Error() string {
	lines := []string{"the command line cannot be used:"}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// Validate tells all that is wrong with completed options at once, as an *InvalidError.
func (o *Options) Validate() error {
	v := &validation{o: o}
	v.hns()
	v.all()
	return v.done()
}

// validateWithDriver is Validate for a program that was given its driver.
func (o *Options) validateWithDriver() error {
	v := &validation{o: o}
	v.all()
	return v.done()
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
	_, gates := v.o.featureGate()
	v.problems = append(v.problems, gates...)
}

func (v *validation) done() error {
	if len(v.problems) == 0 {
		return nil
	}
	return &InvalidError{Problems: v.problems}
}

func (v *validation) add(flag string, value any, why, remedy string) {
	v.problems = append(v.problems, Problem{Flag: flag, Value: fmt.Sprint(value), Why: why, Remedy: remedy})
}

func (v *validation) sources() {
	o := v.o
	api := o.Kubeconfig != "" || o.Master != ""
	if len(o.Objects) > 0 && api {
		v.add("objects", strings.Join(o.Objects, ","), "objects come either from files or from an API server",
			"leave out --kubeconfig and --master, or --objects")
	}
	if n := len(o.Objects); n > 1 && slices.Contains(o.Objects, "-") {
		v.add("objects", "-", "standard input cannot be joined with files", "leave out the files, or put the input into one")
	}
	if slices.Contains(o.Objects, "") {
		v.add("objects", "", "is no file", "name a file or a directory")
	}
	if o.QPS <= 0 {
		v.add("kube-api-qps", o.QPS, "must be greater than 0", "kube-proxy's default is 5")
	}
	if o.Burst < 0 {
		v.add("kube-api-burst", o.Burst, "must not be negative", "kube-proxy's default is 10")
	}
}

// mode refuses the modes of other systems, and the userspace mode that kube-proxy had on
// Windows until 1.25.
func (v *validation) mode() {
	const remedy = "use --proxy-mode=kernelspace, or leave it out"
	switch mode := v.o.ProxyMode; mode {
	case "", kernelspace:
	case "userspace":
		v.add("proxy-mode", mode, "the userspace mode is gone since Kubernetes 1.26: kernelspace does what it did, UDP included", remedy)
	case "iptables", "ipvs", "nftables":
		v.add("proxy-mode", mode, "this is a mode of Linux, Windows has kernelspace only", remedy)
	default:
		v.add("proxy-mode", mode, "there is no such mode, Windows has kernelspace only", remedy)
	}
}

func (v *validation) node() {
	o := v.o
	if o.Hostname == "" {
		v.add("hostname-override", o.Hostname, "the node's name is empty", "give the name of this node's Node object")
	}
	if _, err := services.ParseAddr(o.BindAddress); err != nil {
		v.add("bind-address", o.BindAddress, err.Error(), "give the node's address, such as 10.0.0.4, or leave it out")
	}
	if o.Network == "" {
		v.add("network-name", "", "the name of the HNS network is not known",
			"give it, or set "+envNetwork+"; on the node, Get-HnsNetwork lists the networks")
	}
	switch source := desired.BridgeSource(o.BridgeSource); source {
	case "", desired.BridgeAuto, desired.BridgeNone, desired.BridgeGiven:
	default:
		v.add("hns-bridge-source-vip", source, "there is no such choice", "use auto, none or source-vip")
	}
	if o.SourceVIP != "" {
		ip, err := services.ParseAddr(o.SourceVIP)
		if err == nil && ip.IsUnspecified() {
			err = errors.New("is no IP address of an endpoint")
		}
		if err != nil {
			v.add("source-vip", o.SourceVIP, err.Error(),
				"give the address that the network plugin reserves on this node, or leave it out")
		}
	}
}

func (v *validation) nodePorts() {
	o := v.o
	if _, err := desired.ParseNodePortAddresses(o.NodePortAddresses); err != nil {
		v.add("nodeport-addresses", strings.Join(o.NodePortAddresses, ","), strings.ReplaceAll(err.Error(), "\n", "; "),
			"write ranges like 10.0.0.0/8,fd00::/16, or the one word primary")
	}
	if _, err := desired.ParseAddressRanges(o.DenyEndpoints); err != nil {
		v.add("hns-deny-endpoints", strings.Join(o.DenyEndpoints, ","), err.Error(), "write ranges like 168.63.129.16/32,192.0.2.0/24")
	}
	if o.UnenforcedSourceRanges != Program && o.UnenforcedSourceRanges != Skip {
		v.add("unenforced-source-ranges", o.UnenforcedSourceRanges, "is neither "+Program+" nor "+Skip, "the default is "+Program)
	}
	if o.ForwardHealthCheckVIP && o.RootEndpoint == "" {
		v.add("root-hnsendpoint-name", "", "is needed with --forward-healthcheck-vip",
			"give the name of the HNS endpoint of this node; Get-HnsEndpoint lists them")
	}
}

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
		if p.value <= 0 {
			v.add(p.flag, p.value, "must be greater than 0", "the default is "+p.usual)
		}
	}
	if o.CallsAtOnce < 0 {
		v.add("hns-calls-at-once", o.CallsAtOnce, "must not be negative", "0 is what fits the HNS")
	}
	if o.MinSyncPeriod < 0 {
		v.add("iptables-min-sync-period", o.MinSyncPeriod, "must not be negative", "the default is 1s")
	}
	if o.MinSyncPeriod > o.SyncPeriod && o.SyncPeriod > 0 {
		v.add("iptables-min-sync-period", o.MinSyncPeriod,
			fmt.Sprintf("must not be longer than --iptables-sync-period (%v)", o.SyncPeriod), "shorten it or lengthen the other")
	}
}

func (v *validation) share() {
	share := v.o.HNSShare
	if !(share >= leastShare && share <= 1) { // not a number is neither
		v.add("hns-share", share, fmt.Sprintf("must be a fraction from %v to 1", leastShare),
			"the default is 1; 0.5 leaves half of HNS's time to others")
	}
}

func (v *validation) servers() {
	v.address("healthz-bind-address", v.o.HealthzBindAddress)
	v.address("metrics-bind-address", v.o.MetricsBindAddress)
}

func (v *validation) address(flag, value string) {
	if value == "" {
		return
	}
	if _, err := netip.ParseAddrPort(value); err != nil {
		v.add(flag, value, "is no IP address and port", "write it like 0.0.0.0:10256 or [::]:10256")
	}
}

func (v *validation) hns() {
	o := v.o
	switch o.HNS {
	case HCN:
		if runtime.GOOS != "windows" {
			v.add("hns", o.HNS, "HNS is a part of Windows, and this is "+runtime.GOOS, "use --hns=emulator")
		}
		if o.Emulated.State != "" {
			v.add("emulator-state", o.Emulated.State, "is of use with the emulator only", "add --hns=emulator, or leave it out")
		}
	case Emulator:
		v.emulator()
	default:
		v.add("hns", o.HNS, "there is no such HNS", "use hcn or emulator")
	}
}

func (v *validation) emulator() {
	e := v.o.Emulated
	if _, err := emulator.ProfileByName(e.Profile); err != nil {
		v.add("emulator-profile", e.Profile, err.Error(), "choose one of them")
	}
	if !slices.ContainsFunc(networkTypes(), func(t string) bool { return strings.EqualFold(t, e.NetworkType) }) {
		v.add("emulator-network-type", e.NetworkType, "there is no such network type", "use one of "+strings.Join(networkTypes(), ", "))
	}
	if _, ok := latencyByName(e.Latency); !ok {
		v.add("emulator-latency", e.Latency, "there is no such latency", "use none or ws2022")
	}
}
