// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Setup is the Windows node that hnsproxy runs on.
type Setup struct {
	Profile profiles.Profile
	// Overlay takes an Overlay network, for IPv4, instead of an L2Bridge network, for both families.
	Overlay bool
	// DSR is --enable-dsr.
	DSR bool
	// Latency of HNS; the zero value answers at once.
	Latency emulator.Latency
	// Watch hears what each frontend sends to, see emulator.Config; nil for nobody.
	Watch func(emulator.Serving)
	// SyncPeriod is how often HNS is compared with what it must hold; the zero value is the default.
	SyncPeriod time.Duration
	// Options changes the options of a hnsproxy in this process; nil for none.
	Options func(*app.Options)
	// Exe makes hnsproxy.exe, which then runs under Wine. Without it hnsproxy runs in this process.
	Exe func() (program.Program, error)
}

// String is a name for a subtest: "l2bridge-ws2022", "overlay-ws2025-dsr-exe".
func (s Setup) String() string {
	name := strings.ToLower(s.networkType()) + "-" + s.Profile.Name
	if s.DSR {
		name += "-dsr"
	}
	if s.Exe != nil {
		name += "-exe"
	}
	return name
}

func (s Setup) networkType() string {
	if s.Overlay {
		return "Overlay"
	}
	return "L2Bridge"
}

// Setups are the machines that most tests go through: each kind of network, without and with load balancers that can be
// changed in place.
func Setups() []Setup {
	return []Setup{
		{Profile: profiles.WS2022()},
		{Profile: profiles.WS2025()},
		{Profile: profiles.WS2022(), Overlay: true},
		{Profile: profiles.WS2025(), Overlay: true},
	}
}

// Zones of the nodes.
const (
	NearZone = "zone-a" // of World.Node and World.Linux
	FarZone  = "zone-b" // of World.Peer
)

// Addresses of the nodes, of ranges that no machine has (RFC 2544, RFC 4193). The third byte of a pod subnet tells its node.
const (
	// nodeIPv4 is World.NodeIP of a hnsproxy in this process.
	nodeIPv4 = "198.18.0.4"
	NodeIPv6 = "fd00:10::4"
	PeerIP   = "198.18.0.5"
	LinuxIP  = "198.18.0.10"
	// SourceVIP is the address that the network plugin keeps free on World.Node for an overlay.
	SourceVIP = "10.244.1.254"
)

// RBAC is the manifest that gives hnsproxy its ServiceAccount and its role, seen from the directory of the tests.
const RBAC = "../deploy/rbac.yaml"

// World is what one test works with.
type World struct {
	Plane     *controlplane.ControlPlane
	Namespace string
	Kubelet   *kubelet.Kubelet
	// HNS of the node that hnsproxy runs on.
	HNS *emulator.Emulator
	// Node is the name of that node, Peer of another Windows node, Linux of the one with the control plane.
	Node, Peer, Linux string
	// NodeIP is the node's IPv4 address. hnsproxy.exe looks for the interface that has it, so it runs on an address of this machine.
	NodeIP string

	tb      testing.TB
	setup   Setup
	network *network
	proxy   *Proxy
	down    bool            // the API server
	program program.Program // of Setup.Exe
	// asked is how many requests of hnsproxy are of earlier tests; refusable that this one must expect refusals.
	asked     int
	refusable bool
}

// New makes a world on a running control plane. hnsproxy does not run yet. When the test is done, the control plane is as it
// was before.
func New(tb testing.TB, plane *controlplane.ControlPlane, setup Setup) *World {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Log(plane.Logs(20))
		}
	})
	w := &World{
		Plane: plane, Namespace: plane.Namespace(tb), Kubelet: kubelet.New(plane.Admin), tb: tb, setup: setup,
		HNS: emulator.New(emulator.Config{Profile: setup.Profile, Latency: setup.Latency, Watch: setup.Watch}),
	}
	w.Node, w.Peer, w.Linux = w.Namespace+"-win-1", w.Namespace+"-win-2", w.Namespace+"-linux"
	w.network = newNetwork(w.HNS, w.Node)
	host := emulator.NetworkSpec{ManagementIP: netip.MustParseAddr(nodeIPv4)}
	if setup.Exe != nil {
		host = w.prepareExe()
	}
	w.NodeIP = host.ManagementIP.String()
	w.Must(w.network.create(setup, host))
	for _, node := range w.nodes() {
		w.AddNode(node)
	}
	earlier, err := plane.Requests(User())
	w.Must(err)
	w.asked = len(earlier)
	tb.Cleanup(w.checkRefusals)
	tb.Cleanup(func() {
		if err := w.startAPIServer(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return w
}

// prepareExe makes hnsproxy.exe and describes the host that it runs on.
func (w *World) prepareExe() emulator.NetworkSpec {
	w.tb.Helper()
	var err error
	w.program, err = w.setup.Exe()
	w.Must(err)
	host, err := winlab.Network(networkName, w.setup.networkType())
	w.Must(err)
	return host
}

// nodes describes the nodes. Pods are of both families where the network can carry both.
func (w *World) nodes() []kubelet.Node {
	nodes := []kubelet.Node{
		{Name: w.Node, Zone: NearZone, OS: "windows", InternalIPs: addrs(w.NodeIP, NodeIPv6), PodCIDRs: prefixes("10.244.1.0/24", "fd00:244:1::/64")},
		{Name: w.Peer, Zone: FarZone, OS: "windows", InternalIPs: addrs(PeerIP, "fd00:10::5"), PodCIDRs: prefixes("10.244.2.0/24", "fd00:244:2::/64")},
		{Name: w.Linux, Zone: NearZone, InternalIPs: addrs(LinuxIP, "fd00:10::10"), PodCIDRs: prefixes("10.244.0.0/24", "fd00:244::/64")},
	}
	for i := range nodes {
		nodes[i].Plugin = w.network
		if w.setup.Overlay {
			nodes[i].InternalIPs, nodes[i].PodCIDRs = nodes[i].InternalIPs[:1], nodes[i].PodCIDRs[:1]
		}
	}
	return nodes
}

// AddNode adds a node until the test's end.
func (w *World) AddNode(node kubelet.Node) {
	w.tb.Helper()
	_, err := w.Kubelet.AddNode(w.tb.Context(), node)
	w.Must(err)
	w.tb.Cleanup(func() {
		if err := w.Kubelet.RemoveNode(context.Background(), node.Name); err != nil && !apierrors.IsNotFound(err) {
			w.tb.Error(err)
		}
	})
}

// Must ends the test if there is an error.
func (w *World) Must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

// StopAPIServer takes the API server away, as an orderly restart or as a crash does.
func (w *World) StopAPIServer(crash bool) {
	w.down, w.refusable = true, true
	if crash {
		w.Plane.KillAPIServer()
	} else {
		w.Plane.StopAPIServer()
	}
}

// StartAPIServer brings the API server back.
func (w *World) StartAPIServer() {
	w.tb.Helper()
	w.Must(w.startAPIServer(w.tb.Context()))
}

func (w *World) startAPIServer(ctx context.Context) error {
	if !w.down {
		return nil
	}
	w.down = false
	return w.Plane.StartAPIServer(ctx)
}

func addrs(text ...string) []netip.Addr {
	var all []netip.Addr
	for _, one := range text {
		all = append(all, netip.MustParseAddr(one))
	}
	return all
}

func prefixes(text ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, one := range text {
		all = append(all, netip.MustParsePrefix(one))
	}
	return all
}
