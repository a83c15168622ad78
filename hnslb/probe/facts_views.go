// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// viewFacts are about what the two interfaces of HNS show of one object. Package hcn lists
// through V1, so it matters where they differ.
func viewFacts() []fact {
	return []fact{
		{name: "IDs in V1 and V2", row: "HNS prints one GUID", doc: "V1 upper case, V2 lower case",
			find: viewEndpoint(true, "ID", "ID", caseOf)},
		{name: "MAC given in lower case, in V1 and V2", row: "MACs come back in upper case", doc: "V1 upper case with dashes, V2 upper case with dashes",
			find: viewEndpoint(true, "MacAddress", "MacAddress", macForm)},
		{name: "name of an endpoint that is made without one, in V1 and V2", row: "An endpoint that was made without a name", find: viewEndpoint(false, "Name", "Name", func(v any) string {
			if v == nil || v == "" {
				return "none"
			}
			return fmt.Sprintf("%q", v)
		})},
		{name: "flags of a load balancer in V1", doc: "ILB, IsDSR, IsVipExternalIP, LocalRoutedVip", find: findV1Flags},
		{name: "state of a load balancer in V1", doc: "2", find: func(ctx context.Context, b *bench) (string, error) {
			doc, err := b.viewLoadBalancer(ctx)
			return fmt.Sprint(doc["State"]), err
		}},
	}
}

// viewTime is how long both interfaces may take to show an object.
const viewTime = time.Minute

// view calls a Viewer. Its calls do not end with their context.
func (b *bench) view(ctx context.Context, view func(context.Context, hnslb.ID) (hnslb.Views, error), id hnslb.ID) (v1, v2 map[string]any, err error) {
	ctx, cancel := context.WithTimeout(ctx, viewTime)
	defer cancel()
	type answer struct {
		views hnslb.Views
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		views, err := view(ctx, id)
		done <- answer{views, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return nil, nil, a.err
		}
		if err := json.Unmarshal(a.views.V1, &v1); err != nil {
			return nil, nil, fmt.Errorf("V1: %w", err)
		}
		if err := json.Unmarshal(a.views.V2, &v2); err != nil {
			return nil, nil, fmt.Errorf("V2: %w", err)
		}
		return v1, v2, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func errNoViews() error { return unknown("the driver shows one interface of HNS only") }

// viewEndpoint makes an endpoint and says what a field of it is in V1 and in V2.
func viewEndpoint(named bool, v1Field, v2Field string, say func(any) string) func(context.Context, *bench) (string, error) {
	return func(ctx context.Context, b *bench) (string, error) {
		if b.Viewer == nil {
			return "", errNoViews()
		}
		ip, err := b.address()
		if !named {
			ip = b.scratch.Unnamed
		}
		if err != nil {
			return "", err
		}
		spec := b.endpointSpec(ip)
		spec.MAC = "02-13-aa-bb-cc-dd"
		if !named {
			spec.Name = ""
		}
		e, err := b.Driver.CreateEndpoint(ctx, spec)
		if err != nil {
			return "", err
		}
		defer b.deleteEndpoint(ctx, e.ID)
		v1, v2, err := b.view(ctx, b.Viewer.ViewEndpoint, e.ID)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("V1 %s, V2 %s", say(v1[v1Field]), say(v2[v2Field])), nil
	}
}

// viewLoadBalancer makes a load balancer with all flags that V1 is known to show, and returns its
// V1 form.
func (b *bench) viewLoadBalancer(ctx context.Context) (map[string]any, error) {
	if b.Viewer == nil {
		return nil, errNoViews()
	}
	lb, err := b.createLoadBalancer(ctx, func(lb *hnslb.LoadBalancer) {
		lb.Flags = hnslb.DSR
		lb.Mappings[0].Flags = hnslb.ILB | hnslb.LocalRoutedVIP | hnslb.VIPExternal
	})
	if err != nil {
		return nil, err
	}
	defer b.deleteLoadBalancer(ctx, lb)
	v1, _, err := b.view(ctx, b.Viewer.ViewLoadBalancer, lb.ID)
	return v1, err
}

// findV1Flags lists the fields of the first policy that are true.
func findV1Flags(ctx context.Context, b *bench) (string, error) {
	doc, err := b.viewLoadBalancer(ctx)
	if err != nil {
		return "", err
	}
	policies, _ := doc["Policies"].([]any)
	if len(policies) == 0 {
		return "no policies", nil
	}
	policy, _ := policies[0].(map[string]any)
	var set []string
	for _, name := range slices.Sorted(maps.Keys(policy)) {
		if policy[name] == true {
			set = append(set, name)
		}
	}
	return strings.Join(set, ", "), nil
}

func caseOf(v any) string {
	text := fmt.Sprint(v)
	switch text {
	case strings.ToUpper(text):
		return "upper case"
	case strings.ToLower(text):
		return "lower case"
	}
	return "mixed case"
}

func macForm(v any) string {
	text := fmt.Sprint(v)
	if strings.Contains(text, ":") {
		return caseOf(v) + " with colons"
	}
	return caseOf(v) + " with dashes"
}
