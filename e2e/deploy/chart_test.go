// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
)

var update = flag.Bool("update", false, "render deploy/*.yaml from the chart")

// TestLint runs Helm's linter with the default values and with all that can be set.
func TestLint(t *testing.T) {
	for name, values := range map[string]string{"defaults": "", "everything": everything} {
		t.Run(name, func(t *testing.T) {
			result := lint.RunAll(chartDir, parse(t, values), namespace)
			for _, message := range result.Messages {
				// That an icon is recommended is all that it may say.
				if message.Severity > support.InfoSev {
					t.Error(message)
				}
			}
		})
	}
}

// TestManifests holds the plain manifests to what the chart renders: -update writes them.
func TestManifests(t *testing.T) {
	plain, err := render(t, "")
	must(t, err)
	metrics, err := render(t, "metrics: {tlsSecret: t}")
	must(t, err)
	const origin = "# Rendered from chart/hnsproxy by `make manifests`.\n"
	for name, want := range map[string]string{
		"hnsproxy.yaml":     origin + plain["rbac.yaml"] + "---\n" + plain["daemonset.yaml"],
		"rbac.yaml":         origin + plain["rbac.yaml"],
		"rbac-metrics.yaml": origin + metrics["rbac-metrics.yaml"],
	} {
		path := filepath.Join(deployDir, name)
		want = strings.TrimRight(want, "\n") + "\n"
		if *update {
			must(t, os.WriteFile(path, []byte(want), 0o644))
		}
		got, err := os.ReadFile(path)
		must(t, err)
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not what the chart renders; `make manifests` writes it (-want +got):\n%s", name, diff)
		}
	}
}

// everything sets every value to another than its default.
const everything = `
nodes: all
image: {repository: registry.example/hnsproxy, tag: v1, digest: "", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
configMap: other
config: {winkernel: {enableDSR: true}, mode: kernelspace}
apiServer: https://192.0.2.1:6443
networkName: Calico
verbosity: 4
extraArgs: ["--hns-share=0.5", "--hns-call-timeout=20s"]
env: [{name: GODEBUG, value: "gctrace=1"}]
metrics: {tlsSecret: metrics-tls}
resources: {requests: {cpu: 200m}, limits: {memory: 1Gi}}
priorityClassName: high
tolerations: [{key: os, value: windows, effect: NoSchedule}]
nodeSelector: {pool: blue}
maxUnavailable: 25%
minReadySeconds: 0
podLabels: {team: net}
podAnnotations: {note: "yes"}
`

// TestEveryValueCounts sets one value after another, and wants something else to be rendered each time.
func TestEveryValueCounts(t *testing.T) {
	plain, err := render(t, "")
	must(t, err)
	all := parse(t, everything)
	for name := range loadChart(t).Values {
		if _, known := all[name]; !known {
			t.Errorf("the value %s has no test", name)
		}
	}
	for line := range strings.Lines(strings.TrimSpace(everything)) {
		if strings.HasPrefix(line, "config:") {
			line += "\napiServer: https://192.0.2.1:6443" // which it needs
		}
		files, err := render(t, line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if reflect.DeepEqual(files, plain) {
			t.Errorf("%s: nothing changes", line)
		}
	}
}

// TestDaemonSet says what runs on a node by default.
func TestDaemonSet(t *testing.T) {
	ds := daemonSet(t, "")
	pod, c := ds.Spec.Template.Spec, container(t, ds)
	windows := pod.SecurityContext.WindowsOptions
	for what, ok := range map[string]bool{
		"name":                ds.Name == "hnsproxy" && ds.Namespace == namespace,
		"HostProcess":         windows.HostProcess != nil && *windows.HostProcess && *windows.RunAsUserName == `NT AUTHORITY\SYSTEM`,
		"host network":        pod.HostNetwork,
		"os":                  pod.OS != nil && pod.OS.Name == corev1.Windows,
		"labelled nodes":      pod.NodeSelector["hnsproxy.io/proxy"] == "hnsproxy" && pod.NodeSelector[corev1.LabelOSStable] == "windows",
		"priority":            pod.PriorityClassName == "system-node-critical",
		"tolerates all":       cmp.Equal(pod.Tolerations, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}),
		"requests":            len(c.Resources.Requests) == 2 && len(c.Resources.Limits) == 0,
		"rolls node by node":  ds.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType && ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.IntValue() == 1,
		"no surge":            ds.Spec.UpdateStrategy.RollingUpdate.MaxSurge.IntValue() == 0,
		"kubeadm's ConfigMap": pod.Volumes[0].ConfigMap.Name == "kube-proxy" && c.VolumeMounts[0].MountPath == "/var/lib/kube-proxy",
		"readiness":           c.ReadinessProbe.HTTPGet.Path == "/livez" && c.ReadinessProbe.HTTPGet.Port.StrVal == c.Ports[0].Name,
		"liveness":            c.LivenessProbe.HTTPGet.Path == "/livez" && c.LivenessProbe.HTTPGet.Port.StrVal == c.Ports[0].Name,
		"port":                c.Ports[0].ContainerPort == 10256,
		"account":             pod.ServiceAccountName == "hnsproxy",
		"image":               c.Image == "ghcr.io/hnsproxy/hnsproxy:"+loadChart(t).AppVersion(),
	} {
		if !ok {
			t.Errorf("%s is not as it should be in %+v", what, ds.Spec)
		}
	}
	if everywhere := daemonSet(t, "nodes: all").Spec.Template.Spec.NodeSelector; len(everywhere) != 1 {
		t.Errorf("nodes: all selects %v, want only Windows", everywhere)
	}
	digest := "sha256:" + strings.Repeat("0a", 32)
	if image := container(t, daemonSet(t, "image: {tag: v1, digest: '"+digest+"'}")).Image; image != "ghcr.io/hnsproxy/hnsproxy@"+digest {
		t.Errorf("image %s, want the digest", image)
	}
}

