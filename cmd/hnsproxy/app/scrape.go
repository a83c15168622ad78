// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net/http"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/sets"
)

// scraper updates the metrics about frontends. It does so for each scrape, since it iterates over
// all frontends (law 1).
type scraper struct {
	proxier *proxier.Proxier
	metrics *metrics.Metrics
}

// wrap returns a handler that updates the metrics before h serves them.
func (s scraper) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refresh()
		h.ServeHTTP(w, r)
	})
}

func (s scraper) refresh() {
	counts := s.proxier.Table().Counts()
	s.metrics.Frontends(metrics.FrontendCounts{
		Programmed: counts[proxier.Programmed],
		Pending:    counts[proxier.Pending],
		Blocked:    counts[proxier.Blocked],
		Failing:    counts[proxier.Failing],
	})
	rows := s.proxier.Table().Rows()
	s.metrics.FrontendsLimited(limits(rows))
	for family, n := range withoutLocal(rows) {
		s.metrics.NoLocalEndpoints(family, n.internal.Len(), n.external.Len())
	}
	// A change is counted just after it is stored. If the loop took it in between, it would count
	// as pending until the next one.
	if s.proxier.Idle() {
		s.metrics.ChangesTaken()
	}
}

// limits counts the frontends that each reason affects.
func limits(rows []proxier.FrontendStatus) map[metrics.Limit]int {
	out := map[metrics.Limit]int{}
	for _, r := range rows {
		state := metrics.LimitDegraded
		switch r.State {
		case proxier.Blocked:
			state = metrics.LimitBlocked
		case proxier.Failing:
			state = metrics.LimitFailing
		}
		if r.Reason != "" {
			out[metrics.Limit{State: state, Reason: string(r.Reason)}]++
		}
		for _, l := range r.Frontend.Limits {
			out[metrics.Limit{State: metrics.LimitDegraded, Reason: string(l.Reason)}]++
		}
	}
	return out
}

// servicesWithoutLocal are the Services with traffic policy Local and no local endpoint.
type servicesWithoutLocal struct{ internal, external sets.Set[services.Name] }

// withoutLocal returns them for each family.
func withoutLocal(rows []proxier.FrontendStatus) map[hnslb.Family]servicesWithoutLocal {
	out := map[hnslb.Family]servicesWithoutLocal{}
	for _, family := range []hnslb.Family{hnslb.IPv4, hnslb.IPv6} {
		out[family] = servicesWithoutLocal{sets.New[services.Name](), sets.New[services.Name]()}
	}
	for _, r := range rows {
		f := r.Frontend
		n := out[f.Key.Family]
		switch {
		case !f.Local || f.Blocked.Reason != desired.NoEndpoints:
		case f.Kind == desired.ClusterIP:
			n.internal.Insert(f.Service)
		default:
			n.external.Insert(f.Service)
		}
	}
	return out
}
