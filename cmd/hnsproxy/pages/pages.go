// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"encoding/json"
	"net/http"
	"time"

	"k8s.io/component-base/logs"
)

// configGroup is the name of the configuration on /configz.
const configGroup = "kubeproxy.config.k8s.io"

// Config says what the pages of the metrics port show.
type Config struct {
	// Metrics answers /metrics.
	Metrics http.Handler
	// Configuration returns what /configz shows; nil for nothing.
	Configuration func() any
	// Flags returns what /flagz shows, by name; nil for no such page.
	Flags func() map[string]string
	// Status serves /statusz.
	Status bool
	// Started is when the process began, Release the release of Kubernetes that it behaves
	// like, such as v1.37.2.
	Started time.Time
	Release string
	// Profiling serves /debug/pprof and /debug/flags.
	Profiling bool
	// Frontends answers /debug/frontends; nil for no such page.
	Frontends http.Handler
}

// New makes the pages.
func New(c Config) *Mux {
	m := NewMux()
	addHealthz(m)
	m.Handle("/proxyMode", text("kernelspace"))
	m.Handle("/metrics", c.Metrics)
	if c.Profiling {
		addDebug(m, logs.GlogSetter)
	}
	m.Handle("/configz", configz(c.Configuration))
	if c.Flags != nil {
		m.Handle("/flagz", newFlagz(c.Flags))
	}
	if c.Frontends != nil {
		m.unlisted("/debug/frontends", c.Frontends)
	}
	if c.Status {
		m.Handle("/statusz", newStatusz(c.Started, c.Release, m.topics()))
	}
	return m
}

// configz shows the configuration. The package of that name in component-base keeps it in a
// variable of the process, which a program that takes over another configuration, and tests
// with several programs, have no use for.
func configz(configuration func() any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all := map[string]any{}
		if configuration != nil {
			all[configGroup] = configuration()
		}
		body, err := json.Marshal(all)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body)
	})
}
