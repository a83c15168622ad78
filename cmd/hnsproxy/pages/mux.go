// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// component is the name that the pages call the program by: kube-proxy's, which programs that
// read them look for.
const component = "kube-proxy"

// Mux finds the page of a path. Unlike http.ServeMux it takes a path as it stands, as the mux
// of kube-proxy's metrics port does: "//healthz" is not there, rather than moved.
type Mux struct {
	pages, prefixes map[string]http.Handler
	// listed are the paths that /statusz names.
	listed []string
}

// NewMux returns a Mux without pages.
func NewMux() *Mux {
	return &Mux{pages: map[string]http.Handler{}, prefixes: map[string]http.Handler{}}
}

// Handle adds a page that /statusz names.
func (m *Mux) Handle(path string, h http.Handler) {
	m.pages[path] = h
	m.listed = append(m.listed, path)
}

// unlisted adds a page that /statusz does not name.
func (m *Mux) unlisted(path string, h http.Handler) { m.pages[path] = h }

// prefix adds a page for all paths that begin so and have none of their own.
func (m *Mux) prefix(path string, h http.Handler) { m.prefixes[path] = h }

// ServeHTTP answers with the page of the path.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := m.pages[r.URL.Path]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	// The longest first.
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(m.prefixes))) {
		if strings.HasPrefix(r.URL.Path, path) {
			m.prefixes[path].ServeHTTP(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

// topics are the first parts of the listed paths, each once and in order.
func (m *Mux) topics() []string {
	out := make([]string, 0, len(m.listed))
	for _, path := range m.listed {
		first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		out = append(out, "/"+first)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// text answers with a plain text, which no browser takes for anything else.
func text(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeText(w, body) })
}

func writeText(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(body)) // A client that hung up is not our concern.
}
