// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package drivertest

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Host is a machine with HNS that one test may change as it likes. It has one network that
// VFP serves, with a management IP and an IPv4 subnet of at least 64 addresses for pods,
// and no load balancer on the addresses 198.18.0.0/24 and 2001:db8::/64.
type Host interface {
	// Driver under test.
	Driver() hnslb.Driver
	// NetworkName is the name of the network.
	NetworkName() string
	// MaxEndpoints that one load balancer may name.
	MaxEndpoints() int
	// AddLocalEndpoint makes a pod's endpoint, as a network plugin does. The second
	// address, if any, is IPv6.
	AddLocalEndpoint(ips ...netip.Addr) (hnslb.Endpoint, error)
	// DeleteBehind deletes an object past the driver.
	DeleteBehind(id hnslb.ID) error
}

// Stopper is a Host whose HNS can be stopped.
type Stopper interface {
	// StopHNS ends the service; StartHNS brings it back with its objects.
	StopHNS()
	StartHNS()
}

// Hanger is a Host whose HNS can hang.
type Hanger interface {
	// Hang makes every call of the verb hang until its context ends or Unhang is called.
	Hang(v hnslb.Verb)
	Unhang()
}

// Run runs the suite. newHost is called once per test; what it needs to clean up it
// registers with t.
func Run(t *testing.T, newHost func(t *testing.T) Host) {
	t.Helper()
	for _, c := range suite() {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			c.test(&fixture{T: t, host: h, driver: h.Driver()})
		})
	}
	if _, ok := newHost(t).(Stopper); ok {
		t.Run("service away", func(t *testing.T) {
			h := newHost(t)
			testServiceAway(&fixture{T: t, host: h, driver: h.Driver()}, h.(Stopper))
		})
	}
	if _, ok := newHost(t).(Hanger); ok {
		t.Run("call ends with its context", func(t *testing.T) {
			h := newHost(t)
			testHangingCall(&fixture{T: t, host: h, driver: h.Driver()}, h.(Hanger))
		})
	}
}

type testCase struct {
	name string
	test func(f *fixture)
}

func suite() []testCase {
	return []testCase{
		{"features", testFeatures},
		{"network", testNetwork},
		{"network not found", testNetworkNotFound},
		{"lists of a new host", testEmptyLists},
		{"remote endpoint", testRemoteEndpoint},
		{"remote endpoint anywhere", testRemoteAnywhere},
		{"local endpoint", testLocalEndpoint},
		{"endpoint refusals", testEndpointRefusals},
		{"endpoint not found", testEndpointNotFound},
		{"load balancer values", testBalancerValues},
		{"dual stack", testDualStack},
		{"node ports of both families", testNodePortFamilies},
		{"frontend taken", testFrontendTaken},
		{"frontends that differ", testFrontendsDiffer},
		{"frontend free after delete", testFrontendFreed},
		{"endpoint list refusals", testEndpointLists},
		{"load balancer not found", testBalancerNotFound},
		{"create with ID", testCreateWithID},
		{"update", testUpdate},
		{"update refusals", testUpdateRefusals},
		{"deleted endpoint dangles", testDangling},
		{"deleted behind", testDeletedBehind},
		{"values belong to the caller", testOwnValues},
		{"context ended before", testCancelled},
		{"concurrent use", testConcurrent},
	}
}
