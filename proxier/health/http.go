// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"net/http"
	"time"
)

// status is the response body of both probes. Names and order are those of kube-proxy.
type status struct {
	// LastUpdated is when a family was last up to date, and the current time while all are healthy:
	// in old releases of kube-proxy it was the time of the last sync attempt, and some clients
	// expect it to be recent.
	LastUpdated time.Time `json:"lastUpdated"`
	CurrentTime time.Time `json:"currentTime"`
	// NodeEligible is set in /healthz only.
	NodeEligible *bool `json:"nodeEligible,omitempty"`
	// Healthy is the state of the proxy, not of the node.
	Healthy  bool                    `json:"healthy"`
	Families map[string]familyStatus `json:"status,omitempty"`
}

type familyStatus struct {
	LastUpdated time.Time `json:"lastUpdated"`
	Healthy     bool      `json:"healthy"`
	// BehindSince and Reason explain an unhealthy family.
	BehindSince *time.Time `json:"behindSince,omitempty"`
	Reason      string     `json:"reason,omitempty"`
}

// Healthz serves /healthz: 200 if the proxy is healthy and the node eligible, else 503.
func (h *Health) Healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s, eligible := h.status(), h.nodeEligible()
		s.NodeEligible = &eligible
		writeStatus(w, s, s.Healthy && eligible, h.cfg.OnHealthz)
	})
}

// Livez serves /livez: 200 if the proxy is healthy, else 503.
func (h *Health) Livez() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := h.status()
		writeStatus(w, s, s.Healthy, h.cfg.OnLivez)
	})
}

func writeStatus(w http.ResponseWriter, s status, ok bool, onServed func(int)) {
	code := http.StatusServiceUnavailable
	if ok {
		code = http.StatusOK
		s.LastUpdated = s.CurrentTime
	}
	if onServed != nil {
		onServed(code)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	body, err := json.Marshal(s)
	if err != nil {
		return // Cannot happen, except for a year beyond 9999.
	}
	_, _ = w.Write(body) // The client may have disconnected.
}

// Mux serves /healthz and /livez, as on --healthz-bind-address.
func Mux(h *Health) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/healthz", h.Healthz())
	mux.Handle("/livez", h.Livez())
	return mux
}
