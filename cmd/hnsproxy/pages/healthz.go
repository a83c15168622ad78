// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"k8s.io/component-base/metrics/prometheus/slis"
)

// ping is the one check of /healthz on the metrics port: the program answers. kube-proxy does
// not ask its proxier there either.
const ping = "ping"

// addHealthz adds /healthz, /healthz/ping, and /metrics/slis, which counts the answers.
func addHealthz(m *Mux) {
	m.Handle("/healthz", http.HandlerFunc(healthz))
	m.Handle("/healthz/"+ping, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok")) // without the headers of the others, as upstream
	}))
	slis.SLIMetricsWithReset{}.Install(m)
}

// healthz answers ok, or with ?verbose check by check. ?exclude=NAME leaves a check out.
func healthz(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var unknown []string
	excluded := false
	for _, name := range slices.Compact(slices.Sorted(slices.Values(query["exclude"]))) {
		if name == ping {
			excluded = true
		} else {
			unknown = append(unknown, strconv.Quote(name))
		}
	}
	var out strings.Builder
	if excluded {
		fmt.Fprintf(&out, "[+]%s excluded: ok\n", ping)
	} else {
		_ = slis.ObserveHealthcheck(r.Context(), ping, "healthz", slis.Success) // it never fails
		fmt.Fprintf(&out, "[+]%s ok\n", ping)
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&out, "warn: some health checks cannot be excluded: no matches for %s\n", strings.Join(unknown, ","))
	}
	if !query.Has("verbose") {
		writeText(w, "ok")
		return
	}
	writeText(w, out.String()+"healthz check passed\n")
}
