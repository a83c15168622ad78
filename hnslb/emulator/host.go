// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// This file is what others do to HNS: the network plugin, Windows, an administrator. Their
// calls take no time and are not counted.

// NetworkSpec describes a network that AddNetwork makes.
type NetworkSpec struct {
	Name string
	// Type as HNS names it, e.g. L2Bridge or Overlay; empty means L2Bridge.
	Type string
	// ManagementIP may be the zero Addr: HNS fills it in some time after the network was
	// made [A: flannel, Calico and rke2 poll for it]; SetManagementIP does.
	ManagementIP netip.Addr
	// ManagementIPv6 is the host's IPv6 address, on which node ports of IPv6 answer.
	// hnslb.Network does not show it.
	ManagementIPv6 netip.Addr
	// HostMAC, empty for a made-up one.
	HostMAC string
	Subnets []netip.Prefix
	Remotes []hnslb.RemoteSubnet
	// LoopbackDSR is a setting of the network plugin: without it a pod does not reach
	// itself through a load balancer with DSR [A: sig-windows-tools issue 119].
	LoopbackDSR bool
}

// AddNetwork makes a network, as a network plugin does. A taken name is refused with
// 0x803b0010 [B: moby issue 37752].
func (e *Emulator) AddNetwork(spec NetworkSpec) (hnslb.Network, error) {
	var made hnslb.Network
	err := e.host("add network "+spec.Name, func() error {
		var err error
		made, err = e.createNetwork(spec, "")
		return err
	})
	return made, err
}

// createNetwork checks the rules and makes the network, with the ID if there is one.
func (e *Emulator) createNetwork(spec NetworkSpec, id hnslb.ID) (hnslb.Network, error) {
	n := &network{
		Network: hnslb.Network{
			Name: spec.Name, Type: cmp.Or(spec.Type, "L2Bridge"), ManagementIP: spec.ManagementIP,
			HostMAC: cmp.Or(spec.HostMAC, hostMAC(spec.Name)),
			Subnets: slices.Clone(spec.Subnets), Remotes: slices.Clone(spec.Remotes),
		},
		hostIPv6:    spec.ManagementIPv6,
		loopbackDSR: spec.LoopbackDSR,
	}
	switch {
	case e.store.networkByName(n.Name) != nil:
		return hnslb.Network{}, refuse(resultNetworkAlreadyExists, "")
	case n.IsOverlay() && e.trouble.faults.NoAdapter:
		return hnslb.Network{}, refuse(hnslb.ResultAdapterNotFound, "")
	}
	if err := e.ruleIDFree(id); err != nil {
		return hnslb.Network{}, err
	}
	if err := ruleNetwork(n); err != nil {
		return hnslb.Network{}, err
	}
	n.ID = e.freshID(id)
	e.insertNetwork(n)
	return publicNetwork(n), nil
}

func (e *Emulator) insertNetwork(n *network) {
	e.store.networks = append(e.store.networks, n)
	e.sendNotification(NetworkCreated, n.ID)
}

func (e *Emulator) deleteNetwork(n *network) {
	e.store.removeNetwork(n)
	e.sendNotification(NetworkDeleted, n.ID)
}

// DeleteNetwork takes a network and its endpoints away; load balancers stay, dangling.
func (e *Emulator) DeleteNetwork(name string) error {
	return e.onNetwork("delete network", name, func(n *network) error {
		e.deleteNetwork(n)
		return nil
	})
}

// ReplaceNetwork deletes a network and makes it again with the same settings: a new ID,
// no endpoints [A: docs/hns.md, Lifecycle and persistence].
func (e *Emulator) ReplaceNetwork(name string) (hnslb.Network, error) {
	var made hnslb.Network
	err := e.onNetwork("replace network", name, func(n *network) error {
		e.deleteNetwork(n)
		again := &network{Network: publicNetwork(n), hostIPv6: n.hostIPv6, loopbackDSR: n.loopbackDSR}
		again.ID = e.freshID("")
		e.insertNetwork(again)
		made = publicNetwork(again)
		return nil
	})
	return made, err
}

