// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/events"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// witness writes down what a proxy says: log lines, Events, and why it is behind.
type witness struct {
	logBook
	events []events.Event
	why    string
}

func (w *witness) Behind(_ hnslb.Family, _ time.Time, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why = why
}

func (w *witness) Updated(hnslb.Family) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why = ""
}

func (w *witness) behind() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// watched makes a proxy of HNS with a witness.
func watched(t *testing.T, hns hnslb.Driver) (*proxier.Proxier, *witness) {
	t.Helper()
	w := &witness{}
	p, err := proxier.New(proxier.Config{
		Driver: hns, Network: "pods", Node: services.Node{Name: "this"}, AuditPeriod: 30 * time.Second,
		Metrics: metrics.New(prometheus.NewRegistry()), Clock: clock.RealClock{}, Health: w,
		Logger: funcr.New(w.add, funcr.Options{}),
		SendEvent: func(e events.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, w
}

// TestLost: what is said while HNS or its network is not there, once a minute, and in the body
// of the health check.
func TestLost(t *testing.T) {
	for _, tc := range []struct {
		name     string
		spoil    func(*emulator.Emulator)
		line     string
		why, not string
	}{
		{"network missing", func(*emulator.Emulator) {}, `HNS network not found`,
			`HNS network "pods" not found; existing networks: "\x1b[2Jl2" (L2Bridge), "nat" (NAT)`, "HNS unavailable"},
		{"HNS away", func(e *emulator.Emulator) { e.Stop() }, "HNS unavailable", "0x800706ba", "network not found"},
		{"HNS answers with an error", func(e *emulator.Emulator) {
			e.FailNext(hnslb.VerbNetwork, 1000, hnslb.ResultInvalidJSON)
		}, "HNS request failed", "0x803b001b", "HNS unavailable"},
		{"features missing", func(e *emulator.Emulator) {
			e.FailNext(hnslb.VerbFeatures, 1000, hnslb.ResultElementNotFound)
		}, "HNS request failed", "0x80070490", "network not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hns := emulator.New(emulator.Config{Profile: profiles.WS2022()})
				for name, kind := range map[string]string{"nat": "NAT", "\x1b[2Jl2": "L2Bridge"} {
					if _, err := hns.AddNetwork(emulator.NetworkSpec{Name: name, Type: kind}); err != nil {
						t.Fatal(err)
					}
				}
				tc.spoil(hns)
				p, w := watched(t, hns)
				stop := proxiertest.Start(p.Run)
				for minute := range 3 {
					pass(time.Minute)
					synctest.Wait()
					if lines := w.take("existing rules left in place"); len(lines) != 1 || !strings.Contains(lines[0], tc.line) ||
						!strings.Contains(strings.ReplaceAll(strings.ReplaceAll(lines[0], `\"`, `"`), `\\`, `\`), tc.why) || strings.Contains(lines[0], tc.not) {
						t.Errorf("minute %d: logged %q, want one line with %q and %q", minute, lines, tc.line, tc.why)
					}
					if why := w.behind(); !strings.Contains(why, tc.why) {
						t.Errorf("minute %d: behind for %q, want %q", minute, why, tc.why)
					}
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestQuestionsThatHang: questions for the network that HNS does not answer do not pile up,
// and the first answer ends the wait.
func TestQuestionsThatHang(t *testing.T) {
	for _, tc := range []struct {
		verb hnslb.Verb
		most int
	}{{hnslb.VerbFeatures, 1}, {hnslb.VerbNetwork, 16}} {
		t.Run(string(tc.verb), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hns := emulator.New(emulator.Config{Profile: profiles.WS2022()})
				p, w := watched(t, hns)
				hns.Hang(tc.verb, -1)
				before := runtime.NumGoroutine()
				stop := proxiertest.Start(p.Run)
				pass(24 * time.Hour)
				synctest.Wait()
				if n := hns.Counts()[tc.verb]; n > tc.most {
					t.Errorf("%d calls hang, at most %d may", n, tc.most)
				}
				if n := runtime.NumGoroutine() - before; n > tc.most+8 {
					t.Errorf("%d goroutines after a day", n)
				}
				if lines := w.take("HNS unavailable"); len(lines) < 23*60 {
					t.Errorf("told %d times in a day, want once a minute", len(lines))
				}
				if _, err := hns.AddNetwork(emulator.NetworkSpec{Name: "pods"}); err != nil {
					t.Fatal(err)
				}
				hns.ClearFaults()
				hns.ReleaseHung()
				pass(6 * time.Second)
				synctest.Wait()
				if lines := w.take("HNS network found"); len(lines) != 1 {
					t.Errorf("after the answer: %q", lines)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestAskedAgainAfterRestart: a question that will never be answered, since HNS ended, does not
// keep others from being asked.
func TestAskedAgainAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hns := emulator.New(emulator.Config{Profile: profiles.WS2022()})
		if _, err := hns.AddNetwork(emulator.NetworkSpec{Name: "pods"}); err != nil {
			t.Fatal(err)
		}
		p, w := watched(t, hns)
		hns.Hang(hnslb.VerbFeatures, 1)
		stop := proxiertest.Start(p.Run)
		pass(time.Hour)
		synctest.Wait()
		if lines := w.take("HNS found"); len(lines) != 0 {
			t.Errorf("the question that hangs does not hang: %q", lines)
		}
		p.HNSChanged(hnslb.ServiceCame)
		pass(time.Second)
		synctest.Wait()
		if lines := w.take("HNS found"); len(lines) != 1 {
			t.Errorf("after the restart: %q", lines)
		}
		hns.ReleaseHung()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestEndpointTrouble: an endpoint whose call does not return, and one that HNS refuses, are told
// in one Event on the Service that uses it.
func TestEndpointTrouble(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*emulator.Emulator)
		want  string
	}{
		{"creation hangs", func(e *emulator.Emulator) { e.HangOn("10.244.2.5") }, "CreateEndpoint endpoint 10.244.2.5: timeout: call has not returned"},
		{"creation refused", func(e *emulator.Emulator) { e.Refuse("10.244.2.5", hnslb.ResultInvalidIP) }, "CreateEndpoint 10.244.2.5: invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hns := emulator.New(emulator.Config{Profile: profiles.WS2022()})
				if _, err := hns.AddNetwork(emulator.NetworkSpec{Name: "pods", ManagementIP: netip.MustParseAddr("10.0.0.4"),
					Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}); err != nil {
					t.Fatal(err)
				}
				tc.spoil(hns)
				p, w := watched(t, hns)
				c := newService("web", "10.96.0.5")
				if _, err := p.Store().SetService(c); err != nil {
					t.Fatal(err)
				}
				if _, err := p.Store().SetSlice(nil, newSlice("web", "10.244.2.4", "10.244.2.5")); err != nil {
					t.Fatal(err)
				}
				stop := proxiertest.Start(p.Run)
				pass(time.Hour)
				synctest.Wait()
				w.mu.Lock()
				told := w.events
				w.mu.Unlock()
				if len(told) != 1 || !strings.Contains(told[0].Message, tc.want) || told[0].Service.Name != "web" || !told[0].Warning {
					t.Errorf("told %+v, want one Event with %q", told, tc.want)
				}
				hns.ClearFaults()
				hns.ReleaseHung()
				pass(2 * time.Minute)
				if counts := p.Table().Counts(); counts[proxier.Programmed] != 1 {
					t.Errorf("after the trouble: %v", counts)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func newService(name, vip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: vip, ClusterIPs: []string{vip}, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
}

func newSlice(service string, ips ...string) *discoveryv1.EndpointSlice {
	port, protocol, name := int32(8080), corev1.ProtocolTCP, ""
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: ips[:1]}, {Addresses: ips[1:]}},
	}
}
