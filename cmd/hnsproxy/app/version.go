// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"k8s.io/component-base/version"
)

// clientModule is the module whose version is that of Kubernetes: v0.37.2 for v1.37.2.
const clientModule = "k8s.io/component-base"

// kubernetesVersion is the Kubernetes release that hnsproxy speaks and behaves like. Start
// scripts read it from --version.
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

// ownVersion is the version of hnsproxy.
func ownVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// versionText is the answer to --version. The first line is kube-proxy's, word for word.
func versionText() string {
	return fmt.Sprintf("Kubernetes %s\nhnsproxy %s %s %s/%s\n",
		kubernetesVersion(), ownVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func userAgent() string {
	return fmt.Sprintf("hnsproxy/%s (%s/%s) kubernetes/%s", ownVersion(), runtime.GOOS, runtime.GOARCH, kubernetesVersion())
}
