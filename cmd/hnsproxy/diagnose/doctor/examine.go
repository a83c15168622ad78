// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/cleanup"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	// mostSkew is how far clocks may be apart.
	mostSkew = 30 * time.Second
	// portBlock is how many dynamic ports a load balancer without DSR takes.
	portBlock = 64
	// namesShown is how many objects a finding names.
	namesShown = 3
)

// Examine returns what is wrong, errors first.
func Examine(f *Facts) []Finding {
	e := &examiner{Facts: f}
	e.service()
	if f.HNSError == nil {
		e.version()
		e.network()
		e.objects()
	}
	e.others()
	e.ports()
	e.api()
	e.proxy()
	order := []Severity{Error, Warning, Note}
	slices.SortStableFunc(e.found, func(a, b Finding) int { return slices.Index(order, a.Severity) - slices.Index(order, b.Severity) })
	return e.found
}

type examiner struct {
	*Facts
	net   hnslb.Network
	found []Finding
}

func (e *examiner) add(s Severity, name, remedy, text string, args ...any) {
	e.found = append(e.found, Finding{name, s, fmt.Sprintf(text, args...), remedy})
}

// service looks at HNS as a whole.
func (e *examiner) service() {
	switch {
	case e.HNSError == nil:
	case strings.Contains(e.HNSError.Error(), "0x80070005"):
		e.add(Error, "rights", "run it as an administrator, or in a HostProcess container as NT AUTHORITY\\SYSTEM", "HNS refuses this user: %v", e.HNSError)
	default:
		e.add(Error, "hns", "look at the Windows service: Get-Service hns; Restart-Service hns starts it anew, and hnsproxy repairs what that loses",
			"HNS does not answer: %v", e.HNSError)
	}
}

// version looks at the release of HNS and the build of Windows.
func (e *examiner) version() {
	v := e.HNS.Version
	if v == (hnslb.Version{}) {
		return // a file that does not say
	}
	if !v.AtLeast(hnslb.Version{Major: 9, Minor: 2}) {
		e.add(Error, "hns-version", "install the updates of Windows Server 2019 from August 2020 or later", "HNS %s is too old, 9.2 is the first that works", v)
	}
	if v == (hnslb.Version{Major: 15, Minor: 4}) {
		e.add(Warning, "hns-modify", "install the updates of Windows Server 2025; until then hnsproxy deletes and creates load balancers, with a gap",
			"HNS 15.4 says that it changes load balancers and does not")
	}
	// Which later update mends it is not known, so this is no fault of every node.
	if build, update, ok := cutBuild(e.HNS.Build); ok && build == 20348 && update > 2031 {
		e.add(Note, "build", "if Services or DNS fail, compare with a node of an earlier or the latest build: github.com/rancher/rke2/issues/7381",
			"after build 20348.2031 of Windows, and %s is later, Services and DNS were seen to fail on a cluster", e.HNS.Build)
	}
	if e.EnableDSR && !hnslb.FeaturesOf(v).DSR {
		e.add(Error, "dsr-version", "take --enable-dsr away, or update Windows", "--enable-dsr is set, and HNS %s has no DSR", v)
	}
}

// cutBuild reads 10.0.20348.2700.
func cutBuild(s string) (build, update int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return 0, 0, false
	}
	build, err := strconv.Atoi(parts[2])
	update, err2 := strconv.Atoi(parts[3])
	return build, update, err == nil && err2 == nil
}

// network looks at the network of the pods.
func (e *examiner) network() {
	var err error
	if e.net, err = e.HNS.Network(e.Network); err != nil {
		e.add(Error, "network", "check that the network plugin runs on this node and that --network-name is the name which it gives", "%v", err)
		return
	}
	if !e.net.ManagementIP.IsValid() || e.net.ManagementIP.IsLinkLocalUnicast() {
		e.add(Error, "management-ip", "check the addresses of the host's network adapters; restart the network plugin, or HNS, when they are right",
			"network %s has no usable management IP, so node ports do not work", e.net.Name)
		return
	}
	if e.net.HostMAC == "" {
		e.add(Error, "host-mac", "check that an adapter of the host has that address", "no adapter of the host has the management IP %s", e.net.ManagementIP)
	}
	if len(e.NodeIPs) > 0 && !slices.Contains(e.NodeIPs, e.net.ManagementIP) {
		e.add(Warning, "several-nics", "give the kubelet --node-ip, and the network plugin the adapter with that address",
			"the management IP %s is none of the Node object's addresses %v: the host has several adapters, and node ports answer on another one", e.net.ManagementIP, e.NodeIPs)
	}
	if e.net.IsOverlay() {
		e.sourceVIP()
	}
}

