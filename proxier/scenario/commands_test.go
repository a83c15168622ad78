// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// command is one word of the script language.
type command struct {
	run func(w *world, args []string) error
	// check tells that it looks and changes nothing; the proxy finishes before.
	check bool
	// plainOnly skips it in all ways but the plain one.
	plainOnly bool
}

// commands is the whole language. README.md says what each does.
func commands() map[string]command {
	all := map[string]command{
		// The node, before the proxy starts or while it runs.
		"option":  {run: option},
		"node":    {run: setNode},
		"local":   {run: eachArg(addLocal)},
		"unlocal": {run: eachAddr(removeLocal)},
		"detach":  {run: eachAddr(func(w *world, ip netip.Addr) error { return w.hns.SetAttached(ip, false) })},
		"attach":  {run: eachAddr(func(w *world, ip netip.Addr) error { return w.hns.SetAttached(ip, true) })},
		"network": {run: network},
		"load":    {run: eachArg(load)},
		"reserve": {run: eachArg(reserve(true))},
		"free":    {run: eachArg(reserve(false))},

		// The cluster.
		"apply":  {run: together(apply)},
		"delete": {run: together(remove)},

		// Time and the proxy.
		"sync":    {run: finish, check: true},
		"advance": {run: advance, check: true},
		"start":   {run: func(w *world, _ []string) error { w.start(); return nil }},
		"stop":    {run: func(w *world, _ []string) error { w.halt(); return nil }},
		"restart": {run: restart},

		// What goes wrong with HNS.
		"hns-stop":    {run: func(w *world, _ []string) error { w.hns.Stop(); return nil }},
		"hns-start":   {run: hnsStart},
		"hns-restart": {run: hnsRestart},
		"hns-delete":  {run: eachArg(hnsDelete)},
		"fault":       {run: fault},
		"fail":        {run: fail},
		"lose-answer": {run: loseAnswer},
		"hang":        {run: hang},
		"release":     {run: func(w *world, _ []string) error { w.hns.ReleaseHung(); return nil }},

		// Checks.
		"hns":    {run: eachArg(checkHNS), check: true},
		"status": {run: eachArg(checkStatus), check: true},
		"trace":  {run: checkTrace, check: true},
		"health": {run: checkHealth, check: true},
		"flow":   {run: checkFlow, check: true, plainOnly: true},
		"calls":  {run: checkCalls, check: true, plainOnly: true},
		"dark":   {run: checkDark, check: true, plainOnly: true},
		"events": {run: eachArg(checkEvents), check: true, plainOnly: true},
		"reset":  {run: reset, check: true},
	}
	all["now"] = command{run: now(all), check: true, plainOnly: true}
	return all
}

// now runs a check without letting the proxy finish before.
func now(all map[string]command) func(*world, []string) error {
	return func(w *world, args []string) error {
		if len(args) == 0 || !all[args[0]].check {
			return fmt.Errorf("want a check")
		}
		w.impatient = true
		defer func() { w.impatient = false }()
		return all[args[0]].run(w, args[1:])
	}
}

// eachArg runs a command once for each of its arguments, of which there is at least one.
func eachArg(do func(*world, string) error) func(*world, []string) error {
	return func(w *world, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("nothing is named")
		}
		for _, a := range args {
			if err := do(w, a); err != nil {
				return err
			}
		}
		return nil
	}
}

func eachAddr(do func(*world, netip.Addr) error) func(*world, []string) error {
	return eachArg(func(w *world, arg string) error {
		ip, err := netip.ParseAddr(arg)
		if err != nil {
			return err
		}
		return do(w, ip)
	})
}

// option sets what flags set on a real node. It takes effect at the next start.
func option(w *world, args []string) error {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch name {
		case "dsr":
			w.options.DSR = value == "on"
		case "source-vip":
			w.options.SourceVIP = netip.Addr{}
			if value != "none" {
				w.options.SourceVIP, err = netip.ParseAddr(value)
			}
		case "root-endpoint":
			w.options.RootEndpoint = strings.TrimPrefix(value, "none")
		case "healthz-port":
			port, bad := strconv.ParseUint(value, 10, 16)
			w.options.HealthzPort, err = uint16(port), bad
		case "source-ranges":
			w.options.SkipSourceRanges = value == "skip"
		case "nodeport-addresses":
			w.options.NodePortAddresses, err = desired.ParseNodePortAddresses(strings.Split(value, ","))
		case "timeout":
			w.timeout, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown option %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setNode changes what the Node object says.
func setNode(w *world, args []string) error {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "zone":
			w.node.Zone = value
		case "ip":
			ips, err := parseAddrs(value)
			if err != nil {
				return err
			}
			w.node.IPs = ips
		default:
			return fmt.Errorf("unknown field %q", name)
		}
	}
	if w.proxy != nil {
		w.proxy.SetNode(w.node)
		w.ports.SetNode(w.node)
	}
	return nil
}

