// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scenario says what a benchmark does: the cluster, how it changes, and the HNS that a proxy meets. A scenario is a small
// YAML file; those in benchmarks/scenarios explain each field.
package scenario

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind is a kind of churn.
type Kind string

// The kinds of churn.
const (
	// Steady replaces one endpoint of another Service each time, at equal intervals.
	Steady Kind = "steady"
	// Burst makes the changes of Steady in groups of Size at once, with pauses between.
	Burst Kind = "burst"
	// Rolling replaces the endpoints of one Service of Size endpoints, one after another.
	Rolling Kind = "rolling"
	// Scale adds endpoints to one Service up to Size and removes them again, one at a time, and goes on with the next Service.
	Scale Kind = "scale"
	// NodeLoss takes a node away with all its endpoints at once, puts them on another, and goes on with the next node.
	NodeLoss Kind = "nodeLoss"
	// Services makes Services with their endpoints and deletes them; Size of them exist at a time.
	Services Kind = "services"
	// Metadata changes annotations of EndpointSlices, which concern no proxy.
	Metadata Kind = "metadata"
	// Restart is Steady with a restart of the proxy every Every.
	Restart Kind = "restart"
	// HNSRestart is Steady with a restart of HNS every Every, which takes Down.
	HNSRestart Kind = "hnsRestart"
	// Cycle takes one Service through numbers of endpoints, Size endpoints at a time, with a pause of Every after each number.
	Cycle Kind = "cycle"
)

// Sources of objects, and proxies.
const (
	InProcess = "inprocess"
	APIServer = "apiserver"
	HNSProxy  = "hnsproxy.exe"
	KubeProxy = "kube-proxy.exe"
)

// Scenario is one scenario.
type Scenario struct {
	// Name, by default that of the file.
	Name string `json:"name,omitempty"`
	// Description is one line for people.
	Description string  `json:"description,omitempty"`
	Cluster     Cluster `json:"cluster"`
	Churn       Churn   `json:"churn"`
	// Duration is for how long changes are offered.
	Duration metav1.Duration `json:"duration"`
	// Seed decides everything that looks random. The same scenario with the same seed makes the same changes.
	Seed uint64 `json:"seed"`
	HNS  HNS    `json:"hns"`
	// Source says where the proxy gets its objects from: "inprocess", straight into its handlers, or "apiserver", a real one.
	Source string `json:"source"`
	// Proxy is "inprocess", "hnsproxy.exe" or "kube-proxy.exe".
	Proxy string `json:"proxy"`
}

// Cluster is its shape at the beginning: equal Services.
type Cluster struct {
	Services int `json:"services"`
	// Endpoints, Ports and Slices are those of each Service. A slice never has more than 100 endpoints, as in Kubernetes, so there
	// may be more slices.
	Endpoints int `json:"endpoints"`
	Ports     int `json:"ports"`
	Slices    int `json:"slices"`
	// IPFamilies of each Service: IPv4, IPv6 or both.
	IPFamilies []string `json:"ipFamilies"`
	// LocalShare is the share of endpoints, 0 to 1, that are pods on the node of the proxy.
	LocalShare float64 `json:"localShare"`
	// Nodes is the number of other nodes that carry endpoints.
	Nodes int `json:"nodes"`
}

// Churn says how the cluster changes.
type Churn struct {
	Kind Kind `json:"kind"`
	// Rate is the mean number of changes per second. A change is one write of a user or controller: of one Service's endpoints, or
	// of a Service with its endpoints.
	Rate float64 `json:"rate"`
	// Size, see the kinds.
	Size int `json:"size,omitempty"`
	// Every is the time between two restarts, or the pause of a cycle.
	Every metav1.Duration `json:"every,omitzero"`
	// Down is how long a restart of HNS takes.
	Down metav1.Duration `json:"down,omitzero"`
	// Loses says what HNS does not bring back after a restart: "loadBalancers", "endpoints".
	Loses []string `json:"loses,omitempty"`
	// Steps are the numbers of endpoints of a cycle.
	Steps []int `json:"steps,omitempty"`
}

// HNS is the HNS that is emulated.
type HNS struct {
	// Profile is the Windows release, or a file that hnsproxy probe wrote on a machine.
	Profile string `json:"profile"`
	// Latency is "ws2022" (8 ms for each write, one at a time), "none", or "profile" for what was measured on a machine that was
	// probed.
	Latency string `json:"latency"`
	// Network is the type of the network: L2Bridge, L2Tunnel or Overlay.
	Network string `json:"network"`
}

// Default returns what a file need not say.
func Default() Scenario {
	return Scenario{
		Cluster:  Cluster{Services: 1000, Endpoints: 10, Ports: 1, Slices: 1, IPFamilies: []string{"IPv4"}, Nodes: 50},
		Churn:    Churn{Kind: Steady, Rate: 20},
		Duration: metav1.Duration{Duration: 30 * time.Second},
		Seed:     1,
		HNS:      HNS{Profile: "ws2022", Latency: "ws2022", Network: "L2Bridge"},
		Source:   InProcess,
		Proxy:    InProcess,
	}
}

// Kinds lists the kinds of churn.
func Kinds() []Kind {
	return []Kind{Steady, Burst, Rolling, Scale, NodeLoss, Services, Metadata, Restart, HNSRestart, Cycle}
}
