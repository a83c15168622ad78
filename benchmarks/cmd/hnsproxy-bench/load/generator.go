// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

// Generator makes the changes of a scenario one by one.
type Generator struct {
	scenario scenario.Scenario
	// updateWrites is what HNS needs to change a load balancer: one write where it modifies, else a delete and a create.
	updateWrites int
	random       *rand.Rand
	services     []*service
	// order is that in which the Services have their turn.
	order []int
	// made counts the addresses handed out, of other nodes and of this one, madeServices the Services.
	made, madeLocal, madeServices int

	queue []Change
	clock time.Duration
	// more appends the next changes to the queue.
	more func()
}

// NewGenerator returns the Generator of a scenario. modifies says whether HNS changes load balancers in place.
func NewGenerator(s scenario.Scenario, modifies bool) *Generator {
	g := &Generator{scenario: s, updateWrites: 2, random: rand.New(rand.NewPCG(s.Seed, 0))}
	if modifies {
		g.updateWrites = 1
	}
	for range s.Cluster.Services {
		g.services = append(g.services, g.newService(s.Cluster.Endpoints))
	}
	g.order = g.random.Perm(len(g.services))
	g.more = g.kind()
	return g
}

// newService makes up a Service.
func (g *Generator) newService(endpoints int) *service {
	c := g.scenario.Cluster
	n := g.madeServices
	g.madeServices++
	s := &service{name: fmt.Sprintf("service-%d", n), number: n, ports: c.Ports}
	for _, family := range c.IPFamilies {
		s.vips = append(s.vips, vip(family, n))
	}
	s.slices = make([][]endpoint, max(c.Slices, (endpoints+maxPerSlice-1)/maxPerSlice))
	for e := range endpoints {
		index := e % len(s.slices)
		s.slices[index] = append(s.slices[index], g.newEndpoint(g.random.Float64() < c.LocalShare, (n*endpoints+e)%c.Nodes))
	}
	return s
}

// newEndpoint has addresses that no endpoint has had for long.
func (g *Generator) newEndpoint(local bool, node int) endpoint {
	counter := &g.made
	if local {
		counter = &g.madeLocal
	}
	n := *counter
	*counter++
	e := endpoint{node: node, local: local}
	for _, family := range g.scenario.Cluster.IPFamilies {
		e.ips = append(e.ips, address(family, local, n))
	}
	return e
}

// The addresses of a benchmark: VIPs, pods of other nodes, and pods of this node, which are in LocalSubnets.
const (
	vipBase, remoteBase, localBase = 10<<24 | 96<<16 | 1, 11<<24 | 1, 10<<24 | 244<<16 | 256
	// Addresses are used again after that many.
	remoteRound, localRound = 1<<24 - 2, 60_000
)

func vip(family string, n int) netip.Addr {
	if family == "IPv4" {
		return ipv4(vipBase + n)
	}
	return ipv6(0x96, n+1)
}

func address(family string, local bool, n int) netip.Addr {
	switch {
	case family == "IPv4" && local:
		return ipv4(localBase + n%localRound)
	case family == "IPv4":
		return ipv4(remoteBase + n%remoteRound)
	case local:
		return ipv6(0x244, 256+n%localRound)
	}
	return ipv6(0x11, n+1)
}

func ipv4(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func ipv6(net, n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 4: byte(net >> 8), 5: byte(net), 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)})
}

// LocalSubnets hold the pods of the node.
func LocalSubnets() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.PrefixFrom(ipv6(0x244, 0), 64)}
}

// RemoteSubnet holds the IPv4 pods of all other nodes.
func RemoteSubnet() netip.Prefix { return netip.MustParsePrefix("11.0.0.0/8") }

// SourceVIP is an address of the node that no pod has.
func SourceVIP() netip.Addr { return netip.MustParseAddr("10.244.0.10") }

// Initial returns the cluster at the beginning as one change. It must be called before Next.
func (g *Generator) Initial() Change {
	var c Change
	for _, s := range g.services {
		c.Writes = append(c.Writes, s.writes(false)...)
		c.Wants = append(c.Wants, s.wants(false)...)
		for _, slice := range s.slices {
			for _, e := range slice {
				if e.local {
					c.Appear = append(c.Appear, e.ips...)
				}
			}
		}
	}
	return c
}

// Endpoints returns how many endpoints there are now.
func (g *Generator) Endpoints() int {
	n := 0
	for _, s := range g.services {
		n += s.count()
	}
	return n
}

// Services returns how many Services there are now.
func (g *Generator) Services() int { return len(g.services) }

// Next returns the next change, false after the last.
func (g *Generator) Next() (Change, bool) {
	if len(g.queue) == 0 {
		g.more()
	}
	next := g.queue[0]
	g.queue = g.queue[1:]
	return next, next.At < g.scenario.Duration.Duration
}

// pause is the mean time between two changes.
func (g *Generator) pause() time.Duration {
	return time.Duration(float64(time.Second) / g.scenario.Churn.Rate)
}