func (e *examiner) sourceVIP() {
	vip, err := e.SourceVIP, error(nil)
	if !vip.IsValid() {
		vip, err = place.SourceVIP(e.net, e.HNS.Endpoints)
	}
	switch {
	case err != nil:
		e.add(Error, "source-vip", "give one by --source-vip", "%v", err)
	case !vip.IsValid():
		e.add(Error, "source-vip", "let the network plugin make an endpoint for it, or give --source-vip an address that it keeps free",
			"network %s is an overlay and has no source VIP", e.net.Name)
	}
}

// objects looks at what HNS holds.
func (e *examiner) objects() {
	there := map[hnslb.ID]hnslb.Endpoint{}
	for _, ep := range e.HNS.Endpoints {
		there[ep.ID] = ep
	}
	var half, dangling, degraded, twins []string
	holders := map[hnslb.FrontendKey]int{}
	withoutDSR := 0
	for _, lb := range e.HNS.LoadBalancers {
		if key, ok := lb.Key(); ok {
			if holders[key]++; holders[key] == 2 {
				twins = append(twins, key.String())
			}
		}
		if lb.Flags&hnslb.DSR == 0 {
			withoutDSR++
		}
		switch {
		case len(lb.Mappings) == 0:
			half = append(half, string(lb.ID))
		case slices.ContainsFunc(lb.Endpoints, func(id hnslb.ID) bool { _, ok := there[id]; return !ok }):
			dangling = append(dangling, lb.ObjectName())
		case lb.Degraded:
			degraded = append(degraded, lb.ObjectName())
		}
	}
	const repair = "hnsproxy repairs its own within a minute; if it stays, it is another program's: Get-HnsPolicyList shows it"
	e.named(Finding{"half-made", Warning, "%s without ports, which a failed creation left: %s", repair}, "load balancer", half)
	e.named(Finding{"dangling", Error, "%s on endpoints that are gone, so that part of the traffic is lost: %s", repair}, "load balancer", dangling)
	e.named(Finding{"degraded", Error, "%s that HNS calls degraded: %s", "delete it, and hnsproxy makes it anew; if many are, Restart-Service hns"}, "load balancer", degraded)
	e.named(Finding{"twins", Error, "%s held by several load balancers: %s", repair}, "frontend", twins)
	e.endpoints()
	e.blocks(withoutDSR)
}

// named adds a finding about objects, if there are any. Its text has places for how many there
// are, and for their names.
func (e *examiner) named(f Finding, what string, names []string) {
	if len(names) == 0 {
		return
	}
	count := fmt.Sprintf("%d %s", len(names), what)
	if len(names) > 1 {
		count += "s"
	}
	list := strings.Join(names[:min(namesShown, len(names))], ", ")
	if len(names) > namesShown {
		list += " ..."
	}
	e.add(f.Severity, f.Name, f.Remedy, f.Text, count, list)
}

// endpoints looks for addresses with a local and a remote endpoint, and for remote endpoints
// of ours that nothing names.
func (e *examiner) endpoints() {
	kinds := map[string]int{}
	var both []string
	for _, ep := range e.HNS.Endpoints {
		for _, ip := range ep.IPs {
			key, bit := string(ep.Network)+" "+ip.String(), 1
			if ep.Remote {
				bit = 2
			}
			if was := kinds[key]; was|bit == 3 && was != 3 {
				both = append(both, ip.String())
			}
			kinds[key] |= bit
		}
	}
	e.named(Finding{"duplicate-address", Error, "%s with a local and a remote endpoint, whose traffic is lost: %s", "delete the remote one: Remove-HnsEndpoint; hnsproxy does so for its own"}, "address", both)
	named := map[hnslb.ID]bool{}
	for _, lb := range e.HNS.LoadBalancers {
		for _, id := range lb.Endpoints {
			named[id] = true
		}
	}
	all := cleanup.Holdings{Endpoints: e.HNS.Endpoints, LoadBalancers: e.HNS.LoadBalancers}
	ours, _ := cleanup.Choose(all, all, cleanup.Scope{Network: e.net, SourceVIP: e.SourceVIP})
	var leaked []string
	for _, ep := range ours.Endpoints {
		if !named[ep.ID] && !e.isVIP(ep) {
			leaked = append(leaked, ep.IPs[0].String())
		}
	}
	e.named(Finding{"leaked-endpoints", Warning, "%s that no load balancer names: %s", "they are removed while hnsproxy runs; without it, hnsproxy cleanup does"}, "remote endpoint", leaked)
}

// isVIP tells the endpoint of a cluster IP on an overlay, which nothing has to name.
func (e *examiner) isVIP(ep hnslb.Endpoint) bool {
	return e.net.IsOverlay() && strings.EqualFold(ep.MAC, e.net.HostMAC)
}

