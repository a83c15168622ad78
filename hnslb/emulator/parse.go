// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// ParseDump reads what Dump wrote into a state for Restore; IDs are made up. Empty lines
// and lines that begin with "#" mean nothing. A network stands before its endpoints, an
// endpoint before the load balancers that name it. An error names the line; bad input
// never panics.
func ParseDump(r io.Reader) (State, error) {
	p := &parser{ids: idSource{seed: 0x64756d70}, store: newStore(clock.RealClock{}, nil)}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20) // 1,024 backends of IPv6 take 50 KB
	number := 0
	for in.Scan() {
		number++
		words := strings.Fields(in.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := p.line(words); err != nil {
			return State{}, fmt.Errorf("emulator: dump line %d: %w", number, err)
		}
	}
	if err := in.Err(); err != nil {
		return State{}, fmt.Errorf("emulator: dump line %d: %w", number+1, err)
	}
	st := p.store.state()
	st.Issued = p.ids.issued
	return st, nil
}

// parser builds the host that a dump describes.
type parser struct {
	ids   idSource
	store *store
}

// line reads one object into the store.
func (p *parser) line(words []string) error {
	kind, words := words[0], words[1:]
	read, positional := p.lineReader(kind)
	if read == nil {
		return fmt.Errorf("unknown kind %q", kind)
	}
	if len(words) < positional {
		return fmt.Errorf("%s has %d words, want at least %d", kind, len(words), positional)
	}
	f, err := parseFields(words[positional:])
	if err != nil {
		return err
	}
	if err := read(words[:positional], f); err != nil {
		return fmt.Errorf("%s %s: %w", kind, words[0], err)
	}
	if err := f.rest(); err != nil {
		return fmt.Errorf("%s %s: %w", kind, words[0], err)
	}
	return nil
}

type lineReader func(words []string, f *fields) error

// lineReader returns the reader of a kind of line and how many words it takes by place.
func (p *parser) lineReader(kind string) (lineReader, int) {
	switch kind {
	case "network":
		return p.network, 2
	case "endpoint":
		return p.endpoint, 2
	case "loadbalancer":
		return p.loadBalancer, 2
	case "listener":
		return p.listener, 1
	case "leaked":
		return p.leaked, 1
	}
	return nil, 0
}

func (p *parser) network(words []string, f *fields) error {
	n := &network{Network: hnslb.Network{ID: p.ids.next()}}
	var err error
	if n.Name, err = url.QueryUnescape(words[0]); err != nil {
		return err
	}
	if n.Type, err = url.QueryUnescape(words[1]); err != nil {
		return err
	}
	if p.store.networkByName(n.Name) != nil {
		return fmt.Errorf("the name is used twice")
	}
	n.ManagementIP, n.hostIPv6 = f.addr("management"), f.addr("management6")
	n.HostMAC, n.loopbackDSR = f.text("mac"), f.mark("loopback-dsr")
	for _, s := range f.list("subnets") {
		n.Subnets = append(n.Subnets, f.prefix(s))
	}
	for _, s := range f.list("remotes") {
		prefix, pa, _ := strings.Cut(s, "@")
		n.Remotes = append(n.Remotes, hnslb.RemoteSubnet{
			Prefix: f.prefix(prefix), ProviderAddress: f.parseAddr(pa),
		})
	}
	for _, s := range f.list("adapters") {
		ip, mac, _ := strings.Cut(s, "@")
		n.Adapters = append(n.Adapters, hnslb.Adapter{IP: f.parseAddr(ip), MAC: mac})
	}
	if f.err != nil {
		return f.err
	}
	if err := ruleNetwork(n); err != nil {
		return err
	}
	p.store.networks = append(p.store.networks, n)
	return nil
}

