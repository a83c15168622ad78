// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/drivertest"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// host gives an emulator the shape that the conformance suite asks for.
type host struct{ *emulator.Emulator }

func (h host) Driver() hnslb.Driver { return h.Emulator }
func (h host) NetworkName() string  { return "Calico" }
func (h host) MaxEndpoints() int    { return h.Profile().MaxEndpoints }
func (h host) StopHNS()             { h.Stop() }
func (h host) StartHNS()            { h.Start(emulator.RestartOptions{}) }
func (h host) Hang(v hnslb.Verb)    { h.Emulator.Hang(v, -1) }
func (h host) Unhang()              { h.ReleaseHung() }

func (h host) AddLocalEndpoint(ips ...netip.Addr) (hnslb.Endpoint, error) {
	return h.Emulator.AddLocalEndpoint(h.NetworkName(), ips...)
}

func TestConformance(t *testing.T) {
	for _, profile := range emulator.Profiles() {
		for _, networkType := range []string{"L2Bridge", hnslb.NetworkOverlay} {
			t.Run(profile.Name+"/"+networkType, func(t *testing.T) {
				drivertest.Run(t, func(t *testing.T) drivertest.Host {
					t.Helper()
					e := emulator.New(emulator.Config{Profile: profile})
					_, err := e.AddNetwork(emulator.NetworkSpec{
						Name: "Calico", Type: networkType,
						ManagementIP:   netip.MustParseAddr("10.0.0.5"),
						ManagementIPv6: netip.MustParseAddr("fd00:10::5"),
						Subnets: []netip.Prefix{
							netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:244:1::/64"),
						},
					})
					if err != nil {
						t.Fatal(err)
					}
					return host{e}
				})
			})
		}
	}
}
