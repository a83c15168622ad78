// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

// allowExternalIPs is kube-proxy's gate that takes spec.externalIPs out of force.
const allowExternalIPs featuregate.Feature = "AllowServiceExternalIPs"

// alwaysOn are gates that kube-proxy locked to true or took out, and that start scripts
// go on passing. They are accepted for ever and change nothing.
func alwaysOn() []string {
	return []string{"MultiCIDRServiceAllocator", "PreferSameTrafficDistribution", "WinDSR", "WinOverlay"}
}

// newFeatureGate returns the gates that can be switched.
func newFeatureGate() (featuregate.MutableVersionedFeatureGate, error) {
	gate := featuregate.NewFeatureGate()
	if err := logsapi.AddFeatureGates(gate); err != nil {
		return nil, fmt.Errorf("add the logging feature gates: %w", err)
	}
	err := gate.Add(map[featuregate.Feature]featuregate.FeatureSpec{
		allowExternalIPs: {Default: true, PreRelease: featuregate.Beta},
	})
	if err != nil {
		return nil, fmt.Errorf("add the feature gates: %w", err)
	}
	return gate, nil
}

// featureGate returns the gates as the options set them, and what is wrong with them.
func (o *Options) featureGate() (featuregate.MutableVersionedFeatureGate, []Problem) {
	gate, err := newFeatureGate()
	if err != nil {
		return nil, []Problem{{Flag: "feature-gates", Why: err.Error()}}
	}
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(o.FeatureGates)) {
		on := o.FeatureGates[name]
		if slices.Contains(alwaysOn(), name) {
			continue
		}
		if err := gate.SetFromMap(map[string]bool{name: on}); err != nil {
			problems = append(problems, Problem{
				Flag: "feature-gates", Value: fmt.Sprintf("%s=%t", name, on), Why: err.Error(),
				Remedy: "leave it out; hnsproxy --help lists the feature gates",
			})
		}
	}
	return gate, problems
}

// warnGates says which gates were switched off in vain.
func (o *Options) warnGates(logger klog.Logger) {
	for _, name := range alwaysOn() {
		if on, given := o.FeatureGates[name]; given && !on {
			logger.Error(nil, "Feature gate cannot be switched off any more; ignored", "gate", name,
				"remedy", "take it out of --feature-gates")
		}
	}
}

// gateHelp lists the gates for people.
func gateHelp() string {
	var lines []string
	if gate, err := newFeatureGate(); err == nil {
		lines = gate.KnownFeatures()
	}
	for _, name := range alwaysOn() {
		lines = append(lines, name+"=true (accepted, always on)")
	}
	return strings.Join(lines, "\n")
}