func (p *parser) endpoint(words []string, f *fields) error {
	if words[1] != "local" && words[1] != "remote" {
		return fmt.Errorf("%q is neither local nor remote", words[1])
	}
	net := p.store.networkByName(f.escaped("network"))
	if net == nil {
		return fmt.Errorf("its network is not in the dump")
	}
	ep := EndpointState{
		Endpoint: hnslb.Endpoint{
			ID: p.ids.next(), Network: net.ID, Name: f.escaped("name"), MAC: f.text("mac"),
			Remote: words[1] == "remote", ProviderAddress: f.addr("pa"),
		},
		Detached: f.mark("detached"),
	}
	for s := range strings.SplitSeq(words[0], ",") {
		ep.IPs = append(ep.IPs, f.parseAddr(s))
	}
	if f.err != nil {
		return f.err
	}
	return p.store.restoreEndpoint(ep)
}

func (p *parser) loadBalancer(words []string, f *fields) error {
	lb := LoadBalancerState{LoadBalancer: hnslb.LoadBalancer{
		ID: p.ids.next(), SourceVIP: f.addr("source"),
		Flags: hnslb.LoadBalancerFlags(f.flags(f.text("flags"), loadBalancerFlagNames())),
	}}
	lb.NoRules = f.mark("no-rules")
	if words[0] != "node" {
		for s := range strings.SplitSeq(words[0], ",") {
			lb.VIPs = append(lb.VIPs, f.parseAddr(s))
		}
	}
	if words[1] != "-" {
		for s := range strings.SplitSeq(words[1], ",") {
			lb.Mappings = append(lb.Mappings, f.mapping(s))
		}
	}
	for _, name := range f.list("backends") {
		id, err := p.backend(name)
		if err != nil {
			return err
		}
		lb.Endpoints = append(lb.Endpoints, id)
	}
	if err := p.whereabouts(&lb, f); err != nil {
		return err
	}
	if f.err != nil {
		return f.err
	}
	return p.store.restoreLoadBalancer(lb)
}

// whereabouts reads what Dump's whereabouts printed.
func (p *parser) whereabouts(lb *LoadBalancerState, f *fields) error {
	net := p.store.networkOf(lb.LoadBalancer)
	unknown, gone := f.mark("network-unknown"), f.mark("network-gone")
	if name := f.escaped("network"); name != "" {
		if net = p.store.networkByName(name); net == nil {
			return fmt.Errorf("its network %q is not in the dump", name)
		}
	}
	switch {
	case gone:
		lb.Network = p.ids.next()
	case net != nil && !unknown:
		b := newLoadBalancer(lb.LoadBalancer, net)
		lb.Network, lb.NodeIP = b.network, b.nodeIP
	}
	if f.mark("no-node-ip") {
		lb.NodeIP = netip.Addr{}
	}
	if ip := f.addr("node-ip"); ip.IsValid() {
		lb.NodeIP = ip
	}
	return nil
}

// backend finds the endpoint that a name stands for: an address, an address with side and
// network where it is not enough, or "dangling".
func (p *parser) backend(name string) (hnslb.ID, error) {
	if name == "dangling" {
		return p.ids.next(), nil
	}
	text, where, qualified := strings.Cut(name, "/")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return "", fmt.Errorf("backend %q: %w", name, err)
	}
	found := append([]*endpoint{}, p.store.byIP.more[addr]...)
	if first := p.store.byIP.first[addr]; first != nil {
		found = append(found, first)
	}
	var match []*endpoint
	for _, ep := range found {
		if !qualified || where == side(ep)+"@"+url.QueryEscape(ep.net.Name) {
			match = append(match, ep)
		}
	}
	if len(match) != 1 {
		return "", fmt.Errorf("backend %q stands for %d endpoints of the dump", name, len(match))
	}
	return match[0].id, nil
}

func (p *parser) listener(words []string, f *fields) error {
	port, protocol := f.port(words[0])
	p.store.ports.listeners[HostPort{Protocol: protocol, Port: port}] = true
	return f.err
}

func (p *parser) leaked(words []string, f *fields) error {
	at := strings.LastIndex(words[0], "/")
	if at < 0 {
		return fmt.Errorf("%q is no frontend", words[0])
	}
	vip, err := netip.ParseAddrPort(words[0][:at])
	if err != nil {
		return err
	}
	k := hnslb.FrontendKey{
		Family: hnslb.FamilyOf(vip.Addr()), VIP: vip.Addr(), Port: vip.Port(),
		Protocol: f.protocol(words[0][at+1:]),
	}
	switch {
	case k.VIP.IsUnspecified() && !k.VIP.Is4In6():
		k.VIP = netip.Addr{}
	case !usableAddress(k.VIP):
		return fmt.Errorf("VIP %s", k.VIP)
	}
	p.store.ports.leaked[k] = true
	return f.err
}

