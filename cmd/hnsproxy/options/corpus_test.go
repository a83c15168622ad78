// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// deployed are command lines that run kube-proxy on Windows nodes out there, with the place
// that they are from.
var deployed = []struct {
	name, source string
	env          map[string]string
	args         string
	// want is what differs from the defaults.
	want func(*Options)
	// warnings are parts of the warnings, one each.
	warnings []string
}{
	{
		"AKS", "https://github.com/Azure/AgentBaker/tree/master/staging/cse/windows", map[string]string{"KUBE_NETWORK": "azure"},
		`--v=3 --proxy-mode=kernelspace --hostname-override=AKSWIN000001 --kubeconfig=c:\k\config --metrics-bind-address=0.0.0.0:10249 --enable-dsr=true --feature-gates=WinDSR=true,WinOverlay=false`,
		func(o *Options) {
			o.Hostname, o.Kubeconfig, o.Network, o.EnableDSR = "akswin000001", `c:\k\config`, "azure", true
			o.MetricsBindAddress = "0.0.0.0:10249"
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": false}
		},
		[]string{"gates WinOverlay"},
	},
	{
		"AKS dual stack", "https://github.com/Azure/aks-engine/blob/master/staging/provisioning/windows/kubeproxystart.ps1", map[string]string{"KUBE_NETWORK": "azure"},
		`--v=3 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=c:\k\config --feature-gates=WinDSR=true,WinOverlay=false,IPv6DualStack=true`,
		func(o *Options) {
			o.Hostname, o.Kubeconfig, o.Network = "n", `c:\k\config`, "azure"
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": false, "IPv6DualStack": true}
		},
		[]string{"gates WinOverlay"},
	},
	{
		"EKS", "https://docs.aws.amazon.com/eks/latest/userguide/eks-optimized-windows-ami.html", nil,
		`--kubeconfig=C:\ProgramData\kubernetes\kubeconfig --v=1 --proxy-mode=kernelspace --hostname-override=ip-10-0-0-4.ec2.internal --feature-gates WinDSR=true --enable-dsr --cluster-cidr=10.0.0.0/16 --logtostderr=true`,
		func(o *Options) {
			o.Hostname, o.Kubeconfig, o.EnableDSR = "ip-10-0-0-4.ec2.internal", `C:\ProgramData\kubernetes\kubeconfig`, true
			o.FeatureGates = map[string]bool{"WinDSR": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	{
		"EKS, older", "https://docs.aws.amazon.com/eks/latest/userguide/eks-optimized-windows-ami.html", nil,
		`--kubeconfig=C:\k\config --v=1 --proxy-mode=kernelspace --hostname-override=n --resource-container="" --cluster-cidr=10.0.0.0/16 --logtostderr=true`,
		func(o *Options) { o.Hostname, o.Kubeconfig = "n", `C:\k\config` },
		[]string{"flags --cluster-cidr --resource-container"},
	},
	{
		"GCE", "https://github.com/kubernetes/kubernetes/blob/v1.30.0/cluster/gce/windows/k8s-node-setup.psm1", map[string]string{"KUBE_NETWORK": "l2bridge"},
		`--kubeconfig=C:\etc\kubernetes\kubeproxy.kubeconfig --cluster-cidr=10.64.0.0/14 --hostname-override=n --v=2 --proxy-mode=kernelspace --windows-service=true --feature-gates=WinDSR=true --enable-dsr=true --forward-healthcheck-vip=true`,
		func(o *Options) {
			o.Hostname, o.Kubeconfig, o.Network = "n", `C:\etc\kubernetes\kubeproxy.kubeconfig`, "l2bridge"
			o.EnableDSR, o.ForwardHealthCheckVIP, o.RunAsService = true, true, true
			o.FeatureGates = map[string]bool{"WinDSR": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	{
		"GCE with empty values", "https://github.com/kubernetes/kubernetes/blob/v1.30.0/cluster/gce/windows/k8s-node-setup.psm1", nil,
		`--kubeconfig=C:\k\c --cluster-cidr= --hostname-override= --feature-gates= --enable-dsr= --conntrack-min= --ipvs-exclude-cidrs= --iptables-masquerade-bit= --detect-local-mode= --oom-score-adj= --conntrack-tcp-timeout-established= --masquerade-all=`,
		func(o *Options) { o.Kubeconfig = `C:\k\c` },
		[]string{"flags --cluster-cidr --conntrack-min --conntrack-tcp-timeout-established --detect-local-mode --iptables-masquerade-bit --ipvs-exclude-cidrs --masquerade-all --oom-score-adj"},
	},
	{
		"RKE2", "https://github.com/rancher/rke2/tree/master/pkg/windows", nil,
		`--network-name=vxlan0 --bind-address=10.0.0.4 --source-vip=10.42.1.2 --feature-gates=WinDSR=true --enable-dsr=true --proxy-mode=kernelspace --healthz-bind-address=127.0.0.1 --kubeconfig=C:\k --cluster-cidr=10.42.0.0/16 --hostname-override=n`,
		func(o *Options) {
			o.Network, o.BindAddress, o.SourceVIP, o.EnableDSR = "vxlan0", "10.0.0.4", "10.42.1.2", true
			o.HealthzBindAddress, o.Kubeconfig, o.Hostname = "127.0.0.1:10256", `C:\k`, "n"
			o.FeatureGates = map[string]bool{"WinDSR": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	{
		"Calico", "https://github.com/projectcalico/calico/tree/master/node/windows-packaging/CalicoWindows", map[string]string{"KUBE_NETWORK": "Calico"},
		`--hostname-override=n --v=4 --proxy-mode=kernelspace --kubeconfig=c:\k\config --enable-dsr=true --source-vip=10.244.1.2 --feature-gates=WinDSR=true,WinOverlay=true`,
		func(o *Options) {
			o.Network, o.SourceVIP, o.EnableDSR, o.Kubeconfig, o.Hostname = "Calico", "10.244.1.2", true, `c:\k\config`, "n"
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true}
		},
		nil,
	},
	{
		"Calico, HostProcess", "https://github.com/kubernetes-sigs/sig-windows-tools/blob/master/hostprocess/calico/kube-proxy/start.ps1", map[string]string{"KUBE_NETWORK": "Calico"},
		`--hostname-override=n --v=2 --proxy-mode=kernelspace --kubeconfig=C:\C\mount/var/lib/kube-proxy/kubeconfig.conf --enable-dsr=true --source-vip=10.244.1.2 --feature-gates=WinDSR=true,WinOverlay=true,IPv6DualStack=false`,
		func(o *Options) {
			o.Network, o.SourceVIP, o.EnableDSR, o.Hostname = "Calico", "10.244.1.2", true, "n"
			o.Kubeconfig = `C:\C\mount/var/lib/kube-proxy/kubeconfig.conf`
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true, "IPv6DualStack": false}
		},
		[]string{"gates IPv6DualStack"},
	},
	{
		"flannel, HostProcess", "https://github.com/kubernetes-sigs/sig-windows-tools/blob/master/hostprocess/flannel/kube-proxy/start.ps1", map[string]string{"KUBE_NETWORK": "flannel.4096"},
		`--v=6 --hostname-override=n --feature-gates=WinOverlay=true,IPv6DualStack=false --proxy-mode=kernelspace --source-vip=10.244.1.2 --kubeconfig=/var/lib/kube-proxy/kubeconfig.conf`,
		func(o *Options) {
			o.Network, o.SourceVIP, o.Hostname, o.Kubeconfig = "flannel.4096", "10.244.1.2", "n", "/var/lib/kube-proxy/kubeconfig.conf"
			o.FeatureGates = map[string]bool{"WinOverlay": true, "IPv6DualStack": false}
		},
		[]string{"gates IPv6DualStack"},
	},
	{
		"nssm, overlay", "https://github.com/microsoft/SDN/tree/master/Kubernetes/flannel", nil,
		`--v=4 --proxy-mode=kernelspace --feature-gates=WinOverlay=true --hostname-override=n --kubeconfig=c:\k\config --network-name=vxlan0 --source-vip=10.244.1.2 --enable-dsr=false --cluster-cidr=10.244.0.0/16 --log-dir=C:\k --logtostderr=false`,
		func(o *Options) {
			o.Network, o.SourceVIP, o.Hostname, o.Kubeconfig = "vxlan0", "10.244.1.2", "n", `c:\k\config`
			o.FeatureGates = map[string]bool{"WinOverlay": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	{
		"l2bridge by script", "https://github.com/microsoft/SDN/blob/master/Kubernetes/windows/start-kubeproxy.ps1", map[string]string{"KUBE_NETWORK": "cbr0"},
		`--v=4 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=c:\k\config --cluster-cidr=192.168.0.0/16`,
		func(o *Options) { o.Network, o.Hostname, o.Kubeconfig = "cbr0", "n", `c:\k\config` },
		[]string{"flags --cluster-cidr"},
	},
	{
		"K2s", "https://github.com/Siemens-Healthineers/K2s", map[string]string{"KUBE_NETWORK": "cbr0"},
		`--v=6 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=C:\k\config --enable-dsr=false --log-dir=C:\var\log\kubeproxy --logtostderr=true`,
		func(o *Options) { o.Network, o.Hostname, o.Kubeconfig = "cbr0", "n", `C:\k\config` },
		[]string{`place C:\var\log\kubeproxy`},
	},
	{
		"OpenShift, before its files", "https://github.com/openshift/windows-machine-config-operator", nil,
		`--windows-service --v=4 --proxy-mode=kernelspace --feature-gates=WinOverlay=true --hostname-override=n --kubeconfig=c:\k\kubeconfig --cluster-cidr=10.132.1.0/24 --log-dir=C:\var\log\kube-proxy --logtostderr=false --network-name=OVNKubernetesHybridOverlayNetwork --source-vip=10.132.1.14 --enable-dsr=false`,
		func(o *Options) {
			o.Network, o.SourceVIP, o.Hostname, o.Kubeconfig = "OVNKubernetesHybridOverlayNetwork", "10.132.1.14", "n", `c:\k\kubeconfig`
			o.RunAsService = true
			o.FeatureGates = map[string]bool{"WinOverlay": true}
		},
		[]string{"flags --cluster-cidr"},
	},
	{
		"OpenShift", "https://github.com/openshift/windows-machine-config-operator", nil, `--config testdata/config/wmco.json --windows-service`,
		func(o *Options) {
			o.ConfigFile, o.RunAsService, o.Network, o.SourceVIP = "testdata/config/wmco.json", true, "OVNKubernetesHybridOverlayNetwork", "10.132.1.14"
			o.Hostname, o.Kubeconfig, o.EnableDSR = "winhost-1", `C:\k\kubeconfig`, true
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true}
		},
		nil,
	},
	{
		"kubeadm", "https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/phases/addons/proxy/manifests.go", nil,
		`--config=testdata/config/kubeadm.yaml --hostname-override=Win-1`,
		func(o *Options) {
			o.ConfigFile, o.Hostname, o.Kubeconfig = "testdata/config/kubeadm.yaml", "win-1", "/var/lib/kube-proxy/kubeconfig.conf"
		},
		nil,
	},
	{
		"kubeadm 1.37", "https://github.com/kubernetes/kubernetes/pull/139777", nil, `--config=testdata/config/kubeadm-1.37.yaml --hostname-override=win-1`,
		func(o *Options) {
			o.ConfigFile, o.Hostname, o.Kubeconfig = "testdata/config/kubeadm-1.37.yaml", "win-1", "/var/lib/kube-proxy/kubeconfig.conf"
		},
		[]string{"mode iptables"},
	},
	{
		"kubeadm with wins", "https://github.com/kubernetes-sigs/sig-windows-tools/tree/v0.1.5/kubeadm", nil,
		`--v=6 --config=testdata/config/kubeadm-1.21.yaml --hostname-override=win-1 --feature-gates=WinOverlay=true`,
		func(o *Options) {
			o.ConfigFile, o.Hostname, o.Kubeconfig = "testdata/config/kubeadm-1.21.yaml", "win-1", "/var/lib/kube-proxy/kubeconfig.conf"
			o.Network, o.SourceVIP, o.FeatureGates = "vxlan0", "10.244.1.2", map[string]bool{"WinOverlay": true}
		},
		[]string{`"udpIdleTimeout"`, "flags --feature-gates"},
	},
	{
		"1.9", "https://github.com/MicrosoftDocs/Virtualization-Documentation", map[string]string{"KUBE_NETWORK": "l2bridge"},
		`--v=4 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=c:\k\config --network-name=l2bridge --log-dir=C:\k --logtostderr=false`,
		func(o *Options) { o.Network, o.Hostname, o.Kubeconfig = "l2bridge", "n", `c:\k\config` },
		nil,
	},
	{
		"flags of old releases", "https://github.com/kubernetes/kubernetes/blob/v1.9.0/cmd/kube-proxy/app/server.go", nil,
		`--cleanup-iptables --cleanup-ipvs=false --resource-container=/kube-proxy --udp-timeout=250ms --proxy-port-range=0-0 --conntrack-max=0 --google-json-key= --azure-container-registry-config= --log_dir=C:\k --log-backtrace-at=:0 --skip-headers --machine-id-file=/etc/machine-id`,
		func(*Options) {},
		[]string{`place C:\k`, "flags --azure-container-registry-config --cleanup-iptables --cleanup-ipvs --conntrack-max --google-json-key --log-backtrace-at --machine-id-file --proxy-port-range --resource-container --skip-headers --udp-timeout"},
	},
	{
		"gates that come and go", "https://github.com/projectcalico/calico/issues/5539", nil, `--feature-gates=NoSuchGate=true,KubeProxyIPVS=true,LoggingBetaOptions=true,WatchListClient=false,ContextualLogging=false`,
		func(o *Options) {
			o.FeatureGates = map[string]bool{"NoSuchGate": true, "KubeProxyIPVS": true, "LoggingBetaOptions": true, "WatchListClient": false, "ContextualLogging": false}
		},
		[]string{"gates KubeProxyIPVS,NoSuchGate"},
	},
	{
		"everything in a file", "", nil, `--config=testdata/config/full.yaml --v=5 --bind-address=10.0.0.9 --cluster-cidr=10.0.0.0/8 --master=https://10.0.0.1:6443`,
		func(o *Options) {
			o.ConfigFile, o.Hostname, o.Kubeconfig, o.Master = "testdata/config/full.yaml", "from-file", `C:\k\config`, "https://10.0.0.1:6443"
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
}

// TestDeployed: each deployed command line is understood as kube-proxy understands it, and
// what has no effect is named in a warning.
func TestDeployed(t *testing.T) {
	t.Parallel()
	for _, tt := range deployed {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(strings.ReplaceAll(tt.args, `""`, "")), "--hns-driver=emulator")
			got, err := resolve(tt.env, args...)
			if err != nil {
				t.Fatalf("%s (%s): %v", tt.args, tt.source, err)
			}
			want := New()
			want.Hostname, want.ProxyMode, want.HNS, want.Network = "host-1", "kernelspace", Emulator, "l2bridge"
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
}

// TestDeployedUserspace: what ran the userspace mode is told what takes its place.
func TestDeployedUserspace(t *testing.T) {
	t.Parallel()
	for source, args := range map[string]string{
		"https://kubernetes.io/blog/2016/12/windows-server-support-kubernetes":                                     `--v=3 --proxy-mode=userspace --hostname-override=10.0.0.4 --master=http://10.0.0.1:8080 --bind-address=10.0.0.4`,
		"https://github.com/kubernetes-sigs/sig-windows-tools/blob/master/hostprocess/antrea/kube-proxy/start.ps1": `--proxy-mode=userspace --kubeconfig=/var/lib/kube-proxy/kubeconfig.conf --log-dir=C:\var\log\kube-proxy --logtostderr=false --alsologtostderr`,
	} {
		_, err := resolve(nil, append(strings.Fields(args), "--hns-driver=emulator")...)
		if err == nil || !strings.Contains(err.Error(), "--proxy-mode=userspace: the userspace mode is gone since Kubernetes 1.26: kernelspace does what it did") {
			t.Errorf("%s: error %v", source, err)
		}
	}
}

// TestLogging: logging flags outrank the file, and others do not.
func TestLogging(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                      "3 text []",
		"--v=6":                 "6 text []",
		"--vmodule=a=2":         "3 text [{a 2}]",
		"--logging-format=json": "3 json []",
	} {
		r, err := resolve(nil, append(strings.Fields(args), "--config="+filepath.Join("testdata", "config", "full.yaml"), "--hns-driver=emulator")...)
		if err != nil {
			t.Fatal(err)
		}
		l := r.Config.Logging
		if got := fmt.Sprint(uint32(l.Verbosity), " ", l.Format, " ", l.VModule); got != want {
			t.Errorf("%q: verbosity, format and modules %s, want %s", args, got, want)
		}
	}
}