// blocks compares load balancers without DSR with the dynamic ports that they take.
func (e *examiner) blocks(withoutDSR int) {
	for _, protocol := range []hnslb.Protocol{hnslb.TCP, hnslb.UDP} {
		total := 0
		for _, p := range e.Dynamic[protocol] {
			total += p.size()
		}
		if total > 0 && withoutDSR*portBlock*4 > total*3 {
			e.add(Warning, "port-exhaustion", "use --enable-dsr, or widen the range: netsh int ipv4 set dynamicport "+strings.ToLower(protocol.String())+" start=33000 num=32536",
				"%d load balancers without DSR take %d ports each, of %d dynamic ports of %s; without any no program can open a connection", withoutDSR, portBlock, total, protocol)
			return
		}
	}
}

// others looks for programs and settings that get in the way.
func (e *examiner) others() {
	for _, name := range e.Processes {
		switch short := strings.TrimSuffix(strings.ToLower(name), ".exe"); short {
		case "kube-proxy", "kpng", "windows-service-proxy":
			e.add(Error, "other-proxy", "stop it: each deletes what the other makes; hnsproxy service install --from-service=kube-proxy takes its place",
				"%s runs on this node", name)
		}
	}
	if e.Settings[CiliumOnWindows] == 1 {
		e.add(Error, "cilium", "let Cilium serve the Services of this node, or switch it off", "HNS hands Services to Cilium (%s is 1)", CiliumOnWindows)
	}
	if e.Settings[StaleBackends] != 0 {
		e.add(Warning, "vfp-stale-backends", "set the registry value to 0 and restart the node", "%s is %d: VFP keeps deleted backends in rules with DSR", StaleBackends, e.Settings[StaleBackends])
	}
}

// ports compares the node ports with those that Windows gives away.
func (e *examiner) ports() {
	for _, protocol := range []hnslb.Protocol{hnslb.TCP, hnslb.UDP} {
		for _, p := range e.Dynamic[protocol] {
			if p.overlaps(e.NodePorts) {
				e.add(Error, "dynamic-ports", fmt.Sprintf("netsh int ipv4 set dynamicport %s start=33000 num=32536", strings.ToLower(protocol.String())),
					"the dynamic ports %d-%d of %s overlap the node ports %d-%d: programs take ports that Services need", p.First, p.Last, protocol, e.NodePorts.First, e.NodePorts.Last)
			}
		}
		for _, p := range e.Excluded[protocol] {
			switch {
			case !p.overlaps(e.NodePorts):
			case !p.Administered || p.size() > 1:
				e.add(Error, "excluded-ports", "find who excluded them, often Hyper-V or WSL: netsh int ipv4 show excludedportrange; restart the node, or move the node ports",
					"the ports %d-%d of %s are excluded, and node ports among them cannot be served", p.First, p.Last, protocol)
			case e.HNSError == nil && !e.holds(protocol, p.First):
				e.add(Warning, "leaked-port", "restart the node; Windows Server 2019 is known for it", "port %d of %s is reserved, as for a node port, and no load balancer has it", p.First, protocol)
			}
		}
	}
}

// holds tells whether a load balancer has a node port.
func (e *examiner) holds(protocol hnslb.Protocol, port uint16) bool {
	return slices.ContainsFunc(e.HNS.LoadBalancers, func(lb hnslb.LoadBalancer) bool {
		k, ok := lb.Key()
		return ok && k.NodePort() && k.Protocol == protocol && k.Port == port
	})
}

// api looks at the API server.
func (e *examiner) api() {
	a := e.API
	switch {
	case !a.Asked:
		return
	case a.Error != nil:
		e.add(Error, "api-server", "check --kubeconfig and --master, and that the node reaches that address without a Service", "the API server does not answer: %v", a.Error)
		return
	case a.NodeMissing:
		e.add(Error, "node-name", "give the name of this node's Node object by --hostname-override", "there is no Node %q", e.Node)
	}
	if len(a.Denied) > 0 {
		e.add(Error, "rbac", "apply deploy/rbac.yaml, and check that hnsproxy has that service account", "hnsproxy may not %s", strings.Join(a.Denied, ", "))
	}
	if a.Skew.Abs() > mostSkew {
		e.add(Warning, "clock", "w32tm /resync", "the clock of this node is %s away from that of the API server", a.Skew.Round(time.Second))
	}
}

// proxy looks at the running hnsproxy.
func (e *examiner) proxy() {
	if e.NotRunning != nil {
		e.add(Error, "not-running", "start hnsproxy, or say by --server where its metrics port is", "hnsproxy does not answer on this node: %v", e.NotRunning)
		return
	}
	if n := e.Frontends["failing"]; n > 0 {
		e.add(Error, "failing", "hnsproxy status --state=failing says why", "HNS refuses %d of the frontends", n)
	}
}
