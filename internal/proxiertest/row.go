// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Row is a frontend of Service shop/name in some state, on a node port if it has no VIP. A
// backend that ends with a star is an endpoint of this node.
func Row(name, vip string, state proxier.FrontendState, note desired.Note, backends ...string) proxier.FrontendStatus {
	f := &desired.Frontend{
		Key:     hnslb.FrontendKey{Family: hnslb.IPv4, Protocol: hnslb.TCP, Port: 80},
		Kind:    desired.NodePort,
		Service: services.Name{Namespace: "shop", Name: name}, InternalPort: 8080,
	}
	if vip != "" {
		f.Kind, f.Key.VIP = desired.ClusterIP, netip.MustParseAddr(vip)
		f.Key.Family = hnslb.FamilyOf(f.Key.VIP)
	}
	for _, b := range backends {
		ip, local := strings.CutSuffix(b, "*")
		f.Backends = append(f.Backends, desired.Backend{IP: netip.MustParseAddr(ip), Local: local})
	}
	return proxier.FrontendStatus{Frontend: f, State: state, Reason: note.Reason, Message: note.Message}
}