// SetManagementIP gives the network's host address, or changes it: adding an address to
// the host's adapter can flip it [B: k8s issue 75561]. Node ports made before keep the
// old one in their rules. An IPv6 address changes ManagementIPv6.
func (e *Emulator) SetManagementIP(name string, ip netip.Addr) error {
	return e.onNetwork("set management IP of network", name, func(n *network) error {
		if ip.IsValid() && !usableAddress(ip) {
			return refuse(hnslb.ResultInvalidArgument, "management IP %s", ip)
		}
		if ip.IsValid() && hnslb.FamilyOf(ip) == hnslb.IPv6 {
			n.hostIPv6 = ip
		} else {
			n.ManagementIP = ip
		}
		return nil
	})
}

// SetHost gives the network's host address together with the MAC of the interface that carries
// it, in one step. An empty MAC stands for an interface that is not there yet, or cannot be
// told [A: winkernel re-reads the network after 10 s and gives up without one]. Without an
// address HNS has lost it [A: Calico reports that].
func (e *Emulator) SetHost(name string, ip netip.Addr, mac string) error {
	return e.onNetwork("set host address of network", name, func(n *network) error {
		with := *n
		with.ManagementIP, with.HostMAC = ip, mac
		if err := ruleNetwork(&with); err != nil {
			return err
		}
		n.ManagementIP, n.HostMAC = ip, mac
		return nil
	})
}

// SetAdapters says which other addresses the host has, on which interfaces: a second NIC.
func (e *Emulator) SetAdapters(name string, adapters []hnslb.Adapter) error {
	return e.onNetwork("set adapters of network", name, func(n *network) error {
		with := *n
		with.Adapters = slices.Clone(adapters)
		if err := ruleNetwork(&with); err != nil {
			return err
		}
		n.Adapters = with.Adapters
		return nil
	})
}

// SetRemotes replaces the RemoteSubnetRoute policies, as an overlay's network plugin does
// when nodes come and go.
func (e *Emulator) SetRemotes(name string, remotes []hnslb.RemoteSubnet) error {
	return e.onNetwork("set remote subnets of network", name, func(n *network) error {
		return n.setRemotes(remotes)
	})
}

func (n *network) setRemotes(remotes []hnslb.RemoteSubnet) error {
	with := *n
	with.Remotes = slices.Clone(remotes)
	if err := ruleNetwork(&with); err != nil {
		return err
	}
	n.Remotes = with.Remotes
	return nil
}

// AddLocalEndpoint makes a pod's endpoint on the network of that name. Without an address
// HNS takes a free one. The network's management IP is allowed too: some plugins (Calico,
// EKS) make an endpoint for the host.
func (e *Emulator) AddLocalEndpoint(networkName string, ips ...netip.Addr) (hnslb.Endpoint, error) {
	return e.addEndpoint(networkName, hnslb.Endpoint{IPs: slices.Clone(ips)})
}

// AddForeignEndpoint makes any endpoint on the network of that name, as another program
// would, e.g. a remote one that kube-proxy.exe left behind. ep.Network is ignored; ep.ID
// is kept if it is set.
func (e *Emulator) AddForeignEndpoint(networkName string, ep hnslb.Endpoint) (hnslb.Endpoint, error) {
	ep.IPs = slices.Clone(ep.IPs)
	return e.addEndpoint(networkName, ep)
}

func (e *Emulator) addEndpoint(networkName string, ep hnslb.Endpoint) (hnslb.Endpoint, error) {
	var made hnslb.Endpoint
	err := e.onNetwork(fmt.Sprintf("add endpoint %v to network", ep.IPs), networkName, func(n *network) error {
		ep.Network = n.ID
		own, err := e.createEndpoint(ep)
		if err == nil {
			made = publicEndpoint(own, slices.Clone(own.addrs()))
		}
		return err
	})
	return made, err
}

// RemoveLocalEndpoint takes away the local endpoint with that address: the pod is gone.
func (e *Emulator) RemoveLocalEndpoint(ip netip.Addr) error {
	return e.onLocalEndpoint("remove", ip, func(ep *endpoint) { e.store.removeEndpoint(ep) })
}

