// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build realnode

package realnode

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/hcn"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/drivertest"
	driver "github.com/hnsproxy/hnsproxy/hnslb/hcn"
)

// Environment variables: the network, and "no" where endpoints cannot be attached to the host, as on an emulated HNS.
const (
	envNetwork = "HNSPROXY_NETWORK"
	envAttach  = "HNSPROXY_ATTACH"
)

// callTimeout is generous: HNS of a hosted runner may be slow, and no test is about time.
const callTimeout = 2 * time.Minute

// hostCompartment is the network compartment of the host itself.
const hostCompartment = 1

// host is this machine.
type host struct {
	t       *testing.T
	driver  hnslb.Driver
	network string
	max     int
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, network: os.Getenv(envNetwork)}
	if !strings.HasPrefix(h.network, "hnsproxy-") {
		t.Fatalf("%s=%q: want a network that is there for tests, its name begins with hnsproxy-; hack/l2bridge makes one", envNetwork, h.network)
	}
	h.driver = hnslb.WithTimeout(driver.New(func(message string) { t.Errorf("the driver warns: %s", message) }), callTimeout)
	features, err := h.driver.Features(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.max = features.MaxEndpoints
	before := h.objects(t.Context())
	t.Cleanup(func() { h.cleanUp(before) })
	return h
}

func (h *host) Driver() hnslb.Driver { return h.driver }
func (h *host) NetworkName() string  { return h.network }
func (h *host) MaxEndpoints() int    { return h.max }

// AddLocalEndpoint makes an endpoint and attaches it to the host's own compartment, where its address becomes one of the host's.
func (h *host) AddLocalEndpoint(ips ...netip.Addr) (hnslb.Endpoint, error) {
	network, err := hcn.GetNetworkByName(h.network)
	if err != nil {
		return hnslb.Endpoint{}, err
	}
	doc := &hcn.HostComputeEndpoint{Name: "local", SchemaVersion: hcn.SchemaVersion{Major: 2, Minor: 0}}
	for _, ip := range ips {
		doc.IpConfigurations = append(doc.IpConfigurations, hcn.IpConfig{IpAddress: ip.String()})
	}
	made, err := network.CreateEndpoint(doc)
	if err != nil {
		return hnslb.Endpoint{}, err
	}
	if os.Getenv(envAttach) != "no" {
		if err := attach(made.Id); err != nil {
			return hnslb.Endpoint{}, err
		}
	}
	return hnslb.Endpoint{ID: hnslb.NewID(made.Id), Name: made.Name, IPs: ips}, nil
}

func attach(id string) error {
	v1, err := hcsshim.GetHNSEndpointByID(id)
	if err == nil {
		err = v1.HostAttach(hostCompartment)
	}
	if err != nil {
		return fmt.Errorf("attach endpoint %s to the host: %w", id, err)
	}
	return nil
}

// DeleteBehind deletes past the driver under test.
func (h *host) DeleteBehind(id hnslb.ID) error {
	if lb, err := hcn.GetLoadBalancerByID(string(id)); err == nil {
		return lb.Delete()
	}
	ep, err := hcn.GetEndpointByID(string(id))
	if err != nil {
		return err
	}
	return ep.Delete()
}

// objects returns the IDs of all load balancers and endpoints.
func (h *host) objects(ctx context.Context) map[hnslb.ID]bool {
	h.t.Helper()
	balancers, err := h.driver.LoadBalancers(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	endpoints, err := h.driver.Endpoints(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[hnslb.ID]bool{}
	for _, lb := range balancers {
		all[lb.ID] = true
	}
	for _, ep := range endpoints {
		all[ep.ID] = true
	}
	return all
}

// cleanUp deletes what the test made: load balancers that were not there before, then endpoints of the tests' network.
func (h *host) cleanUp(before map[hnslb.ID]bool) {
	balancers, err := hcn.ListLoadBalancers()
	if err != nil {
		h.t.Error(err)
	}
	for _, lb := range balancers {
		if !before[hnslb.NewID(lb.Id)] {
			if err := lb.Delete(); err != nil {
				h.t.Error(err)
			}
		}
	}
	network, err := hcn.GetNetworkByName(h.network)
	if err != nil {
		h.t.Error(err)
		return
	}
	endpoints, err := hcn.ListEndpointsOfNetwork(network.Id)
	if err != nil {
		h.t.Error(err)
	}
	for _, ep := range endpoints {
		if !before[hnslb.NewID(ep.Id)] {
			if err := ep.Delete(); err != nil {
				h.t.Error(err)
			}
		}
	}
}

// TestDriver is the suite of every driver.
func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Host { return newHost(t) })
}
