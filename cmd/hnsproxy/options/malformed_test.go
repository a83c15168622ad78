// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// malformedLines are command lines that cannot be used. The first line of each pair is the
// command line, the second what the error says of it, whole.
const malformedLines = `
--no-such-flag
unknown flag --no-such-flag; see hnsproxy --help
--hostname-overide=n
unknown flag --hostname-overide; did you mean --hostname-override?
--kube-config=x
unknown flag --kube-config; did you mean --kubeconfig?
--enable_drs
unknown flag --enable_drs; did you mean --enable-dsr?
--sourcevip=10.0.0.9
unknown flag --sourcevip; did you mean --source-vip?
--hns-object=x
unknown flag --hns-object; did you mean --hns-objects?
-kubeconfig=x
unknown flag -k in -kubeconfig; use --kubeconfig, with two dashes
-x
unknown flag -x in -x; see hnsproxy --help
--=x
--=x is not a flag; use --NAME=VALUE
---v=2
---v=2 is not a flag; use --NAME=VALUE
--kubeconfig
--kubeconfig=: no value given; see hnsproxy --help
--config-sync-period
--config-sync-period=: no value given; use a duration with a unit, such as 30s, 15m or 1h30m
--kube-api-burst
--kube-api-burst=: no value given; use an integer
--iptables-sync-period=30
--iptables-sync-period=30: is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
--iptables-min-sync-period=soon
--iptables-min-sync-period=soon: is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
--config-sync-period=1d
--config-sync-period=1d: is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
--log-flush-frequency=x
--log-flush-frequency=x: is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
--ipvs-sync-period=1y
--ipvs-sync-period=1y: is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
--conntrack-udp-timeout=-
--conntrack-udp-timeout=-: is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
--hns-call-timeout=1
--hns-call-timeout=1: is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
--enable-dsr=yes
--enable-dsr=yes: is not a boolean; use true or false
--profiling=on
--profiling=on: is not a boolean; use true or false
--windows-service=maybe
--windows-service=maybe: is not a boolean; use true or false
--masquerade-all=2
--masquerade-all=2: is not a boolean; use true or false
--logtostderr=stdout
--logtostderr=stdout: is not a boolean; use true or false
--hns-table=x
--hns-table=x: is not a boolean; use true or false
--version=latest
--version=latest: must be true, false or raw; use true or false
--kube-api-burst=many
--kube-api-burst=many: is not an integer, or is out of range; use an integer
--kube-api-burst=99999999999
--kube-api-burst=99999999999: is not an integer, or is out of range; use an integer
--conntrack-min=1.5
--conntrack-min=1.5: is not an integer, or is out of range; use an integer
--oom-score-adj=low
--oom-score-adj=low: is not an integer, or is out of range; use an integer
--iptables-masquerade-bit=0x
--iptables-masquerade-bit=0x: is not an integer, or is out of range; use an integer
--healthz-port=http
--healthz-port=http: is not an integer, or is out of range; use an integer
--metrics-port=:1
--metrics-port=:1: is not an integer, or is out of range; use an integer
--log-file-max-size=1G
--log-file-max-size=1G: is not an integer, or is out of range; use an integer
--v=high
--v=high: is not an integer, or is out of range; use an integer
--v=-1
--v=-1: is not an integer, or is out of range; use an integer
--kube-api-qps=fast
--kube-api-qps=fast: is not a number; use a number, such as 5 or 0.5
--feature-gates=WinDSR
--feature-gates=WinDSR: is not a list of NAME=BOOL pairs; use NAME=true,NAME=false
--feature-gates=WinDSR=maybe
--feature-gates=WinDSR=maybe: is not a list of NAME=BOOL pairs; use NAME=true,NAME=false
--feature-gates=WinDSR=true,WinOverlay
--feature-gates=WinDSR=true,WinOverlay: is not a list of NAME=BOOL pairs; use NAME=true,NAME=false
--vmodule=a
--vmodule=a: "a" does not have the pattern=N format; use PATTERN=N,PATTERN=N
--logging-format=xml
--logging-format=xml: Unsupported log format; use text or json
--log-text-split-stream --logging-format=text --log-flush-frequency=-1s
--log-flush-frequency=-1s: Must be greater than zero; the default is 5s
--stderrthreshold=DEBUG
--stderrthreshold=DEBUG: is not a severity; use INFO, WARNING, ERROR or FATAL
--bind-address=node-1
--bind-address=node-1: must be an IP address, such as 10.96.0.10 or fd00::10; use the address of the node, such as 10.0.0.4, or remove it
--bind-address=10.0.0.300
--bind-address=10.0.0.300: must be an IP address, such as 10.96.0.10 or fd00::10; use the address of the node, such as 10.0.0.4, or remove it
--bind-address=010.0.0.4
--bind-address=010.0.0.4: has leading zeros, which some programs parse as octal; use 10.0.0.4; use the address of the node, such as 10.0.0.4, or remove it
--source-vip=10.244.1.2/24
--source-vip=10.244.1.2/24: must be an IP address, such as 10.96.0.10 or fd00::10; use the address that the network plugin reserves on this node, or remove it
--source-vip=0.0.0.0
--source-vip=0.0.0.0: is not a valid endpoint IP address; use the address that the network plugin reserves on this node, or remove it
--healthz-bind-address=localhost:10256
--healthz-bind-address=localhost:10256: is not an IP address and port; use the form 0.0.0.0:10256 or [::]:10256
--healthz-bind-address=:10256
--healthz-bind-address=:10256: is not an IP address and port; use the form 0.0.0.0:10256 or [::]:10256
--metrics-bind-address=10249
--metrics-bind-address=10249: is not an IP address and port; use the form 0.0.0.0:10256 or [::]:10256
--metrics-bind-address=127.0.0.1:70000
--metrics-bind-address=127.0.0.1:70000: is not an IP address and port; use the form 0.0.0.0:10256 or [::]:10256
--metrics-bind-address=fd00::1:10249:x
--metrics-bind-address=fd00::1:10249:x: is not an IP address and port; use the form 0.0.0.0:10256 or [::]:10256
--nodeport-addresses=10.0.0.4
--nodeport-addresses=10.0.0.4: "10.0.0.4" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16; use ranges such as 10.0.0.0/8,fd00::/16, and the keywords primary, localhost or all
--nodeport-addresses=Primary
--nodeport-addresses=Primary: "Primary" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16; use ranges such as 10.0.0.0/8,fd00::/16, and the keywords primary, localhost or all
--nodeport-addresses=all,10.0.0.0/8,all
--nodeport-addresses=all,10.0.0.0/8,all: "all" is listed twice; use ranges such as 10.0.0.0/8,fd00::/16, and the keywords primary, localhost or all
--nodeport-addresses=10.0.0.0/33
--nodeport-addresses=10.0.0.0/33: "10.0.0.0/33" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16; use ranges such as 10.0.0.0/8,fd00::/16, and the keywords primary, localhost or all
--hns-deny-endpoints=x
--hns-deny-endpoints=x: "x" is not a CIDR; use ranges such as 168.63.129.16/32,192.0.2.0/24
--hns-unenforced-source-ranges=drop
--hns-unenforced-source-ranges=drop: is neither program nor skip; the default is program
--proxy-mode=userspace
--proxy-mode=userspace: the userspace mode was removed in Kubernetes 1.26; kernelspace replaces it, including for UDP; use --proxy-mode=kernelspace, or remove it
--proxy-mode=iptables
--proxy-mode=iptables: Linux only; Windows supports kernelspace only; use --proxy-mode=kernelspace, or remove it
--proxy-mode=ebpf
--proxy-mode=ebpf: unknown mode; Windows supports kernelspace only; use --proxy-mode=kernelspace, or remove it
--init-only
--init-only=true: initialization is not needed on Windows; remove it
--show-hidden-metrics-for-version=v1
--show-hidden-metrics-for-version=v1: is not a version; use the form 1.36, or remove it: there are no hidden metrics
--config-sync-period=0s
--config-sync-period=0s: must be at least 1s; the default is 15m
--iptables-sync-period=-5s
--iptables-sync-period=-5s: must be at least 1s; the default is 30s
--iptables-sync-period=10ms
--iptables-sync-period=10ms: must be at least 1s; the default is 30s
--config-sync-period=999ms
--config-sync-period=999ms: must be at least 1s; the default is 15m
--hns-call-timeout=1ms
--hns-call-timeout=1ms: must be at least 1s; the default is 30s
--iptables-min-sync-period=-1s
--iptables-min-sync-period=-1s: must not be negative; the default is 1s
--iptables-min-sync-period=1h
--iptables-min-sync-period=1h0m0s: must not be longer than --iptables-sync-period (30s); decrease it, or increase --iptables-sync-period
--hns-call-timeout=0s
--hns-call-timeout=0s: must be at least 1s; the default is 30s
--kube-api-burst=-1
--kube-api-burst=-1: must not be negative; kube-proxy's default is 10
--hns-objects=x --kubeconfig=y
--hns-objects=x: objects are read either from files or from an API server; remove --kubeconfig and --master, or --hns-objects
--hns-objects=
--hns-objects=: is not a file; specify a file or a directory
--hns-emulator-profile=ws2012
--hns-emulator-profile=ws2012: emulator: unknown profile "ws2012", want one of ws2019
--hns-emulator-network-type=NAT
--hns-emulator-network-type=NAT: unknown network type; use one of L2Bridge, L2Tunnel, Overlay
--hns-emulator-latency=slow
--hns-emulator-latency=slow: unknown latency; use profile, none or ws2022
--hns-driver=hnsv3
--hns-driver=hnsv3: unknown driver; use hcn or emulator
--config=testdata/none.yaml
--config=testdata/none.yaml: cannot be read: 
--config=testdata
--config=testdata: cannot be read: 
`

