// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	clientfeatures "k8s.io/client-go/features"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	metricsfeatures "k8s.io/component-base/metrics/features"
	zpagesfeatures "k8s.io/component-base/zpages/features"
)

// AllowExternalIPs is kube-proxy's gate that takes spec.externalIPs out of force.
const AllowExternalIPs featuregate.Feature = "AllowServiceExternalIPs"

// alwaysOn are gates that kube-proxy locked to true or took out, and that start scripts
// go on passing. They are accepted forever and change nothing.
func alwaysOn() []string {
	return []string{
		"EndpointSlice", "EndpointSliceProxying", "IPv6DualStack", "MultiCIDRServiceAllocator", "PreferSameTrafficDistribution",
		"ProxyTerminatingEndpoints", "ServiceInternalTrafficPolicy", "ServiceLBNodePortControl", "ServiceTrafficDistribution",
		"TopologyAwareHints", "WinDSR", "WinOverlay", "WindowsEndpointSliceProxying",
	}
}

// newFeatureGate returns the gates that can be switched.
func newFeatureGate() (featuregate.MutableVersionedFeatureGate, error) {
	gate := featuregate.NewFeatureGate()
	if err := logsapi.AddFeatureGates(gate); err != nil {
		return nil, fmt.Errorf("add the logging feature gates: %w", err)
	}
	if err := metricsfeatures.AddFeatureGates(gate); err != nil {
		return nil, fmt.Errorf("add the metrics feature gates: %w", err)
	}
	if err := zpagesfeatures.AddFeatureGates(gate); err != nil {
		return nil, fmt.Errorf("add the feature gates of /flagz and /statusz: %w", err)
	}
	err := gate.Add(map[featuregate.Feature]featuregate.FeatureSpec{
		AllowExternalIPs: {Default: true, PreRelease: featuregate.GA},
	})
	if err != nil {
		return nil, fmt.Errorf("add the feature gates: %w", err)
	}
	return gate, nil
}

// Gates are the feature gates as the options set them.
type Gates struct {
	featuregate.MutableVersionedFeatureGate
	// Client are those of the client library that were switched.
	Client map[clientfeatures.Feature]bool
	// Warnings name gates that have no effect. None is fatal: the gates of a cluster come
	// and go with its releases, and a node without Services helps nobody.
	Warnings []Warning
}

// Gates returns the feature gates as the options set them.
func (o *Options) Gates() (Gates, error) {
	gate, err := newFeatureGate()
	if err != nil {
		return Gates{}, err
	}
	g := Gates{MutableVersionedFeatureGate: gate, Client: map[clientfeatures.Feature]bool{}}
	client, own := clientGates(), gate.GetAll()
	var stuck, unknown []string
	for _, name := range slices.Sorted(maps.Keys(o.FeatureGates)) {
		on := o.FeatureGates[name]
		_, known := own[featuregate.Feature(name)]
		switch {
		case slices.Contains(alwaysOn(), name):
			if !on {
				stuck = append(stuck, name)
			}
		case client[clientfeatures.Feature(name)]:
			g.Client[clientfeatures.Feature(name)] = on
		case !known:
			unknown = append(unknown, name)
		case gate.SetFromMap(map[string]bool{name: on}) != nil:
			stuck = append(stuck, name)
		}
	}
	if len(stuck) > 0 {
		g.Warnings = append(g.Warnings, Warning{"Feature gates are locked to their default; ignored",
			[]any{"gates", strings.Join(stuck, ","), "remedy", "remove them from the feature gates"}})
	}
	if len(unknown) > 0 {
		g.Warnings = append(g.Warnings, Warning{"Unknown feature gates; ignored",
			[]any{"gates", strings.Join(unknown, ","), "remedy", "see hnsproxy --help for the supported feature gates"}})
	}
	return g, nil
}

// clientGates are the gates of the client library.
func clientGates() map[clientfeatures.Feature]bool {
	r := gateNames{}
	// It fails only when the registry does.
	_ = clientfeatures.AddVersionedFeaturesToExistingFeatureGates(r)
	return r
}

// gateNames collects the names of the gates that are registered with it.
type gateNames map[clientfeatures.Feature]bool

// AddVersioned is part of clientfeatures.VersionedRegistry.
func (n gateNames) AddVersioned(specs map[clientfeatures.Feature]clientfeatures.VersionedSpecs) error {
	for name := range specs {
		n[name] = true
	}
	return nil
}

// gateHelp lists the gates for people.
func gateHelp() string {
	var lines []string
	if gate, err := newFeatureGate(); err == nil {
		lines = gate.KnownFeatures()
	}
	var client []string
	for name := range clientGates() {
		client = append(client, string(name)+"=true|false (of the client library)")
	}
	slices.Sort(client)
	lines = append(lines, client...)
	for _, name := range alwaysOn() {
		lines = append(lines, name+"=true (accepted, always on)")
	}
	return strings.Join(lines, "\n")
}