// fields are the "name=value" words and marks of a line. Getters take what they return;
// the first value that cannot be read stays in err.
type fields struct {
	values map[string]string
	marks  map[string]bool
	err    error
}

func parseFields(words []string) (*fields, error) {
	f := &fields{values: map[string]string{}, marks: map[string]bool{}}
	for _, w := range words {
		name, value, hasValue := strings.Cut(w, "=")
		if _, twice := f.values[name]; twice || f.marks[name] {
			return nil, fmt.Errorf("%q stands twice", name)
		}
		if hasValue {
			f.values[name] = value
		} else {
			f.marks[name] = true
		}
	}
	return f, nil
}

// rest complains about what nobody took.
func (f *fields) rest() error {
	for name := range f.values {
		return fmt.Errorf("unknown field %q", name)
	}
	for name := range f.marks {
		return fmt.Errorf("unknown word %q", name)
	}
	return nil
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) text(name string) string {
	v := f.values[name]
	delete(f.values, name)
	return v
}

func (f *fields) mark(name string) bool {
	on := f.marks[name]
	delete(f.marks, name)
	return on
}

func (f *fields) escaped(name string) string {
	v, err := url.QueryUnescape(f.text(name))
	if err != nil {
		f.fail(err)
	}
	return v
}

func (f *fields) list(name string) []string {
	if v := f.text(name); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

func (f *fields) addr(name string) netip.Addr {
	if v := f.text(name); v != "" {
		return f.parseAddr(v)
	}
	return netip.Addr{}
}

func (f *fields) parseAddr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		f.fail(err)
	}
	return a
}

func (f *fields) prefix(s string) netip.Prefix {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		f.fail(err)
	}
	return p
}

func (f *fields) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		f.fail(err)
	}
	return n
}

// protocol reads what hnslb.Protocol prints.
func (f *fields) protocol(s string) hnslb.Protocol {
	p, err := hnslb.ParseProtocol(s)
	if err != nil {
		f.fail(err)
	}
	return p
}

// port reads "53/UDP".
func (f *fields) port(s string) (uint16, hnslb.Protocol) {
	port, protocol, _ := strings.Cut(s, "/")
	return uint16(f.number(port, 16)), f.protocol(protocol)
}

// flags reads names, or a hexadecimal number, joined by "+".
func (f *fields) flags(s string, names []flagName) uint32 {
	var flags uint32
	if s == "" {
		return 0
	}
	for word := range strings.SplitSeq(s, "+") {
		flags |= f.flag(word, names)
	}
	return flags
}

func (f *fields) flag(word string, names []flagName) uint32 {
	for _, n := range names {
		if n.name == word {
			return n.bit
		}
	}
	hex, ok := strings.CutPrefix(word, "0x")
	n, err := strconv.ParseUint(hex, 16, 32)
	if !ok || err != nil {
		f.fail(fmt.Errorf("unknown flag %q", word))
	}
	return uint32(n)
}

// mapping reads what mappingText printed.
func (f *fields) mapping(s string) hnslb.PortMapping {
	words := strings.Split(s, "+")
	external, internal, _ := strings.Cut(words[0], ">")
	m := hnslb.PortMapping{InternalPort: uint16(f.number(internal, 16))}
	m.ExternalPort, m.Protocol = f.port(external)
	for _, word := range words[1:] {
		if d, ok := f.distribution(word); ok {
			m.Distribution = d
			continue
		}
		m.Flags |= hnslb.MappingFlags(f.flag(word, mappingFlagNames()))
	}
	return m
}

func (f *fields) distribution(word string) (hnslb.Distribution, bool) {
	for _, n := range distributionNames() {
		if n.name == word {
			return hnslb.Distribution(n.bit), true
		}
	}
	if rest, ok := strings.CutPrefix(word, "distribution-"); ok {
		return hnslb.Distribution(f.number(rest, 8)), true
	}
	return 0, false
}