// malformedFiles are configuration files that cannot be used. The first line of each pair is
// the file, after the kind unless it begins with "!" and without escaped line breaks; the
// second line is what the error says of it, after its name.
const malformedFiles = `
!
apiVersion and kind are not set; start the file with "apiVersion: kubeproxy.config.k8s.io/v1alpha1" and "kind: KubeProxyConfiguration"
!bindAddress: 0.0.0.0
apiVersion and kind are not set; start the file with "apiVersion: kubeproxy.config.k8s.io/v1alpha1" and "kind: KubeProxyConfiguration"
!kind: KubeProxyConfiguration
has the apiVersion ""; start the file with "apiVersion: kubeproxy.config.k8s.io/v1alpha1" and "kind: KubeProxyConfiguration"
!kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1
has the apiVersion "kubeproxy.config.k8s.io/v1"; start the file with "apiVersion: kubeproxy.config.k8s.io/v1alpha1" and "kind: KubeProxyConfiguration"
!kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1
has the kind "KubeletConfiguration"; start the file with "apiVersion: kubeproxy.config.k8s.io/v1alpha1" and "kind: KubeProxyConfiguration"
!kind: ConfigMap\napiVersion: v1
is a ConfigMap, not a kube-proxy configuration; mount the ConfigMap as a volume, or save its config.conf
!kind: Config\napiVersion: v1
is a kubeconfig file; set it as clientConnection.kubeconfig in the configuration, or use --kubeconfig without --config
!{"kind":
is not valid YAML or JSON: line 1: did not find expected node content; fix the YAML or JSON
!just text
is not an object; fix the YAML or JSON
!a: b: c
is not valid YAML or JSON: mapping values are not allowed in this context; fix the YAML or JSON
!\x00\x01
is not valid YAML or JSON: control characters are not allowed; fix the YAML or JSON
bindAddress: 5
bindAddress: "5": has the wrong type; use a string, in quotes if it looks like a number
bindAddressHardFail: sometimes
bindAddressHardFail: "sometimes": has the wrong type; use true or false
clientConnection: x
clientConnection: "x": has the wrong type; use an object
clientConnection: {qps: fast}
clientConnection.qps: "fast": has the wrong type; use a number
clientConnection: {burst: 1.5}
clientConnection.burst: "1.5": has the wrong type; use an integer
clientConnection: {burst: -1}
clientConnection.burst: "-1": must not be negative; kube-proxy's default is 10
configSyncPeriod: 15
configSyncPeriod: "15": has the wrong type; use a duration with a unit, such as 30s, 15m or 1h30m
configSyncPeriod: soon
configSyncPeriod: "soon": is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
configSyncPeriod: -1s
configSyncPeriod: "-1s": must be at least 1s; the default is 15m
iptables: {syncPeriod: -1s, minSyncPeriod: -2s}
iptables.syncPeriod: "-1s": must be at least 1s; the default is 30s
iptables: {minSyncPeriod: 1m}
iptables.minSyncPeriod: "1m0s": must not be longer than --iptables-sync-period (30s); decrease it, or increase --iptables-sync-period
mode: userspace
mode: "userspace": the userspace mode was removed in Kubernetes 1.26; kernelspace replaces it, including for UDP; use --proxy-mode=kernelspace, or remove it
mode: Kernelspace
mode: "Kernelspace": unknown mode; Windows supports kernelspace only; use --proxy-mode=kernelspace, or remove it
mode: [kernelspace]
mode: "- kernelspace": has the wrong type; use a string, in quotes if it looks like a number
bindAddress: here
bindAddress: "here": must be an IP address, such as 10.96.0.10 or fd00::10; use the address of the node, such as 10.0.0.4, or remove it
healthzBindAddress: localhost
healthzBindAddress: "localhost": is not an IP address and port; use the form 0.0.0.0:10256 or [::]:10256
metricsBindAddress: "10249"
metricsBindAddress: "10249": is not an IP address and port; use the form 0.0.0.0:10256 or [::]:10256
nodePortAddresses: primary
nodePortAddresses: "primary": has the wrong type; use a list
nodePortAddresses: [primary, primary]
nodePortAddresses: "primary,primary": "primary" is listed twice; use ranges such as 10.0.0.0/8,fd00::/16, and the keywords primary, localhost or all
nodePortAddresses: [10.0.0.1]
nodePortAddresses: "10.0.0.1": "10.0.0.1" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16; use ranges such as 10.0.0.0/8,fd00::/16, and the keywords primary, localhost or all
winkernel: {sourceVip: x}
winkernel.sourceVip: "x": must be an IP address, such as 10.96.0.10 or fd00::10; use the address that the network plugin reserves on this node, or remove it
winkernel: {enableDSR: 1}
winkernel.enableDSR: "1": has the wrong type; use true or false
winkernel: {networkName: {}}
winkernel.networkName: "{}": has the wrong type; use a string, in quotes if it looks like a number
featureGates: WinDSR=true
featureGates: "WinDSR=true": has the wrong type; use an object
featureGates: {WinDSR: "true"}
featureGates: "WinDSR: \"true\"": has the wrong type; use true or false
conntrack: {tcpCloseWaitTimeout: 1d}
conntrack.tcpCloseWaitTimeout: "1d": is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
logging: {flushFrequency: 1d}
logging.flushFrequency: "1d": is not a duration; use a duration with a unit, such as 30s, 15m or 1h30m
conntrack: {min: many}
conntrack.min: "many": has the wrong type; use an integer
logging: {format: xml}
logging.format: "xml": Unsupported log format; use text or json
logging: {verbosity: -1}
logging.verbosity: "-1": has the wrong type; use an integer
showHiddenMetricsForVersion: 1.36
showHiddenMetricsForVersion: "1.36": has the wrong type; use a string, in quotes if it looks like a number
`

