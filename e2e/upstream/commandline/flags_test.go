// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package commandline

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/spf13/pflag"
	"k8s.io/component-base/featuregate"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// notKubeProxys are flags of hnsproxy, besides those that begin with --hns- and those that
// are hidden, which kube-proxy does not have any more.
var notKubeProxys = map[string]string{
	"alsologtostderr":   "wrote log files until 1.25, and stands in start scripts",
	"log-dir":           "wrote log files until 1.25, and stands in start scripts",
	"log-file":          "wrote log files until 1.25, and stands in start scripts",
	"log-file-max-size": "wrote log files until 1.25, and stands in start scripts",
	"logtostderr":       "wrote log files until 1.25, and stands in start scripts",
	"stderrthreshold":   "wrote log files until 1.25, and stands in start scripts",
}

// ofWindows are flags that kube-proxy has in its Windows build only.
var ofWindows = []string{
	"enable-dsr", "forward-healthcheck-vip", "network-name", "root-hnsendpoint-name", "source-vip", "windows-service",
}

// ofOthers are flags that come from libraries: into kube-proxy's builds for other systems, and
// into this test.
var ofOthers = []string{"boot-id-file", "machine-id-file", "test.", "rapid."}

// theirFlags are kube-proxy's.
func theirFlags() *pflag.FlagSet {
	cmd := proxy.NewProxyCommand()
	cmd.InitDefaultHelpFlag()
	return cmd.Flags()
}

// ourFlags are hnsproxy's.
func ourFlags() *pflag.FlagSet {
	sets := options.NewFlagSets()
	options.NewCommandLine().AddAll(sets)
	fs := pflag.NewFlagSet("ours", pflag.ContinueOnError)
	fs.SetNormalizeFunc(options.FlagName)
	sets.AddTo(fs)
	return fs
}

// describe prints all of a flag but its usage.
func describe(f *pflag.Flag) string {
	return fmt.Sprintf("--%s -%s type %s default %q without value %q hidden %t deprecated %t",
		f.Name, f.Shorthand, f.Value.Type(), f.DefValue, f.NoOptDefVal, f.Hidden, f.Deprecated != "")
}

func names(fs *pflag.FlagSet) []string {
	var out []string
	fs.VisitAll(func(f *pflag.Flag) { out = append(out, f.Name) })
	return out
}

// TestFlags: each flag of kube-proxy is there with its type, default and deprecation, and no
// other but hnsproxy's own.
func TestFlags(t *testing.T) {
	theirs, ours := theirFlags(), ourFlags()
	n := 0
	theirs.VisitAll(func(f *pflag.Flag) {
		if slices.ContainsFunc(ofOthers, func(prefix string) bool { return strings.HasPrefix(f.Name, prefix) }) {
			return
		}
		n++
		own := ours.Lookup(f.Name)
		if own == nil {
			t.Errorf("there is no --%s", f.Name)
			return
		}
		if diff := cmp.Diff(describe(f), describe(own)); diff != "" {
			t.Errorf("--%s (-kube-proxy +hnsproxy):\n%s", f.Name, diff)
		}
	})
	t.Logf("%d flags of kube-proxy compared", n)
	if n < 50 {
		t.Errorf("kube-proxy has %d flags: they were not found", n)
	}
	for _, name := range names(ours) {
		f := theirs.Lookup(name)
		switch {
		case strings.HasPrefix(name, "hns-"), ours.Lookup(name).Hidden:
		case notKubeProxys[name] != "":
			if f != nil {
				t.Errorf("kube-proxy has --%s again: take it off the list", name)
			}
		case f == nil && (runtime.GOOS == "windows" || !slices.Contains(ofWindows, name)):
			t.Errorf("kube-proxy has no --%s", name)
		}
	}
}

// TestGates: the gates that hnsproxy has are kube-proxy's, with their defaults.
func TestGates(t *testing.T) {
	known := utilfeature.DefaultMutableFeatureGate.GetAll()
	gates, err := options.New().Gates()
	if err != nil {
		t.Fatal(err)
	}
	for name, spec := range gates.GetAll() {
		if strings.HasPrefix(string(name), "All") && (name == "AllAlpha" || name == "AllBeta") {
			continue
		}
		their, ok := known[name]
		if !ok {
			t.Errorf("kube-proxy has no gate %s", name)
			continue
		}
		if their.Default != spec.Default || their.PreRelease != spec.PreRelease || their.LockToDefault != spec.LockToDefault {
			t.Errorf("%s: default %t, stage %s, want %t, %s", name, spec.Default, stage(spec), their.Default, stage(their))
		}
	}
	o := options.New()
	o.FeatureGates = map[string]bool{}
	for name := range known {
		o.FeatureGates[string(name)] = true
	}
	if gates, err = o.Gates(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d gates of kube-proxy, of which %d are of the client library", len(known), len(gates.Client))
	if len(gates.Client) == 0 {
		t.Error("no gate of the client library is known")
	}
}

func stage(s featuregate.FeatureSpec) string {
	if s.PreRelease == featuregate.GA {
		return "GA"
	}
	return string(s.PreRelease)
}
