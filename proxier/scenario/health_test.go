// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing/synctest"

	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/proxier/health"
)

// newMachine has the addresses of the node: that of the Node object, another one, and those
// of the pods' network.
func newMachine() *proxiertest.Network {
	return proxiertest.NewNetwork(
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("10.0.0.4/24"), netip.MustParsePrefix("192.168.7.4/24"),
		netip.MustParsePrefix("10.244.1.2/24"), netip.MustParsePrefix("fd00:10::4/64"))
}

// checkedBy makes the health-check node ports of a proxy that is about to start.
func (w *world) checkedBy(proxy *health.Health) {
	w.ports = health.NewNodePorts(health.NodePortsConfig{
		Healthy:     proxy.Healthy,
		Addresses:   w.options.NodePortAddresses,
		EachAddress: w.options.RootEndpoint != "",
		Network:     w.machine,
		Clock:       &w.clock,
		Logger:      w.logger(),
	})
	w.ports.Follow(w.proxy.Store(), w.node.Name)
	w.ports.SetNode(w.node)
}

// checkHealth asks a health-check node port, "IP:PORT -> CODE BODY", the body without
// spaces, or "IP:PORT -> closed".
func checkHealth(w *world, args []string) error {
	w.settle()
	synctest.Wait()
	if len(args) < 3 || args[1] != "->" {
		return fmt.Errorf("want IP:PORT -> CODE BODY, or closed")
	}
	at, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	got, err := ask(w.machine, at)
	if err != nil {
		return err
	}
	if want := strings.Join(args[2:], " "); got != want {
		w.t.Errorf("%s\n got %s", w.at, got)
	}
	return nil
}

func ask(machine *proxiertest.Network, at netip.AddrPort) (string, error) {
	response, body, err := machine.Get(context.Background(), at)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "closed", nil
	}
	if err != nil {
		return "", err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(body)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %s", response.StatusCode, compact.String()), nil
}