// pairs splits text into pairs of lines.
func pairs(t *testing.T, text string) [][2]string {
	t.Helper()
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	if len(lines)%2 != 0 {
		t.Fatalf("%d lines are no pairs", len(lines))
	}
	var out [][2]string
	for i := 0; i < len(lines); i += 2 {
		out = append(out, [2]string{lines[i], lines[i+1]})
	}
	return out
}

// wantProblem fails unless an error is an InvalidError with one problem, which reads so.
func wantProblem(t *testing.T, what string, err error, want string) {
	t.Helper()
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		t.Errorf("%s: error %v, want an InvalidError with %s", what, err, want)
		return
	}
	// Some values are wrong in more ways than one; the first problem is that of the table.
	if got := invalid.Problems[0].String(); !strings.HasPrefix(got, want) {
		t.Errorf("%s\n got %s\nwant %s", what, got, want)
	}
	for _, p := range invalid.Problems {
		if p.Why == "" || p.Remedy == "" {
			t.Errorf("%s: %#v lacks why or remedy", what, p)
		}
	}
}

// TestMalformed: what cannot be used is refused with its name, its value, why, and what to do.
func TestMalformed(t *testing.T) {
	t.Parallel()
	lines, files := pairs(t, malformedLines), pairs(t, malformedFiles)
	if n := len(lines) + len(files); n < 100 {
		t.Errorf("%d cases, want 100", n)
	}
	for _, tt := range lines {
		args := strings.Fields(tt[0])
		if !strings.Contains(tt[0], "--hns-driver") {
			args = append([]string{"--hns-driver=emulator"}, args...)
		}
		_, err := resolve(nil, args...)
		wantProblem(t, tt[0], err, tt[1])
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	for _, tt := range files {
		text, bare := strings.CutPrefix(tt[0], "!")
		text = strings.NewReplacer(`\n`, "\n", `\x00`, "\x00", `\x01`, "\x01").Replace(text)
		if !bare {
			text = "kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1alpha1\n" + text
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := resolve(nil, "--hns-driver=emulator", "--config="+path)
		wantProblem(t, tt[0], err, path+": "+tt[1])
	}
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := resolve(nil, "--hns-driver=emulator", "--config="+path)
	wantProblem(t, "a large file", err, "--config="+path+": cannot be read: is larger than 1048576 bytes; specify a file")
}
