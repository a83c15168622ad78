// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
)

// The largest cluster that there are addresses for.
const (
	maxServices  = 200_000
	maxEndpoints = 5_000
	maxTotal     = 5_000_000
	maxLocal     = 20_000
)

// Validate returns everything that is wrong, with each field and what it may be.
func (s Scenario) Validate() error {
	v := validator{name: s.Name}
	v.cluster(s.Cluster)
	v.churn(s.Churn)
	v.check(s.Duration.Duration > 0, "duration", s.Duration.Duration, "a time above 0, e.g. 30s")
	_, err := options.EmulatedProfile(s.HNS.Profile)
	v.check(err == nil, "hns.profile", s.HNS.Profile, fmt.Sprintf("usable: %v", err))
	v.oneOf("hns.latency", s.HNS.Latency, options.Latencies())
	v.oneOf("hns.network", s.HNS.Network, options.NetworkTypes())
	v.oneOf("source", s.Source, []string{InProcess, APIServer})
	v.oneOf("proxy", s.Proxy, []string{InProcess, HNSProxy, KubeProxy})
	v.check(s.Proxy == InProcess || s.Source == APIServer, "source", s.Source, APIServer+", since a proxy that is a program of its own watches an API server")
	v.check(s.HNS.Network != "Overlay" || !slices.Contains(s.Cluster.IPFamilies, "IPv6"), "cluster.ipFamilies", s.Cluster.IPFamilies,
		"[IPv4] on an overlay, whose HNS networks have no IPv6")
	return errors.Join(v.errs...)
}

type validator struct {
	name string
	errs []error
}

// check notes a field whose value is not what it must be.
func (v *validator) check(ok bool, field string, value any, must string) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf("scenario %s: %s is %v: it must be %s", v.name, field, value, must))
	}
}

func (v *validator) oneOf(field, value string, all []string) {
	v.check(slices.Contains(all, value), field, fmt.Sprintf("%q", value), "one of "+strings.Join(all, ", "))
}

func (v *validator) within(field string, value, least, most int) {
	v.check(value >= least && value <= most, field, value, fmt.Sprintf("from %d to %d", least, most))
}

func (v *validator) cluster(c Cluster) {
	v.within("cluster.services", c.Services, 1, maxServices)
	v.within("cluster.endpoints", c.Endpoints, 1, maxEndpoints)
	v.within("cluster.ports", c.Ports, 1, 20)
	v.within("cluster.slices", c.Slices, 1, max(1, c.Endpoints))
	v.within("cluster.nodes", c.Nodes, 1, 5000)
	total := c.Services * c.Endpoints
	v.check(total <= maxTotal, "cluster.services times cluster.endpoints", total, fmt.Sprintf("at most %d", maxTotal))
	v.check(c.LocalShare >= 0 && c.LocalShare <= 1, "cluster.localShare", c.LocalShare, "from 0 to 1")
	local := int(c.LocalShare * float64(total))
	v.check(local <= maxLocal, "cluster.localShare of all endpoints", local, fmt.Sprintf("at most %d, the addresses of a node", maxLocal))
	known := len(c.IPFamilies) > 0
	for i, f := range c.IPFamilies {
		known = known && (f == "IPv4" || f == "IPv6") && !slices.Contains(c.IPFamilies[:i], f)
	}
	v.check(known, "cluster.ipFamilies", c.IPFamilies, "[IPv4], [IPv6] or both")
}

// uses says which of the fields that not all kinds have a kind needs.
func uses(k Kind) []string {
	switch k {
	case Burst, Rolling, Scale, Services:
		return []string{"size"}
	case Restart:
		return []string{"every"}
	case HNSRestart:
		return []string{"every", "down", "loses"}
	case Cycle:
		return []string{"size", "every", "steps"}
	default:
		return nil
	}
}

func (v *validator) churn(c Churn) {
	var kinds []string
	for _, k := range Kinds() {
		kinds = append(kinds, string(k))
	}
	v.oneOf("churn.kind", string(c.Kind), kinds)
	v.check(c.Rate > 0 && c.Rate <= 1e6, "churn.rate", c.Rate, "above 0 and at most 1000000 changes per second")
	used := uses(c.Kind)
	for _, field := range []struct {
		name     string
		set      bool
		optional bool
	}{
		{"size", c.Size != 0, false}, {"every", c.Every.Duration != 0, false}, {"steps", len(c.Steps) > 0, false},
		{"down", c.Down.Duration != 0, true}, {"loses", len(c.Loses) > 0, true},
	} {
		needs := slices.Contains(used, field.name)
		v.check(!field.set || needs, "churn."+field.name, "set", fmt.Sprintf("left out, since kind %s does not use it", c.Kind))
		v.check(field.set || !needs || field.optional, "churn."+field.name, "not set", fmt.Sprintf("set for kind %s", c.Kind))
	}
	v.check(c.Size >= 0 && c.Size <= maxEndpoints, "churn.size", c.Size, fmt.Sprintf("at most %d", maxEndpoints))
	v.check(c.Every.Duration >= 0 && c.Down.Duration >= 0, "churn.every or churn.down", "negative", "a time above 0, e.g. 10s")
	v.check(c.Down.Duration == 0 || c.Down.Duration < c.Every.Duration, "churn.down", c.Down.Duration, "shorter than churn.every")
	for _, n := range c.Steps {
		v.within("churn.steps", n, 0, maxEndpoints)
	}
	for _, lost := range c.Loses {
		v.oneOf("churn.loses", lost, []string{"loadBalancers", "endpoints"})
	}
}
