// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package commandline

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	"k8s.io/kubernetes/pkg/proxy/apis/config/validation"
	"pgregory.net/rapid"
)

// field is a field of the file with values that kube-proxy takes, and some that it refuses.
type field struct {
	path      string
	good, bad []string
}

var (
	durations = []string{"0s", "1s", "45s", "1h30m0s"}
	bools     = []string{"true", "false"}
	texts     = []string{`""`, `"x"`}
	numbers   = []string{"0", "1", "7"}
)

// allFields are those of KubeProxyConfiguration v1alpha1.
var allFields = []field{
	{"featureGates", []string{"null", "{}", "{AllowServiceExternalIPs: false}"}, nil},
	{"clientConnection.kubeconfig", texts, nil},
	{"clientConnection.acceptContentTypes", texts, nil},
	{"clientConnection.contentType", texts, nil},
	{"clientConnection.qps", []string{"0", "-1", "2.5"}, nil},
	{"clientConnection.burst", numbers, []string{"-1"}},
	{"logging.format", []string{`""`, "text"}, []string{"xml"}},
	{"logging.flushFrequency", []string{"0", "3000000000", "7s"}, nil},
	{"logging.verbosity", numbers, nil},
	{"logging.vmodule", []string{"null", "[{filePattern: a, verbosity: 2}]"}, nil},
	{"hostnameOverride", texts, nil},
	{"bindAddress", []string{`""`, "0.0.0.0", "10.0.0.4", `"::"`, "fd00::4"}, []string{"here", "10.0.0", "10.0.0.4/8"}},
	{"healthzBindAddress", []string{`""`, "127.0.0.1", "127.0.0.1:8080", `"::1"`, `"[::1]:9"`}, []string{"localhost:1", `":1"`, "127.0.0.1:70000", "127.0.0.1:x", "x"}},
	{"metricsBindAddress", []string{`""`, "127.0.0.1", "127.0.0.1:8080", `"::1"`, `"[::1]:9"`}, []string{"localhost:1", `":1"`, "127.0.0.1:70000", "127.0.0.1:x", "x"}},
	{"bindAddressHardFail", bools, nil},
	{"enableProfiling", bools, nil},
	{"mode", []string{`""`}, []string{"userspace", "Kernelspace", "x"}},
	{"iptables.masqueradeBit", []string{"null", "0", "31"}, []string{"-1", "32"}},
	{"iptables.masqueradeAll", bools, nil},
	{"iptables.localhostNodePorts", []string{"null", "true", "false"}, nil},
	{"iptables.syncPeriod", durations, []string{"-1s"}},
	{"iptables.minSyncPeriod", []string{"0s", "1s", "30s"}, []string{"-1s", "1h"}},
	{"ipvs.syncPeriod", durations, nil},
	{"ipvs.minSyncPeriod", durations, nil},
	{"ipvs.scheduler", texts, nil},
	{"ipvs.excludeCIDRs", []string{"null", "[]", "[10.0.0.0/8]"}, nil},
	{"ipvs.strictARP", bools, nil},
	{"ipvs.tcpTimeout", durations, nil},
	{"ipvs.tcpFinTimeout", durations, nil},
	{"ipvs.udpTimeout", durations, nil},
	{"nftables.masqueradeBit", []string{"null", "0", "31"}, nil},
	{"nftables.masqueradeAll", bools, nil},
	{"nftables.syncPeriod", durations, nil},
	{"nftables.minSyncPeriod", durations, nil},
	{"winkernel.networkName", texts, nil},
	{"winkernel.sourceVip", []string{`""`, "10.244.1.2"}, nil},
	{"winkernel.enableDSR", bools, nil},
	{"winkernel.rootHnsEndpointName", texts, nil},
	{"winkernel.forwardHealthCheckVip", bools, nil},
	{"detectLocalMode", []string{`""`, "ClusterCIDR", "NodeCIDR"}, []string{"x"}},
	{"detectLocal.bridgeInterface", texts, nil},
	{"detectLocal.interfaceNamePrefix", texts, nil},
	{"clusterCIDR", []string{`""`, "10.0.0.0/8", `"10.0.0.0/8,fd00::/8"`}, nil},
	{"nodePortAddresses", []string{"null", "[]", "[10.0.0.0/8]", "[primary]", "[10.0.0.0/8, fd00::/8]"}, []string{"[10.0.0.1]", "[x]", "[Primary]"}},
	{"oomScoreAdj", []string{"null", "0", "-1000"}, []string{"1001"}},
	{"conntrack.maxPerCore", []string{"null", "0", "5"}, []string{"-1"}},
	{"conntrack.min", []string{"null", "0", "5"}, []string{"-1"}},
	{"conntrack.tcpEstablishedTimeout", []string{"null", "0s", "5s"}, []string{"-1s"}},
	{"conntrack.tcpCloseWaitTimeout", []string{"null", "0s", "5s"}, []string{"-1s"}},
	{"conntrack.tcpBeLiberal", bools, nil},
	{"conntrack.udpTimeout", durations, []string{"-1s"}},
	{"conntrack.udpStreamTimeout", durations, []string{"-1s"}},
	{"configSyncPeriod", durations, []string{"-1s"}},
	{"portRange", texts, nil},
	{"windowsRunAsService", bools, nil},
}

