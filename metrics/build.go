// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"
	"strings"
)

// Build is the build information of the program.
type Build struct {
	// Version and Revision are hnsproxy's.
	Version, Revision string
	// Kubernetes is the release whose behavior it matches, such as v1.37.2.
	Kubernetes string
}

// Build sets the build information metrics. kubernetes_build_info contains the Kubernetes release
// whose behavior hnsproxy matches; the implementation in component-base would show v0.0.0-master.
// Labels that only a build of Kubernetes itself has are empty.
func (m *Metrics) Build(b Build) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	parts := append(strings.SplitN(strings.TrimPrefix(b.Kubernetes, "v"), ".", 3), "", "")
	m.kubernetesBuild.WithLabelValues(parts[0], parts[1], b.Kubernetes, "", "", "", runtime.Version(), runtime.Compiler, platform).Set(1)
	m.ownBuild.WithLabelValues(b.Version, b.Revision, runtime.Version(), platform).Set(1)
}
