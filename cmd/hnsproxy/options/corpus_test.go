// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/internal/corpus"
)

// expectation is what a deployment of package corpus is understood as.
type expectation struct {
	// want is what differs from the defaults.
	want func(*Options)
	// warnings are parts of the warnings, one each.
	warnings []string
}

// expectations by the name of the deployment.
var expectations = map[string]expectation{
	"AKS": {
		func(o *Options) {
			o.Network, o.EnableDSR = "azure", true
			o.MetricsBindAddress = "0.0.0.0:10249"
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": false}
		},
		[]string{"gates WinOverlay"},
	},
	"AKS dual stack": {
		func(o *Options) {
			o.Network = "azure"
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": false, "IPv6DualStack": true}
		},
		[]string{"gates WinOverlay"},
	},
	"EKS": {
		func(o *Options) {
			o.EnableDSR = true
			o.FeatureGates = map[string]bool{"WinDSR": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	"EKS, older": {
		func(*Options) {},
		[]string{"flags --cluster-cidr --resource-container"},
	},
	"GCE": {
		func(o *Options) {
			o.Network = "l2bridge"
			o.EnableDSR, o.ForwardHealthCheckVIP, o.RunAsService = true, true, true
			o.FeatureGates = map[string]bool{"WinDSR": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	"GCE with empty values": {
		func(*Options) {},
		[]string{"flags --cluster-cidr --conntrack-min --conntrack-tcp-timeout-established --detect-local-mode --iptables-masquerade-bit --ipvs-exclude-cidrs --masquerade-all --oom-score-adj"},
	},
	"RKE2": {
		func(o *Options) {
			o.Network, o.BindAddress, o.SourceVIP, o.EnableDSR = "vxlan0", "10.0.0.4", "10.42.1.2", true
			o.HealthzBindAddress = "127.0.0.1:10256"
			o.FeatureGates = map[string]bool{"WinDSR": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	"Calico": {
		func(o *Options) {
			o.Network, o.SourceVIP, o.EnableDSR = "Calico", "10.244.1.2", true
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true}
		},
		nil,
	},
	"Calico, HostProcess": {
		func(o *Options) {
			o.Network, o.SourceVIP, o.EnableDSR = "Calico", "10.244.1.2", true
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true, "IPv6DualStack": false}
		},
		[]string{"gates IPv6DualStack"},
	},
	"flannel, HostProcess": {
		func(o *Options) {
			o.Network, o.SourceVIP = "flannel.4096", "10.244.1.2"
			o.FeatureGates = map[string]bool{"WinOverlay": true, "IPv6DualStack": false}
		},
		[]string{"gates IPv6DualStack"},
	},
	"nssm, overlay": {
		func(o *Options) {
			o.Network, o.SourceVIP = "vxlan0", "10.244.1.2"
			o.FeatureGates = map[string]bool{"WinOverlay": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	"l2bridge by script": {
		func(o *Options) { o.Network = "cbr0" },
		[]string{"flags --cluster-cidr"},
	},
	"K2s": {
		func(o *Options) { o.Network = "cbr0" },
		[]string{`place C:\var\log\kubeproxy`},
	},
	"OpenShift, before its files": {
		func(o *Options) {
			o.Network, o.SourceVIP = "OVNKubernetesHybridOverlayNetwork", "10.132.1.14"
			o.RunAsService = true
			o.FeatureGates = map[string]bool{"WinOverlay": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	"OpenShift": {
		func(o *Options) {
			o.RunAsService, o.Network, o.SourceVIP = true, "OVNKubernetesHybridOverlayNetwork", "10.132.1.14"
			o.EnableDSR = true
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true}
		},
		nil,
	},
	"kubeadm": {
		func(*Options) {},
		nil,
	},
	"kubeadm 1.37": {
		func(*Options) {},
		[]string{"mode iptables"},
	},
	"kubeadm with wins": {
		func(o *Options) {
			o.Network, o.SourceVIP, o.FeatureGates = "vxlan0", "10.244.1.2", map[string]bool{"WinOverlay": true}
		},
		[]string{`"udpIdleTimeout"`, "flags --feature-gates"},
	},
	"1.9": {
		func(o *Options) { o.Network = "l2bridge" },
		nil,
	},
	"flags of old releases": {
		func(*Options) {},
		[]string{`place C:\k`, "flags --azure-container-registry-config --cleanup-iptables --cleanup-ipvs --conntrack-max --google-json-key --log-backtrace-at --machine-id-file --proxy-port-range --resource-container --skip-headers --udp-timeout"},
	},
	"gates that come and go": {
		func(o *Options) {
			o.FeatureGates = map[string]bool{"NoSuchGate": true, "KubeProxyIPVS": true, "LoggingBetaOptions": true, "WatchListClient": false, "ContextualLogging": false}
		},
		[]string{"gates KubeProxyIPVS,NoSuchGate"},
	},
	"everything in a file": {
		func(o *Options) {
			o.Master = "https://10.0.0.1:6443"
			o.QPS, o.Burst, o.ContentType, o.AcceptContentTypes = -1, 20, "application/json", "application/json"
			o.BindAddress, o.BindAddressHardFail, o.ConfigSyncPeriod, o.Profiling = "fd00::4", true, time.Minute, true
			o.HealthzBindAddress, o.MetricsBindAddress = "127.0.0.1:10256", "[::1]:10249"
			o.SyncPeriod, o.MinSyncPeriod, o.RunAsService = 45*time.Second, 2*time.Second, true
			o.NodePortAddresses = []string{"primary", "192.168.0.0/16"}
			o.EnableDSR, o.ForwardHealthCheckVIP, o.Network, o.RootEndpoint, o.SourceVIP = true, true, "Calico", "ep0", "10.244.1.2"
			o.FeatureGates = map[string]bool{"AllowServiceExternalIPs": false, "KubeProxyIPVS": true}
		},
		[]string{"mode ipvs", "flags --bind-address file", "flags --cluster-cidr", "gates KubeProxyIPVS"},
	},
	"AKS with kubenet": {func(o *Options) { o.Network = "l2bridge" }, nil},
	"RKE2 without source VIP": {
		func(o *Options) {
			o.Network, o.BindAddress, o.HealthzBindAddress = "Calico", "10.0.0.4", "127.0.0.1:10256"
		},
		[]string{"flags --cluster-cidr"},
	},
	"Calico, BGP": {
		func(o *Options) {
			o.Network, o.EnableDSR, o.FeatureGates = "Calico", true, map[string]bool{"WinDSR": true}
		}, nil,
	},
	"OpenShift, YAML": {
		func(o *Options) {
			o.RunAsService, o.Network, o.SourceVIP, o.EnableDSR = true, "OVNKubernetesHybridOverlayNetwork", "10.132.1.14", true
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true}
		},
		nil,
	},
	"flannel, HostProcess, network by flag": {
		func(o *Options) {
			o.Network, o.SourceVIP, o.FeatureGates = "flannel.4096", "10.244.1.2", map[string]bool{"WinOverlay": true, "IPv6DualStack": false}
		},
		[]string{"gates IPv6DualStack"},
	},
	"flannel of CAPZ": {
		func(o *Options) {
			o.Network, o.SourceVIP, o.EnableDSR = "flannel.4096", "10.244.1.2", true
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true}
		},
		[]string{"flags --enable-dsr"},
	},
	"nssm, l2bridge":   {func(o *Options) { o.Network = "cbr0" }, []string{"flags --cluster-cidr"}},
	"1.10 with a file": {func(o *Options) { o.Network = "vxlan0" }, []string{`"udpTimeoutMilliseconds"`}},
}

// arguments returns those of a deployment for a machine that has its configuration file
// elsewhere, and the path of that file.
func arguments(t *testing.T, d corpus.Deployment) (args []string, file string) {
	t.Helper()
	args = d.Args()
	if d.Config != "" {
		file = filepath.Join(t.TempDir(), d.Config)
		if err := os.WriteFile(file, corpus.Config(d.Config), 0o600); err != nil {
			t.Fatal(err)
		}
		for i, arg := range args {
			args[i] = strings.Replace(arg, d.ConfigPath(), file, 1)
		}
	}
	return append(args, "--hns-driver=emulator"), file
}

// TestDeployed: each deployed command line is understood as kube-proxy understands it, and
// what has no effect is named in a warning.
func TestDeployed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range corpus.Deployments() {
		if seen[d.Name] = true; d.Refused != "" {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			tt, ok := expectations[d.Name]
			if !ok {
				t.Fatal("nothing is expected of it")
			}
			args, file := arguments(t, d)
			got, err := resolve(map[string]string{"KUBE_NETWORK": d.Network}, args...)
			if err != nil {
				t.Fatalf("%s (%s): %v", d.Line, d.Source, err)
			}
			want := New()
			want.Hostname, want.ProxyMode, want.HNS, want.Network = "host-1", "kernelspace", Emulator, "l2bridge"
			want.Kubeconfig, want.ConfigFile = d.Kubeconfig, file
			if d.Node != "" {
				want.Hostname = d.Node
			}
			tt.want(want)
			if diff := cmp.Diff(want, got.Options); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if len(got.Warnings) != len(tt.warnings) {
				t.Errorf("warnings %v, want %q", got.Warnings, tt.warnings)
			}
			for _, part := range tt.warnings {
				has := func(w Warning) bool {
					return strings.Contains(" "+strings.Trim(fmt.Sprint(w.Values), "[]")+" ", " "+part+" ")
				}
				if !slices.ContainsFunc(got.Warnings, has) {
					t.Errorf("no warning with %q in %v", part, got.Warnings)
				}
			}
		})
	}
	for name := range expectations {
		if !seen[name] {
			t.Errorf("there is no deployment %s", name)
		}
	}
}

// TestDeployedRefused: of what cannot be used any more it is said what takes its place.
func TestDeployedRefused(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, d := range corpus.Deployments() {
		if d.Refused == "" {
			continue
		}
		refused++
		args, _ := arguments(t, d)
		if _, err := resolve(nil, args...); err == nil || !strings.Contains(err.Error(), d.Refused) {
			t.Errorf("%s (%s): error %v, want %q", d.Name, d.Source, err, d.Refused)
		}
	}
	if refused == 0 {
		t.Error("nothing is refused")
	}
}

// TestLogging: logging flags outrank the file, and others do not.
func TestLogging(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, corpus.Config("full.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                      "3 text []",
		"--v=6":                 "6 text []",
		"--vmodule=a=2":         "3 text [{a 2}]",
		"--logging-format=json": "3 json []",
	} {
		r, err := resolve(nil, append(strings.Fields(args), "--config="+file, "--hns-driver=emulator")...)
		if err != nil {
			t.Fatal(err)
		}
		l := r.Config.Logging
		if got := fmt.Sprint(uint32(l.Verbosity), " ", l.Format, " ", l.VModule); got != want {
			t.Errorf("%q: verbosity, format and modules %s, want %s", args, got, want)
		}
	}
}