// modes are chosen for conversion, which they steer, and not for validation, where those of
// this machine are kube-proxy's.
var modes = []string{`""`, "iptables", "ipvs", "nftables", "kernelspace"}

// document writes a file with some fields.
func document(values map[string]string) string {
	groups := map[string][]string{}
	var text strings.Builder
	fmt.Fprintf(&text, "apiVersion: %s\nkind: KubeProxyConfiguration\n", v1alpha1.SchemeGroupVersion)
	for path, value := range values {
		group, name, nested := strings.Cut(path, ".")
		if nested {
			groups[group] = append(groups[group], name+": "+value)
			continue
		}
		fmt.Fprintf(&text, "%s: %s\n", path, value)
	}
	for group, fields := range groups {
		fmt.Fprintf(&text, "%s: {%s}\n", group, strings.Join(fields, ", "))
	}
	return text.String()
}

// theirs reads a file as kube-proxy does.
func theirs(text string) (*config.KubeProxyConfiguration, error) {
	obj, _, err := scheme.Codecs.UniversalDecoder().Decode([]byte(text), nil, nil)
	if err != nil {
		return nil, err
	}
	return obj.(*config.KubeProxyConfiguration), nil
}

// theirsWritten writes a configuration as kube-proxy does.
func theirsWritten(c *config.KubeProxyConfiguration) (string, error) {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeYAML)
	var out bytes.Buffer
	err := scheme.Codecs.EncoderForVersion(info.Serializer, v1alpha1.SchemeGroupVersion).Encode(c, &out)
	return out.String(), err
}

// TestConversion: files are read with kube-proxy's defaults and written as it writes them.
func TestConversion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := map[string]string{}
		for _, f := range allFields {
			if rapid.Bool().Draw(t, f.path+" given") {
				values[f.path] = rapid.SampledFrom(f.good).Draw(t, f.path)
			}
		}
		values["mode"] = rapid.SampledFrom(modes).Draw(t, "mode")
		text := document(values)
		their, err := theirs(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		want, err := theirsWritten(their)
		if err != nil {
			t.Fatal(err)
		}
		our, warnings, err := options.ParseConfiguration("file", []byte(text))
		if err != nil || len(warnings) > 0 {
			t.Fatalf("error %v, warnings %v in\n%s", err, warnings, text)
		}
		var got bytes.Buffer
		if err := options.WriteConfiguration(&got, our); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Fatalf("of\n%s(-kube-proxy +hnsproxy):\n%s", text, diff)
		}
	})
}

// lenient are fields that mean nothing on Windows: whatever they say, hnsproxy does not end.
var lenient = []string{"iptables.masqueradeBit", "oomScoreAdj", "conntrack.", "detectLocalMode"}

// verdicts are values on which kube-proxy and hnsproxy are meant to differ, with the reason.
var verdicts = map[string]string{
	"healthzBindAddress: 127.0.0.1:0":   "port 0 takes a free port, for tests",
	"metricsBindAddress: 127.0.0.1:0":   "port 0 takes a free port, for tests",
	"bindAddress: 010.0.0.4":            "some programs read leading zeros as octal",
	"nodePortAddresses: [010.0.0.0/8]":  "some programs read leading zeros as octal",
	"winkernel.sourceVip: x":            "kube-proxy fails later",
	"winkernel.sourceVip: 10.244.1.2/8": "kube-proxy fails later",
}

// refusedByUs tells whether hnsproxy does not start with a file.
func refusedByUs(t *testing.T, text string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sets, c := options.NewFlagSets(), options.NewCommandLine()
	c.AddAll(sets)
	fs := pflag.NewFlagSet("ours", pflag.ContinueOnError)
	fs.SetNormalizeFunc(options.FlagName)
	sets.AddTo(fs)
	if err := fs.Parse([]string{"--config=" + path, "--hns-driver=emulator"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Resolve(options.Host{Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return "n", nil }})
	return err
}

// TestValidation: what kube-proxy refuses is refused, and what it takes is taken.
func TestValidation(t *testing.T) {
	fields := append([]field{}, allFields...)
	for line := range verdicts {
		path, value, _ := strings.Cut(line, ": ")
		fields = append(fields, field{path: path, bad: []string{value}})
	}
	n := 0
	for _, f := range fields {
		for _, value := range append(append([]string{}, f.good...), f.bad...) {
			n++
			line := f.path + ": " + value
			text := document(map[string]string{f.path: value})
			c, err := theirs(text)
			if err == nil {
				if errs := validation.Validate(c); len(errs) > 0 {
					err = errs.ToAggregate()
				}
			}
			our := refusedByUs(t, text)
			switch same := (err == nil) == (our == nil); {
			case verdicts[line] != "":
				if same {
					t.Errorf("%s: no difference any more: take it off the list", line)
				}
			case isLenient(f.path):
				if our != nil {
					t.Errorf("%s: %v", line, our)
				}
			case !same:
				t.Errorf("%s: kube-proxy says %v, hnsproxy %v", line, err, our)
			}
		}
	}
	t.Logf("%d values compared", n)
}

func isLenient(path string) bool {
	for _, prefix := range lenient {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
