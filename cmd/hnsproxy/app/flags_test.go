// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestUpstreamDefaults: the flags that kube-proxy 1.36.3 has on Windows, with the defaults
// that its own --help prints.
func TestUpstreamDefaults(t *testing.T) {
	flags := NewCommand().Flags()
	for name, want := range map[string]string{
		"bind-address":              "0.0.0.0",
		"bind-address-hard-fail":    "false",
		"config-sync-period":        "15m0s",
		"enable-dsr":                "false",
		"feature-gates":             "",
		"forward-healthcheck-vip":   "false",
		"healthz-bind-address":      "0.0.0.0:10256",
		"hostname-override":         "",
		"iptables-min-sync-period":  "1s",
		"iptables-sync-period":      "30s",
		"kube-api-burst":            "10",
		"kube-api-content-type":     "application/vnd.kubernetes.protobuf",
		"kube-api-qps":              "5",
		"kubeconfig":                "",
		"log-flush-frequency":       "5s",
		"log-json-info-buffer-size": "0",
		"log-json-split-stream":     "false",
		"log-text-info-buffer-size": "0",
		"log-text-split-stream":     "false",
		"logging-format":            "text",
		"master":                    "",
		"metrics-bind-address":      "127.0.0.1:10249",
		"network-name":              "",
		"nodeport-addresses":        "[]",
		"profiling":                 "false",
		"proxy-mode":                "",
		"root-hnsendpoint-name":     "cbr0",
		"source-vip":                "",
		"unenforced-source-ranges":  "program",
		"v":                         "0",
		"version":                   "false",
		"vmodule":                   "",
		"hns":                       "hcn",
		"hns-call-timeout":          "30s",
		"hns-share":                 "1",
		"emulator-profile":          "ws2022",
		"emulator-network-type":     "L2Bridge",
		"emulator-state":            "",
		"emulator-latency":          "none",
		"table":                     "false",
		"logtostderr":               "true",
		"log-dir":                   "",
	} {
		f := flags.Lookup(name)
		if f == nil {
			t.Errorf("there is no --%s", name)
		} else if f.DefValue != want {
			t.Errorf("--%s is %q by default, want %q", name, f.DefValue, want)
		}
	}
}

