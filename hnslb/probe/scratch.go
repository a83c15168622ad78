// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// NamePrefix begins the names of scratch endpoints.
const NamePrefix = "hnsproxy-probe-"

const (
	// portCount is how many ports a run uses: the first vipPorts with 250 VIPs each, which
	// is far more frontends than it makes, the others for one node port each, if no program
	// uses them.
	portCount = 128
	vipPorts  = 32
	// vipsPerPort is how many addresses of a block of VIPs are used.
	vipsPerPort = 250
	// Ports are looked for between these, above the node ports and below the ports that
	// Windows gives to outgoing connections.
	lowestPort, highestPort = 40000, 48000
)

// testNets are the addresses of documentation (RFC 5737), which no network may use.
func testNets() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	}
}

// benchmarkNet is set aside for benchmarks (RFC 2544). Large sizes need more addresses than
// documentation has.
func benchmarkNet() netip.Prefix { return netip.MustParsePrefix("198.18.0.0/15") }

// reserved tells whether an address is one that scratch objects may have.
func reserved(ip netip.Addr) bool {
	return slices.ContainsFunc(append(testNets(), benchmarkNet()), func(p netip.Prefix) bool { return p.Contains(ip) })
}

// scratch says what one run calls its own. It is the content of the journal.
type scratch struct {
	// VIPs holds the VIPs of load balancers, Addresses those of endpoints.
	VIPs      netip.Prefix
	Addresses []netip.Prefix
	// Unnamed is the address of the endpoint that is made without a name.
	Unnamed netip.Addr
	// FirstPort is the lowest of portCount ports.
	FirstPort uint16
}

// hasPort tells whether a port is one of the run's.
func (s *scratch) hasPort(port uint16) bool {
	return port >= s.FirstPort && port-s.FirstPort < portCount
}

// hnsObjects is what HNS holds.
type hnsObjects struct {
	endpoints     []hnslb.Endpoint
	loadBalancers []hnslb.LoadBalancer
}

// ours are the scratch objects among h. Journal is nil when there is none.
func (h hnsObjects) ours(journal *scratch) hnsObjects {
	var out hnsObjects
	mine := map[hnslb.ID]bool{} // false for endpoints of others
	for _, e := range h.endpoints {
		if mine[e.ID] = ownEndpoint(e, journal); mine[e.ID] {
			out.endpoints = append(out.endpoints, e)
		}
	}
	for _, lb := range h.loadBalancers {
		if ownLoadBalancer(lb, mine, journal) {
			out.loadBalancers = append(out.loadBalancers, lb)
		}
	}
	return out
}

// ownEndpoint tells whether an endpoint was made by a run of the probe.
func ownEndpoint(e hnslb.Endpoint, journal *scratch) bool {
	if !e.Remote || len(e.IPs) != 1 || !reserved(e.IPs[0]) {
		return false
	}
	return strings.HasPrefix(e.Name, NamePrefix) || journal != nil && e.IPs[0] == journal.Unnamed
}

// ownLoadBalancer tells whether a load balancer was made by a run of the probe: it names a
// scratch endpoint, and none of anybody else's. One all of whose endpoints are gone is the
// run's of the journal, if it stands on a frontend of it.
func ownLoadBalancer(lb hnslb.LoadBalancer, mine map[hnslb.ID]bool, journal *scratch) bool {
	named := false
	for _, id := range lb.Endpoints {
		own, exists := mine[id]
		if exists && !own {
			return false
		}
		named = named || own
	}
	if named || journal == nil || len(lb.VIPs) == 0 {
		return named
	}
	for _, vip := range lb.VIPs {
		if !journal.VIPs.Contains(vip) {
			return false
		}
	}
	return !slices.ContainsFunc(lb.Mappings, func(m hnslb.PortMapping) bool { return !journal.hasPort(m.ExternalPort) })
}

// describe names objects for people.
func (h hnsObjects) describe() []string {
	var out []string
	for _, lb := range h.loadBalancers {
		out = append(out, fmt.Sprintf("load balancer %s (%s)", lb.ObjectName(), lb.ID))
	}
	for _, e := range h.endpoints {
		out = append(out, fmt.Sprintf("endpoint %s %q (%s)", e.ObjectName(), e.Name, e.ID))
	}
	return out
}

// choose picks addresses that nobody on the node uses, and ports that no load balancer uses.
func choose(network hnslb.Network, h hnsObjects) (scratch, error) {
	own := h.ours(nil)
	leftover := func(e hnslb.Endpoint) bool {
		return slices.ContainsFunc(own.endpoints, func(o hnslb.Endpoint) bool { return o.ID == e.ID })
	}
	var used []netip.Prefix
	add := func(ips ...netip.Addr) {
		for _, ip := range ips {
			if ip.IsValid() {
				used = append(used, netip.PrefixFrom(ip, ip.BitLen()))
			}
		}
	}
	add(network.ManagementIP)
	used = append(used, network.Subnets...)
	for _, r := range network.Remotes {
		used = append(used, r.Prefix)
		add(r.ProviderAddress)
	}
	for _, e := range h.endpoints {
		if !leftover(e) {
			add(e.IPs...)
			add(e.ProviderAddress)
		}
	}
	ports := map[uint16]bool{}
	for _, lb := range h.loadBalancers {
		add(lb.SourceVIP)
		add(lb.VIPs...)
		for _, m := range lb.Mappings {
			ports[m.ExternalPort] = true
		}
	}
	free := slices.DeleteFunc(append(testNets(), benchmarkNet()), func(p netip.Prefix) bool {
		return slices.ContainsFunc(used, p.Overlaps)
	})
	if len(free) < 2 || free[0] == benchmarkNet() {
		return scratch{}, errors.New("the node uses the addresses of documentation (RFC 5737), so there are none to try things on")
	}
	s := scratch{VIPs: free[0], Addresses: free[1:]}
	s.Unnamed = s.Addresses[0].Addr().Next()
	var err error
	s.FirstPort, err = freePorts(ports)
	return s, err
}

// freePorts returns the first of portCount neighbouring ports that are not taken.
func freePorts(taken map[uint16]bool) (uint16, error) {
	for first := uint16(lowestPort); first+portCount <= highestPort; first += portCount {
		free := true
		for port := range uint16(portCount) {
			free = free && !taken[first+port]
		}
		if free {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no %d neighbouring ports between %d and %d are free", portCount, lowestPort, highestPort)
}

// readJournal returns what a run before left in the journal, nil when it left none.
func readJournal(path string) (*scratch, error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var s scratch
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal of an earlier run (delete it to go on without): %w", err)
	}
	// Whatever the file says, nothing is ours that no run would have made.
	if !slices.Contains(testNets(), s.VIPs) || s.FirstPort < lowestPort || s.FirstPort > highestPort-portCount || !reserved(s.Unnamed) {
		return nil, errors.New("the journal of an earlier run was not written by hnsproxy probe: delete it to continue")
	}
	return &s, nil
}

// writeJournal writes the journal. It is on the disk when this returns.
func writeJournal(path string, s scratch) error {
	body, err := json.Marshal(s)
	if err == nil {
		err = WriteFile(path, append(body, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

func removeJournal(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the journal: %w", err)
	}
	return nil
}

// WriteFile writes a file, and its directory if there is none. The file appears whole or not
// at all.
func WriteFile(path string, body []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // after the rename there is nothing left to remove
	_, err = tmp.Write(body)
	err = cmp.Or(err, tmp.Sync())
	err = cmp.Or(tmp.Close(), err)
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
