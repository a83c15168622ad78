// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package doctor concludes from facts about a node what is wrong with it, and what to do.
package doctor

import (
	"net/netip"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/snapshot"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Facts are what was found out about a node. What could not be found out is in Unknown, and
// counts as being all right.
type Facts struct {
	// HNS is what HNS holds; HNSError why it could not be read.
	HNS      snapshot.Snapshot
	HNSError error
	// Network and SourceVIP that were given, EnableDSR as hnsproxy runs.
	Network   string
	SourceVIP netip.Addr
	EnableDSR bool
	// Node is the name of this node, NodeIPs the addresses of its Node object.
	Node    string
	NodeIPs []netip.Addr
	// Frontends counts the frontends of the running hnsproxy by state; NotRunning says why it
	// could not be asked.
	Frontends  map[string]int
	NotRunning error
	// Processes are the names of running programs, such as kube-proxy.exe.
	Processes []string
	// Dynamic are the ports that Windows gives to outgoing connections, Excluded those that
	// nobody may listen on, NodePorts those of the cluster.
	Dynamic, Excluded map[hnslb.Protocol][]Ports
	NodePorts         Ports
	// Settings are values of the registry by their names, as the constants below.
	Settings map[string]uint64
	// API is what was asked of the API server.
	API API
	// Unknown says what could not be found out, and why.
	Unknown []string
}

// Ports is a range of ports, both ends included.
type Ports struct {
	First, Last uint16
	// Administered ports were excluded by a program, for good.
	Administered bool
}

func (p Ports) overlaps(o Ports) bool { return p.First <= o.Last && o.First <= p.Last }
func (p Ports) size() int             { return int(p.Last) - int(p.First) + 1 }

// Names of Settings.
const (
	// CiliumOnWindows is 1 where HNS hands Services to Cilium.
	CiliumOnWindows = `HNS\State\CiliumOnWindows`
	// StaleBackends is the feature override with which VFP keeps the backends of deleted
	// endpoints in rules of load balancers with DSR.
	StaleBackends = `FeatureManagement\Overrides\140377743`
)

// API is what was asked of the API server.
type API struct {
	// Asked is false where there is no API server to ask.
	Asked bool
	// Error says why it could not be reached, NodeMissing that it has no such Node.
	Error       error
	NodeMissing bool
	// Denied are the rights that hnsproxy lacks, such as "list services".
	Denied []string
	// Skew is how much later the clock of the node is than that of the server.
	Skew time.Duration
}

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	// Error: Services do not work, or not all of them.
	Error Severity = "error"
	// Warning: they may stop to.
	Warning Severity = "warning"
	// Note is worth to know when something fails, and no fault by itself.
	Note Severity = "note"
)

// Finding is one thing that is wrong.
type Finding struct {
	// Name of the check.
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Remedy   string   `json:"remedy"`
}