// SetAttached says whether the local endpoint with that address has its switch port. While
// it has none a load balancer that names it is refused with 0x803b0007 [B: hcsshim issue
// 1043]. Endpoints are made attached.
func (e *Emulator) SetAttached(ip netip.Addr, attached bool) error {
	return e.onLocalEndpoint("attach", ip, func(ep *endpoint) { ep.detached = !attached })
}

// AddForeignLoadBalancer inserts a load balancer as it is, without HNS's checks: another
// program's, one that names no endpoint that exists, or a half-made one without mappings.
// Only a frontend that is taken and an ID that is live are refused.
func (e *Emulator) AddForeignLoadBalancer(lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	lb = publicLoadBalancer(lb)
	foldIDs(lb.Endpoints)
	err := e.host("add load balancer "+lb.ObjectName(), func() error {
		if err := e.ruleIDFree(lb.ID); err != nil {
			return err
		}
		if err := ruleLoadBalancerAddresses(lb); err != nil {
			return err
		}
		if _, taken := e.store.takenFrontend(lb); taken {
			return refuse(hnslb.ResultPortAlreadyExists, "")
		}
		lb.ID = e.freshID(lb.ID)
		e.store.insertLoadBalancer(newLoadBalancer(publicLoadBalancer(lb), e.store.networkOf(lb)))
		return nil
	})
	return lb, err
}

// DeleteBehind deletes an endpoint or a load balancer behind hnsproxy's back, e.g. with
// hnsdiag [A: k8s issue 135802].
func (e *Emulator) DeleteBehind(id hnslb.ID) error {
	id = hnslb.NewID(string(id))
	return e.host("delete "+string(id), func() error {
		if b := e.store.balancers[id]; b != nil {
			e.store.removeLoadBalancer(b)
			return nil
		}
		if ep := e.store.endpoints[id]; ep != nil {
			e.store.removeEndpoint(ep)
			return nil
		}
		return refuse(hnslb.ResultElementNotFound, "")
	})
}

// Reserve makes a program on the host listen on a port of the any-address, or reserve it.
func (e *Emulator) Reserve(port uint16, protocol hnslb.Protocol) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.store.ports.listeners[HostPort{Protocol: protocol, Port: port}] = true
}

// Release ends what Reserve began.
func (e *Emulator) Release(port uint16, protocol hnslb.Protocol) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.store.ports.listeners, HostPort{Protocol: protocol, Port: port})
}

// ReleaseLeakedPorts frees the ports that Faults.LeakPorts left behind, as a reboot does.
func (e *Emulator) ReleaseLeakedPorts() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.store.ports.leaked)
}

// BreakDataPath loses the VFP rules of a frontend that exists, or brings them back: the
// object stays as it is [A: Microsoft's check restarts HNS over this, networkhealth.ps1].
func (e *Emulator) BreakDataPath(k hnslb.FrontendKey, broken bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.store.frontends[k]
	if b == nil {
		return fmt.Errorf("emulator: break data path: no load balancer on %s", k)
	}
	b.noRules = broken
	e.store.noteLiveness(b)
	return nil
}

// host runs a change of the host's under the lock, if HNS is there to take it.
func (e *Emulator) host(what string, change func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := refuse(hnslb.ResultServerUnavailable, "")
	if !e.stopped {
		err = change()
	}
	if err != nil {
		return fmt.Errorf("emulator: %s: %w", what, err)
	}
	return nil
}

func (e *Emulator) onNetwork(what, name string, change func(*network) error) error {
	return e.host(what+" "+name, func() error {
		n := e.store.networkByName(name)
		if n == nil {
			return refuse(hnslb.ResultNetworkNotFound, "")
		}
		return change(n)
	})
}

func (e *Emulator) onLocalEndpoint(what string, ip netip.Addr, change func(*endpoint)) error {
	return e.host(what+" local endpoint "+ip.String(), func() error {
		ep := e.store.byIP.find(ip, func(ep *endpoint) bool { return !ep.remote })
		if ep == nil {
			return refuse(hnslb.ResultEndpointNotFound, "")
		}
		change(ep)
		return nil
	})
}