func parseAddrs(list string) ([]netip.Addr, error) {
	var out []netip.Addr
	for text := range strings.SplitSeq(list, ",") {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		out = append(out, ip)
	}
	return out, nil
}

// addLocal makes a pod's endpoint, as the network plugin does: one address, or one of each
// family, behind the name that it may have.
func addLocal(w *world, arg string) error {
	name, list, named := strings.Cut(arg, "=")
	if !named {
		name, list = "", arg
	}
	ips, err := parseAddrs(list)
	if err != nil {
		return err
	}
	_, err = w.hns.AddForeignEndpoint(networkName, hnslb.Endpoint{Name: name, IPs: ips, MAC: podMAC(ips[0])})
	return err
}

// podMAC is the MAC that flannel and Calico give a pod: 0E-2A and the IPv4 address.
func podMAC(ip netip.Addr) string {
	b := ip.As16()
	return fmt.Sprintf("0E-2A-%02X-%02X-%02X-%02X", b[12], b[13], b[14], b[15])
}

func removeLocal(w *world, ip netip.Addr) error { return w.hns.RemoveLocalEndpoint(ip) }

// network is what the network plugin does to the network of the pods.
func network(w *world, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want delete, create, replace, management=IP or remotes=PREFIX@IP")
	}
	name, value, _ := strings.Cut(args[0], "=")
	switch name {
	case "delete":
		return w.hns.DeleteNetwork(networkName)
	case "create":
		return w.addNetwork()
	case "replace":
		_, err := w.hns.ReplaceNetwork(networkName)
		return err
	case "management":
		ip, err := netip.ParseAddr(value)
		if err != nil {
			return err
		}
		return w.hns.SetManagementIP(networkName, ip)
	case "remotes":
		return setRemotes(w, value)
	}
	return fmt.Errorf("unknown change %q", name)
}

func setRemotes(w *world, list string) error {
	var remotes []hnslb.RemoteSubnet
	for text := range strings.SplitSeq(list, ",") {
		prefix, host, _ := strings.Cut(text, "@")
		p, err := netip.ParsePrefix(prefix)
		if err != nil {
			return err
		}
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return err
		}
		remotes = append(remotes, hnslb.RemoteSubnet{Prefix: p, ProviderAddress: ip})
	}
	return w.hns.SetRemotes(networkName, remotes)
}

// together makes all that a command changes one change, except where a run splits it.
func together(do func(*world, []string) error) func(*world, []string) error {
	return func(w *world, args []string) error {
		if !w.way.variant.split {
			w.clock.mu.Lock()
			defer w.clock.mu.Unlock()
		}
		return do(w, args)
	}
}

// apply hands a section of YAML to the proxy; "invalid" after it says that the proxy
// cannot understand all of it.
func apply(w *world, args []string) error {
	wantInvalid := len(args) > 1 && args[len(args)-1] == "invalid"
	if wantInvalid {
		args = args[:len(args)-1]
	}
	for _, section := range args {
		err := w.apply(section)
		if wantInvalid && err == nil {
			return fmt.Errorf("section %s is valid", section)
		}
		if !wantInvalid && err != nil {
			return err
		}
	}
	return nil
}

// remove takes objects away: those of a section, or one named as Service/web.
func remove(w *world, args []string) error {
	for _, arg := range args {
		objects := []object{{name: arg}}
		if !strings.Contains(arg, "/") {
			var err error
			if objects, err = w.objectsOf(arg); err != nil {
				return err
			}
		}
		if err := w.remove(objects); err != nil {
			return err
		}
	}
	return nil
}

// finish lets the proxy do what it has to. Squashed runs do without.
func finish(w *world, _ []string) error {
	if !w.way.variant.squash {
		w.settle()
	}
	return nil
}

func advance(w *world, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one duration")
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	w.begin()
	w.pass(d)
	return nil
}

// restart is a new process on the HNS that the old one left.
func restart(w *world, _ []string) error {
	w.halt()
	w.start()
	return nil
}

// parseKey reads a frontend as FrontendKey.String prints it.
func parseKey(text string) (hnslb.FrontendKey, error) {
	to, protocol, _ := strings.Cut(text, "/")
	addr, err := netip.ParseAddrPort(to)
	if err != nil {
		return hnslb.FrontendKey{}, err
	}
	i := slices.IndexFunc([]hnslb.Protocol{hnslb.TCP, hnslb.UDP}, func(p hnslb.Protocol) bool { return p.String() == protocol })
	if i < 0 {
		return hnslb.FrontendKey{}, fmt.Errorf("%q: want /TCP or /UDP", text)
	}
	k := hnslb.FrontendKey{
		Family: hnslb.FamilyOf(addr.Addr()), VIP: addr.Addr(), Port: addr.Port(),
		Protocol: []hnslb.Protocol{hnslb.TCP, hnslb.UDP}[i],
	}
	if k.VIP.IsUnspecified() {
		k.VIP = netip.Addr{}
	}
	return k, nil
}