// parse returns the completed options that a command line gives, on a host named Host-1.
func parse(t *testing.T, env map[string]string, args ...string) (*Options, error) {
	t.Helper()
	o := NewOptions()
	sets := newFlagSets()
	all := sets.FlagSet("all")
	o.addSourceFlags(all)
	o.addNodeFlags(all)
	o.addSyncFlags(all)
	o.addHNSFlags(all)
	o.addEmulatorFlags(all)
	o.addServerFlags(all)
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.SetNormalizeFunc(sets.NormalizeNameFunc)
	sets.addTo(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	err := o.Complete(Host{
		Getenv:   func(k string) string { return env[k] },
		Hostname: func() (string, error) { return "Host-1", nil },
	})
	return o, err
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
		{"the emulator names its network", nil, []string{"--hns=emulator"}, func(o *Options) { o.HNS, o.Network = Emulator, "l2bridge" }},
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
			want := NewOptions()
			want.Hostname = "host-1"
			tt.want(want)
			got, err := parse(t, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
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
		if got := (&Options{MinSyncPeriod: tt.min}).gather(); got != tt.want {
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
		{ok + "--proxy-mode=userspace", []string{"--proxy-mode=userspace: the userspace mode is gone since Kubernetes 1.26"}},
		{ok + "--proxy-mode=ipvs", []string{"use --proxy-mode=kernelspace"}},
		{ok + "--proxy-mode=Kernelspace", []string{"there is no such mode"}},
		{"--hns=hcn --objects=x --network-name=n", []string{"use --hns=emulator"}},
		{"--hns=hcn --objects=x", []string{"use --hns=emulator", "--network-name=: the name of the HNS network is not known"}},
		{ok + "--hns=hnsv3", []string{"use hcn or emulator", "--network-name="}},
		{ok + "--kubeconfig=y", []string{"leave out --kubeconfig"}},
		{"--hns=emulator --objects=- --objects=x", []string{"standard input cannot be joined"}},
		{ok + "--source-vip=10.0.0", []string{"--source-vip=10.0.0: must be an IP address"}},
		{ok + "--source-vip=10.244.01.2", []string{"--source-vip=10.244.01.2: has leading zeros, which some programs read as octal; write 10.244.1.2"}},
		{ok + "--bind-address=010.0.0.4", []string{"--bind-address=010.0.0.4: has leading zeros, which some programs read as octal; write 10.0.0.4"}},
		{ok + "--source-vip=0.0.0.0", []string{"--source-vip=0.0.0.0"}},
		{ok + "--bind-address=node-1", []string{"--bind-address=node-1"}},
		{ok + "--nodeport-addresses=primary", nil},
		{ok + "--unenforced-source-ranges=skip", nil},
		{ok + "--unenforced-source-ranges=drop", []string{"--unenforced-source-ranges=drop: is neither program nor skip; the default is program"}},
		{ok + "--nodeport-addresses=10.0.0.0/8,::/0 --forward-healthcheck-vip", nil},
		{ok + "--nodeport-addresses=primary,10.0.0.0/8", []string{"--nodeport-addresses=primary,10.0.0.0/8: \"primary\" cannot be joined with ranges"}},
		{ok + "--nodeport-addresses=10.0.0.4", []string{"\"10.0.0.4\" must be a range of IP addresses"}},
		{ok + "--nodeport-addresses=010.0.0.0/8", []string{"\"010.0.0.0/8\" has leading zeros, which some programs read as octal; write 10.0.0.0/8; write ranges like"}},
		{ok + "--forward-healthcheck-vip --root-hnsendpoint-name=", []string{"--root-hnsendpoint-name=: is needed with --forward-healthcheck-vip"}},
		{ok + "--root-hnsendpoint-name=", nil},
		{ok + "--metrics-bind-address=localhost:1", []string{"--metrics-bind-address=localhost:1"}},
		{ok + "--healthz-bind-address=0.0.0.0:99999", []string{"--healthz-bind-address=0.0.0.0:99999"}},
		{ok + "--iptables-sync-period=0", []string{"--iptables-sync-period=0s: must be greater than 0"}},
		{ok + "--config-sync-period=-1s", []string{"--config-sync-period=-1s"}},
		{ok + "--iptables-min-sync-period=1m", []string{"must not be longer than --iptables-sync-period (30s)"}},
		{ok + "--iptables-min-sync-period=-1s", []string{"must not be negative"}},
		{ok + "--hns-call-timeout=0s", []string{"--hns-call-timeout=0s"}},
		{ok + "--hns-share=0", []string{"--hns-share=0: must be a fraction from 0.05 to 1; the default is 1; 0.5 leaves half"}},
		{ok + "--hns-share=50", []string{"--hns-share=50: must be a fraction from 0.05 to 1"}},
		{ok + "--hns-share=-0.5", []string{"--hns-share=-0.5"}},
		{ok + "--hns-share=NaN", []string{"--hns-share=NaN"}},
		{ok + "--hns-share=0.05", nil},
		{ok + "--hns-share=", nil},
		{ok + "--kube-api-qps=0 --kube-api-burst=-1", []string{"--kube-api-qps=0", "--kube-api-burst=-1"}},
		{ok + "--feature-gates=NoSuch=true", []string{"--feature-gates=NoSuch=true: unrecognized feature gate: NoSuch"}},
		{ok + "--emulator-profile=ws2016", []string{"ws2019, ws2022"}},
		{ok + "--emulator-network-type=NAT", []string{"L2Bridge, L2Tunnel, Overlay"}},
		{ok + "--emulator-latency=slow", []string{"use none or ws2022"}},
		{
			"--hns=hcn --emulator-state=f --proxy-mode=iptables --source-vip=x --iptables-sync-period=0 --feature-gates=A=true,B=false",
			[]string{"--hns=hcn", "--emulator-state=f", "--proxy-mode=iptables", "--network-name=", "--source-vip=x", "--iptables-sync-period=0s", "A=true", "B=false"},
		},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" {
				// HNS is there.
				tt.want = slices.DeleteFunc(tt.want, func(part string) bool { return strings.Contains(part, "--hns=") })
			}
			o, err := parse(t, nil, strings.Fields(tt.args)...)
			if err != nil {
				t.Fatal(err)
			}
			err = o.Validate()
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

// execute runs the command with arguments and returns what it wrote.
func execute(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := NewCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

func TestCommandLineErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"stray"}, `hnsproxy takes no argument "stray"`},
		{[]string{"--no-such-flag"}, "unknown flag: --no-such-flag"},
		{[]string{"--iptables-sync-period=soon"}, `invalid argument "soon"`},
		{[]string{"", "--proxy-mode=userspace"}, "--proxy-mode=userspace"},
		{[]string{"plan"}, "there is nothing to plan for"},
		{[]string{"plan", "--objects=x", "-o", "toml"}, "--output=toml"},
	} {
		_, _, err := execute(t, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("hnsproxy %q: error %v, want one with %q", tt.args, err, tt.want)
		}
	}
}

// TestVersion: start scripts of sig-windows-tools look for vMAJOR.MINOR in the first line.
func TestVersion(t *testing.T) {
	out, _, err := execute(t, "--version")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	if !strings.HasPrefix(lines[0], "Kubernetes v1.") || !strings.HasPrefix(lines[1], "hnsproxy ") {
		t.Errorf("--version prints %q", out)
	}
}

// TestHelp: every flag stands in the help of its command, in one group.
func TestHelp(t *testing.T) {
	root := NewCommand()
	plan, _, err := root.Find([]string{"plan"})
	if err != nil {
		t.Fatal(err)
	}
	for path, cmd := range map[string]*cobra.Command{"": root, "plan": plan} {
		args := append(strings.Fields(path), "--help")
		out, _, err := execute(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"Usage:\n", "Examples:\n", "Emulator flags:\n"} {
			if !strings.Contains(out, part) {
				t.Errorf("%q prints no %q", args, part)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if n := strings.Count(out, "--"+f.Name+" ") - strings.Count(cmd.Example+cmd.Long+cmd.UseLine(), "--"+f.Name+" "); n < 1 {
				t.Errorf("%q says nothing of --%s", args, f.Name)
			}
		})
	}
}