// kubeadmConfig is a configuration as kubeadm 1.37 writes it.
const kubeadmConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: /var/lib/kube-proxy/kubeconfig.conf, qps: 0}
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack: {maxPerCore: null, min: null, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null}
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
metricsBindAddress: ""
mode: iptables
nodePortAddresses: null
winkernel: {enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: ""}
`

// TestCommandLine has hnsproxy read the command line and the configuration that its container gets.
func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		name, values, config string
		want                 func(*options.Options) bool
	}{
		{"kubeadm", "", kubeadmConfig, func(o *options.Options) bool {
			return o.Kubeconfig == "/var/lib/kube-proxy/kubeconfig.conf" && o.HealthzBindAddress == "0.0.0.0:10256" && !o.EnableDSR && o.Master == ""
		}},
		{"everything", everything, "", func(o *options.Options) bool {
			return o.EnableDSR && o.Master == "https://192.0.2.1:6443" && o.Kubeconfig == "" && o.Network == "Calico" && o.MetricsAuthorization
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, err := render(t, test.values)
			must(t, err)
			if test.config == "" {
				object := &corev1.ConfigMap{}
				decode(t, files["configmap.yaml"], object)
				test.config = object.Data["config.conf"]
			}
			file := filepath.Join(t.TempDir(), "config.conf")
			must(t, os.WriteFile(file, []byte(test.config), 0o600))
			resolved := resolve(t, container(t, daemonSet(t, test.values)), file)
			if o := resolved.Options; !test.want(o) || o.Hostname != "win-1" || !o.ReloadConfig {
				t.Errorf("hnsproxy understands %+v", o)
			}
		})
	}
}

// resolve reads the command line of a container on node win-1 as hnsproxy does, with another file for its configuration.
func resolve(t *testing.T, c corev1.Container, config string) *options.Resolved {
	t.Helper()
	line, sets, flags := options.NewCommandLine(), options.NewFlagSets(), pflag.NewFlagSet("hnsproxy", pflag.ContinueOnError)
	line.SetHNS("emulator") // HNS itself is asked for on Windows only
	line.AddAll(sets)
	sets.AddTo(flags)
	args := slices.Clone(c.Args)
	for i := range args {
		args[i] = strings.NewReplacer("$(NODE_NAME)", "win-1", "/var/lib/kube-proxy/config.conf", config).Replace(args[i])
	}
	must(t, flags.Parse(args))
	resolved, err := line.Resolve(options.Host{
		Getenv: func(name string) string {
			i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
			if i < 0 {
				return ""
			}
			return c.Env[i].Value
		},
		Hostname: func() (string, error) { return "unused", nil },
	})
	must(t, err)
	return resolved
}

// TestSchema gives values that must be refused, and wants the error to name what is wrong.
func TestSchema(t *testing.T) {
	for values, want := range map[string]string{
		"nodes: some":                                     "nodes",
		"nodez: all":                                      "nodez",
		"image: {repo: x}":                                "repo",
		"image: {repository: ''}":                         "repository",
		"image: {digest: abc}":                            "digest",
		"image: {pullPolicy: Sometimes}":                  "pullPolicy",
		"apiServer: http://192.0.2.1":                     "apiServer",
		"apiServer: 192.0.2.1:6443":                       "apiServer",
		"verbosity: 11":                                   "verbosity",
		"verbosity: high":                                 "verbosity",
		"extraArgs: [v=3]":                                "extraArgs",
		"maxUnavailable: 0":                               "maxUnavailable",
		"maxUnavailable: 0%":                              "maxUnavailable",
		"configMap: ''":                                   "configMap",
		"config: {clusterCIDR: 10.0.0.0/8}":               "apiServer",
		"config: {kind: ConfigMap}\napiServer: https://h": "kind",
		"tolerations: {operator: Exists}":                 "tolerations",
		"resources: {cpu: 1}":                             "cpu",
	} {
		_, err := render(t, values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that names %s", values, err, want)
		}
	}
	_, err := render(t, `config: {clientConnection: {kubeconfig: 'C:\k\config'}}`)
	must(t, err)
}
