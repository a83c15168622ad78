// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"
)

// Names in every case.
const (
	thisNode  = "this"
	otherNode = "other"
	namespace = "ns"
	service   = "svc"
)

// testCase is one Service with all that its frontends depend on.
type testCase struct {
	service *corev1.Service
	// history is what a watch of EndpointSlices tells, in order.
	history []change
	node    *corev1.Node
	network hnslb.Network
	version hnslb.Version
	options desired.Options
}

// change is one event of a watch: a slice as it is from then on, or as it was last.
type change struct {
	slice   *discoveryv1.EndpointSlice
	removed bool
}

// slices returns the EndpointSlices that exist after the whole history, in order of their
// names.
func (c *testCase) slices() []*discoveryv1.EndpointSlice {
	last := map[string]*discoveryv1.EndpointSlice{}
	for _, ch := range c.history {
		if ch.removed {
			delete(last, ch.slice.Name)
		} else {
			last[ch.slice.Name] = ch.slice
		}
	}
	return slices.SortedFunc(maps.Values(last), func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
}

// withSlices returns the case with every slice of its history replaced.
func (c *testCase) withSlices(replace func(*discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice) *testCase {
	out := *c
	out.history = make([]change, 0, len(c.history))
	for _, ch := range c.history {
		out.history = append(out.history, change{replace(ch.slice), ch.removed})
	}
	return &out
}

// String prints what differs from case to case, for a person who looks for the cause.
func (c *testCase) String() string {
	out, err := yaml.Marshal(map[string]any{
		"service": map[string]any{"annotations": c.service.Annotations, "spec": c.service.Spec, "status": c.service.Status},
		"slices":  c.slices(),
		"labels":  c.node.Labels,
		"network": c.network.Type,
		"hns":     c.version.String(),
	})
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// features of the HNS in this case.
// features are those of an HNS that refused more endpoints than an early one takes.
func (c *testCase) features() hnslb.Features {
	f := hnslb.FeaturesOf(c.version)
	if c.version.Major < 10 {
		f.MaxEndpoints = hnslb.EarlyMaxEndpoints
	}
	return f
}

// ours returns what hnsproxy makes of the case, through its public API alone.
func (c *testCase) ours() ([]*desired.Frontend, []desired.HealthCheckPort) {
	// What the store cannot understand it leaves out; the comparison tells whether that
	// was right.
	store := services.NewStore(thisNode, time.Time{})
	_, _ = store.SetService(c.service)
	seen := map[string]*discoveryv1.EndpointSlice{}
	for _, ch := range c.history {
		if ch.removed {
			store.DeleteSlice(ch.slice)
			continue
		}
		_, _ = store.SetSlice(seen[ch.slice.Name], ch.slice)
		seen[ch.slice.Name] = ch.slice
	}
	node, _ := services.ReadNode(c.node)
	env := desired.NewEnv(node, c.network, c.features(), c.options)
	for _, in := range store.Take() {
		if in.Name.Namespace == namespace && in.Name.Name == service {
			return desired.Compute(in, env), desired.HealthCheckPorts(in, node.Name)
		}
	}
	return nil, nil
}
