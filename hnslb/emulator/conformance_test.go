// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/drivertest"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
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
	for _, profile := range profiles.All() {
		for _, networkType := range []string{"L2Bridge", hnslb.NetworkOverlay} {
			t.Run(profile.Name+"/"+networkType, func(t *testing.T) {
				conform(t, emulator.Config{Profile: profile}, networkType)
			})
		}
	}
	t.Run("with latency", func(t *testing.T) {
		conform(t, emulator.Config{
			Profile: profiles.WS2025(),
			Latency: emulator.Latency{Read: 10 * time.Microsecond, Write: 20 * time.Microsecond},
		}, "L2Bridge")
	})
}

func conform(t *testing.T, c emulator.Config, networkType string) {
	t.Helper()
	drivertest.Run(t, func(t *testing.T) drivertest.Host {
		t.Helper()
		return host{nodeOf(t, c, spec(networkType)).Emulator}
	})
}
