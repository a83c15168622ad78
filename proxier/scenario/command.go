// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// HNSCommands are the commands that happen to HNS alone, whoever runs the script: what the
// network plugin, the programs of the node and HNS itself do. README.md says what each does.
func HNSCommands() map[string]func(h *HNS, args []string) error {
	return map[string]func(*HNS, []string) error{
		"local":       EachArg((*HNS).addLocal),
		"unlocal":     eachAddr((*HNS).RemoveLocalEndpoint),
		"detach":      eachAddr(func(h *HNS, ip netip.Addr) error { return h.SetAttached(ip, false) }),
		"attach":      eachAddr(func(h *HNS, ip netip.Addr) error { return h.SetAttached(ip, true) }),
		"network":     changeNetwork,
		"reserve":     EachArg(reserve((*HNS).Reserve)),
		"free":        EachArg(reserve((*HNS).Release)),
		"hns-stop":    func(h *HNS, _ []string) error { h.Stop(); return nil },
		"hns-start":   restartHNS((*HNS).Start),
		"hns-restart": restartHNS((*HNS).Restart),
	}
}

// EachArg runs a command once for each of its arguments, of which there is at least one.
func EachArg[T any](do func(T, string) error) func(T, []string) error {
	return func(to T, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("nothing is named")
		}
		for _, a := range args {
			if err := do(to, a); err != nil {
				return err
			}
		}
		return nil
	}
}

func eachAddr(do func(*HNS, netip.Addr) error) func(*HNS, []string) error {
	return EachArg(func(h *HNS, arg string) error {
		ip, err := netip.ParseAddr(arg)
		if err != nil {
			return err
		}
		return do(h, ip)
	})
}

// ChangeNode carries out the command node: it changes what the Node object says.
func ChangeNode(n *services.Node, args []string) error {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "zone":
			n.Zone = value
		case "ip":
			ips, err := parseAddrs(value)
			if err != nil {
				return err
			}
			n.IPs = ips
		default:
			return fmt.Errorf("unknown field %q", name)
		}
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
func (h *HNS) addLocal(arg string) error {
	name, list, named := strings.Cut(arg, "=")
	if !named {
		name, list = "", arg
	}
	ips, err := parseAddrs(list)
	if err != nil {
		return err
	}
	_, err = h.AddForeignEndpoint(PodNetwork, hnslb.Endpoint{Name: name, IPs: ips, MAC: podMAC(ips[0])})
	return err
}

// changeNetwork is what the network plugin does to the network of the pods.
func changeNetwork(h *HNS, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want delete, create, replace, management=IP, host=IP@MAC, adapters=IP@MAC or remotes=PREFIX@IP")
	}
	name, value, _ := strings.Cut(args[0], "=")
	switch name {
	case "delete":
		return h.DeleteNetwork(PodNetwork)
	case "create":
		return h.addPodNetwork()
	case "replace":
		_, err := h.ReplaceNetwork(PodNetwork)
		return err
	case "management":
		ip, err := netip.ParseAddr(value)
		if err != nil {
			return err
		}
		return h.SetManagementIP(PodNetwork, ip)
	case "host":
		return h.setHost(value)
	case "adapters":
		return h.setAdapters(value)
	case "remotes":
		return h.setRemotes(value)
	}
	return fmt.Errorf("unknown change %q", name)
}

// setHost gives the network its host address and the MAC of that; "none" takes both away, and an
// address alone has no MAC.
func (h *HNS) setHost(value string) error {
	if value == "none" {
		return h.SetHost(PodNetwork, netip.Addr{}, "")
	}
	address, mac, _ := strings.Cut(value, "@")
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	return h.SetHost(PodNetwork, ip, mac)
}

// setAdapters says which further addresses the host has.
func (h *HNS) setAdapters(list string) error {
	var adapters []hnslb.Adapter
	for text := range strings.SplitSeq(list, ",") {
		address, mac, _ := strings.Cut(text, "@")
		ip, err := netip.ParseAddr(address)
		if err != nil {
			return err
		}
		adapters = append(adapters, hnslb.Adapter{IP: ip, MAC: mac})
	}
	return h.SetAdapters(PodNetwork, adapters)
}

func (h *HNS) setRemotes(list string) error {
	if list == "none" {
		return h.SetRemotes(PodNetwork, nil)
	}
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
	return h.SetRemotes(PodNetwork, remotes)
}

// reserve makes a program of the host listen on a port, or stop.
func reserve(do func(*HNS, uint16, hnslb.Protocol)) func(*HNS, string) error {
	return func(h *HNS, arg string) error {
		number, protocol, _ := strings.Cut(arg, "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return err
		}
		p, err := hnslb.ParseProtocol(protocol)
		if err != nil {
			return err
		}
		do(h, uint16(port), p)
		return nil
	}
}

// restartHNS reads what HNS loses when it comes back.
func restartHNS(do func(*HNS, emulator.RestartOptions)) func(*HNS, []string) error {
	return func(h *HNS, args []string) error {
		var o emulator.RestartOptions
		for _, arg := range args {
			switch arg {
			case "lose-lbs":
				o.LoseLoadBalancers = true
			case "lose-endpoints":
				o.LoseEndpoints = true
			default:
				return fmt.Errorf("unknown word %q", arg)
			}
		}
		do(h, o)
		return nil
	}
}
