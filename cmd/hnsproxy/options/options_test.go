// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// command returns a command line with all flags, and the set that they are parsed by.
func command() (*CommandLine, *pflag.FlagSet) {
	c, sets := NewCommandLine(), NewFlagSets()
	c.AddAll(sets)
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.SetNormalizeFunc(sets.NormalizeNameFunc)
	sets.AddTo(fs)
	return c, fs
}

// resolve says what a command line means on a host named Host-1.
func resolve(env map[string]string, args ...string) (*Resolved, error) {
	c, fs := command()
	fs.SetOutput(io.Discard)
	if err := fs.Parse(args); err != nil {
		return nil, FlagError(fs, err)
	}
	return c.Resolve(Host{
		Getenv:   func(k string) string { return env[k] },
		Hostname: func() (string, error) { return "Host-1", nil },
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		want func(*Options)
	}{
		{"nothing but the host's name", nil, nil, func(*Options) {}},
		{"underscores equal dashes", nil, []string{"--enable_dsr", "--source_vip=10.0.0.9"}, func(o *Options) {
			o.EnableDSR, o.SourceVIP = true, "10.0.0.9"
		}},
		{
			"empty values keep defaults, as GCE passes them", nil,
			[]string{"--feature-gates=", "--hostname-override=", "--kubeconfig=", "--source-vip=", "--iptables-sync-period=", "--kube-api-qps=", "--enable-dsr=", "--bind-address="},
			func(*Options) {},
		},
		{"addresses of node ports", nil, []string{"--nodeport-addresses=10.0.0.0/8,fd00::/16", "--nodeport-addresses=192.168.0.1/32"}, func(o *Options) {
			o.NodePortAddresses = []string{"10.0.0.0/8", "fd00::/16", "192.168.0.1/32"}
		}},
		{"no addresses of node ports", nil, []string{"--nodeport-addresses="}, func(*Options) {}},
		{"an empty address serves nothing", nil, []string{"--metrics-bind-address=", "--healthz-bind-address="}, func(o *Options) {
			o.MetricsBindAddress, o.HealthzBindAddress = "", ""
		}},
		{"addresses without ports", nil, []string{"--metrics-bind-address=0.0.0.0", "--healthz-bind-address=::1"}, func(o *Options) {
			o.MetricsBindAddress, o.HealthzBindAddress = "0.0.0.0:10249", "[::1]:10256"
		}},
		{"hostname is trimmed and lower-cased", nil, []string{"--hostname-override= Win-Node-1 "}, func(o *Options) { o.Hostname = "win-node-1" }},
		{"network from the environment", map[string]string{"KUBE_NETWORK": "l2bridge"}, nil, func(o *Options) { o.Network = "l2bridge" }},
		{"flag outranks environment", map[string]string{"KUBE_NETWORK": "l2bridge"}, []string{"--network-name=Calico"}, func(o *Options) { o.Network = "Calico" }},
		{"the emulator names its network", nil, []string{"--emulator-network-type=overlay"}, func(o *Options) {
			o.Network, o.Emulated.NetworkType = "vxlan0", "overlay"
		}},
		{"kubeconfig from the environment", map[string]string{"KUBECONFIG": `C:\k\config`}, nil, func(o *Options) { o.KubeconfigList = `C:\k\config` }},
		{"kubeconfig flag outranks environment", map[string]string{"KUBECONFIG": `C:\k\config`}, []string{"--kubeconfig=c:\\x"}, func(o *Options) { o.Kubeconfig = "c:\\x" }},
		{"periods of other modes do not count", nil, []string{"--ipvs-sync-period=7s"}, func(*Options) {}},
		{"deprecated ports that are off", nil, []string{"--healthz-port=0", "--metrics-port=0"}, func(o *Options) {
			o.HealthzBindAddress, o.MetricsBindAddress = "", ""
		}},
		{"deprecated ports count where the address has none", nil, []string{"--healthz-port=1", "--metrics-port=2", "--healthz-bind-address=10.0.0.4"}, func(o *Options) {
			o.HealthzBindAddress = "10.0.0.4:1"
		}},
		{"as a service", nil, []string{"--windows-service"}, func(o *Options) { o.RunAsService = true }},
		{"feature gates", nil, []string{"--feature-gates=WinDSR=true,WinOverlay=true"}, func(o *Options) {
			o.FeatureGates = map[string]bool{"WinDSR": true, "WinOverlay": true}
		}},
		{"objects add up", nil, []string{"--objects=a.yaml", "--objects=b,c.yaml"}, func(o *Options) { o.Objects = []string{"a.yaml", "b,c.yaml"} }},
		{"periods", nil, []string{"--iptables-sync-period=1m", "--iptables-min-sync-period=0", "--config-sync-period=2m"}, func(o *Options) {
			o.SyncPeriod, o.MinSyncPeriod, o.ConfigSyncPeriod = time.Minute, 0, 2*time.Minute
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := New()
			want.Hostname, want.ProxyMode, want.HNS, want.Network = "host-1", "kernelspace", Emulator, "l2bridge"
			tt.want(want)
			got, err := resolve(tt.env, append([]string{"--hns=emulator"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Options); diff != "" {
				t.Errorf("options of %q (-want +got):\n%s", tt.args, diff)
			}
		})
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ min, want time.Duration }{
		{0, 0}, {10 * time.Millisecond, 10 * time.Millisecond}, {time.Second, 50 * time.Millisecond},
	} {
		if got := (&Options{MinSyncPeriod: tt.min}).Gather(); got != tt.want {
			t.Errorf("--iptables-min-sync-period=%v gathers for %v, want %v", tt.min, got, tt.want)
		}
	}
}

// TestValidate: each mistake is named with its flag, its value and a way out, and all
// mistakes are named at once.
func TestValidate(t *testing.T) {
	t.Parallel()
	const ok = "--hns=emulator --objects=x "
	for _, tt := range []struct {
		args string
		want []string // parts of the problems, one each
	}{
		{ok, nil},
		{ok + "--proxy-mode=kernelspace", nil},
		{ok + "--feature-gates=WinDSR=false,LoggingBetaOptions=true", nil},
		{ok + "--healthz-bind-address=127.0.0.1:0", nil},
		{ok + "--proxy-mode=userspace", []string{"--proxy-mode=userspace: the userspace mode was removed in Kubernetes 1.26"}},
		{ok + "--proxy-mode=ipvs", []string{"use --proxy-mode=kernelspace"}},
		{ok + "--proxy-mode=Kernelspace", []string{"unknown mode"}},
		{"--hns=hcn --objects=x --network-name=n", []string{"use --hns-driver=emulator"}},
		{"--hns=hcn --objects=x", []string{"use --hns-driver=emulator"}},
		{ok + "--hns=hnsv3", []string{"use hcn or emulator"}},
		{ok + "--kubeconfig=y", []string{"remove --kubeconfig"}},
		{"--hns=emulator --objects=- --objects=x", []string{"standard input cannot be combined"}},
		{ok + "--source-vip=10.0.0", []string{"--source-vip=10.0.0: must be an IP address"}},
		{ok + "--source-vip=10.244.01.2", []string{"--source-vip=10.244.01.2: has leading zeros, which some programs parse as octal; use 10.244.1.2"}},
		{ok + "--bind-address=010.0.0.4", []string{"--bind-address=010.0.0.4: has leading zeros, which some programs parse as octal; use 10.0.0.4"}},
		{ok + "--source-vip=0.0.0.0", []string{"--source-vip=0.0.0.0"}},
		{ok + "--bind-address=node-1", []string{"--bind-address=node-1"}},
		{ok + "--nodeport-addresses=primary", nil},
		{ok + "--hns-unenforced-source-ranges=skip", nil},
		{ok + "--hns-unenforced-source-ranges=drop", []string{"--hns-unenforced-source-ranges=drop: is neither program nor skip; the default is program"}},
		{ok + "--nodeport-addresses=10.0.0.0/8,::/0 --forward-healthcheck-vip", nil},
		{ok + "--nodeport-addresses=primary,10.0.0.0/8,localhost,all", nil},
		{ok + "--nodeport-addresses=primary,10.0.0.0/8,primary", []string{"--nodeport-addresses=primary,10.0.0.0/8,primary: \"primary\" is listed twice"}},
		{ok + "--nodeport-addresses=10.0.0.4", []string{"\"10.0.0.4\" must be a range of IP addresses"}},
		{ok + "--nodeport-addresses=010.0.0.0/8", []string{"\"010.0.0.0/8\" has leading zeros, which some programs parse as octal; use 10.0.0.0/8; use ranges such as"}},
		{ok + "--forward-healthcheck-vip --root-hnsendpoint-name=", nil},
		{ok + "--root-hnsendpoint-name=", nil},
		{ok + "--metrics-bind-address=localhost:1", []string{"--metrics-bind-address=localhost:1"}},
		{ok + "--healthz-bind-address=0.0.0.0:99999", []string{"--healthz-bind-address=0.0.0.0:99999"}},
		{ok + "--iptables-sync-period=0", []string{"--iptables-sync-period=0s: must be at least 1s"}},
		{ok + "--config-sync-period=-1s", []string{"--config-sync-period=-1s"}},
		{ok + "--iptables-min-sync-period=1m", []string{"must not be longer than --iptables-sync-period (30s)"}},
		{ok + "--iptables-min-sync-period=-1s", []string{"must not be negative"}},
		{ok + "--hns-call-timeout=0s", []string{"--hns-call-timeout=0s"}},
		{ok + "--hns-share=0", []string{"--hns-share=0: must be a fraction from 0.05 to 1; the default is 1; 0.5 leaves half"}},
		{ok + "--hns-share=50", []string{"--hns-share=50: must be a fraction from 0.05 to 1"}},
		{ok + "--hns-share=-0.5", []string{"--hns-share=-0.5"}},
		{ok + "--hns-share=NaN", []string{"--hns-share=NaN"}},
		{ok + "--hns-share=0.05", nil},
		{"--hns=emulator --kubeconfig=x --hns-metrics-tls-cert-file=a --hns-metrics-tls-private-key-file=b --hns-metrics-authorization", nil},
		{ok + "--hns-metrics-tls-cert-file=a --hns-metrics-tls-private-key-file=b --hns-metrics-authorization",
			[]string{"--hns-metrics-authorization=true: requires an API server, but objects are read from files"}},
		{ok + "--hns-metrics-tls-cert-file=a", []string{"--hns-metrics-tls-cert-file=a: requires a private key; add --hns-metrics-tls-private-key-file"}},
		{ok + "--hns-metrics-tls-private-key-file=b", []string{"--hns-metrics-tls-private-key-file=b: requires a certificate"}},
		{"--hns=emulator --kubeconfig=x --hns-metrics-authorization", []string{"--hns-metrics-authorization=true: would send tokens unencrypted"}},
		{ok + "--hns-share=", nil},
		{ok + "--kube-api-qps=0 --kube-api-burst=-1", []string{"--kube-api-burst=-1"}},
		{ok + "--feature-gates=NoSuch=true", nil},
		{ok + "--emulator-profile=ws2016", []string{"ws2019, ws2022"}},
		{ok + "--emulator-network-type=NAT", []string{"L2Bridge, L2Tunnel, Overlay"}},
		{ok + "--emulator-latency=slow", []string{"use profile, none or ws2022"}},
		{
			"--hns=hcn --emulator-state=f --proxy-mode=iptables --source-vip=x --iptables-sync-period=0 --feature-gates=A=true,B=false",
			[]string{"--hns-driver=hcn", "--hns-emulator-state=f", "--proxy-mode=iptables", "--source-vip=x", "--iptables-sync-period=0s"},
		},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" {
				// HNS is there.
				tt.want = slices.DeleteFunc(tt.want, func(part string) bool { return strings.Contains(part, "--hns-driver=") })
			}
			_, err := resolve(nil, strings.Fields(tt.args)...)
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				if err != nil || len(tt.want) > 0 {
					t.Fatalf("error %v, want problems %q", err, tt.want)
				}
				return
			}
			if len(invalid.Problems) != len(tt.want) {
				t.Errorf("%d problems, want %d", len(invalid.Problems), len(tt.want))
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no word of %q in: %v", part, err)
				}
			}
			for _, p := range invalid.Problems {
				if p.Why == "" || p.Remedy == "" {
					t.Errorf("%v lacks why or remedy", p)
				}
			}
		})
	}
}
