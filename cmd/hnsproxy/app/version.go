// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
)

// clientModule is a module whose version follows that of Kubernetes: v0.37.2 for v1.37.2.
const clientModule = "k8s.io/component-base"

// kubernetesVersion returns the Kubernetes release whose behavior hnsproxy matches. Start scripts
// read it from --version.
func kubernetesVersion() string {
	if v := version.Get().GitVersion; !strings.HasPrefix(v, "v0.0.0") {
		return v // set by the linker
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if rest, ok := strings.CutPrefix(m.Version, "v0."); ok && m.Path == clientModule {
				return "v1." + rest
			}
		}
	}
	return "v" + version.DefaultKubeBinaryVersion + ".0"
}

// gitVersion and gitCommit are set by the linker in builds by make, see hack/ldflags.sh. The go
// command itself stamps no version in git worktrees and with -buildvcs=false.
var gitVersion, gitCommit string //nolint:gochecknoglobals // the linker sets nothing else

// ownVersion returns the version of hnsproxy.
func ownVersion() string {
	info, _ := debug.ReadBuildInfo()
	version, _ := stamped(gitVersion, gitCommit, info)
	return version
}

// stamped returns version and commit: those set by the linker, or else those in the build
// information of the go command, which may be nil.
func stamped(version, commit string, info *debug.BuildInfo) (string, string) {
	if info == nil {
		info = &debug.BuildInfo{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = cmp.Or(commit, s.Value)
		}
	}
	return cmp.Or(version, info.Main.Version, "(devel)"), commit
}

// printKubernetesVersion prints the output of --version, which is that of kube-proxy: start scripts
// match it, and PowerShell does not match output of more than one line.
func printKubernetesVersion(w io.Writer, raw bool) error {
	text := "Kubernetes " + kubernetesVersion()
	if raw {
		info := version.Get()
		info.GitVersion = kubernetesVersion()
		text = fmt.Sprintf("%#v", info)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// versions is the output of "hnsproxy version".
type versions struct {
	Version    string `json:"version"`
	Kubernetes string `json:"kubernetes"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

func newVersionCommand() *cobra.Command {
	format := "text"
	cmd := &cobra.Command{
		Use:     "version [-o json|yaml]",
		Short:   "print the version of hnsproxy",
		Long:    "hnsproxy version prints the version of hnsproxy and build information.",
		Example: "  hnsproxy version -o json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printVersions(cmd.OutOrStdout(), format)
		},
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("version")
	fs.StringVarP(&format, "output", "o", format, "`FORMAT`: text, json or yaml.")
	fs.BoolP("help", "h", false, "Print this help and exit.")
	sets.AddTo(cmd.Flags())
	setHelp(cmd, sets)
	return cmd
}

func printVersions(w io.Writer, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	v := versions{ownVersion(), kubernetesVersion(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	return writeDocument(w, format, v, func() string {
		return fmt.Sprintf("hnsproxy %s\nKubernetes %s\n%s %s\n", v.Version, v.Kubernetes, v.Go, v.Platform)
	})
}

// build returns the build information for the metrics.
func build() metrics.Build {
	info, _ := debug.ReadBuildInfo()
	version, commit := stamped(gitVersion, gitCommit, info)
	return metrics.Build{Version: version, Revision: commit, Kubernetes: kubernetesVersion()}
}

func userAgent() string {
	return fmt.Sprintf("hnsproxy/%s (%s/%s) kubernetes/%s", ownVersion(), runtime.GOOS, runtime.GOARCH, kubernetesVersion())
}
