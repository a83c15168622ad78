// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newPages are pages as a program has them.
func newPages(c Config) *Mux {
	c.Metrics = text("numbers")
	c.Configuration = func() any { return map[string]string{"mode": "kernelspace"} }
	c.Flags = func() map[string]string { return map[string]string{"v": "2", "master": ""} }
	c.Status, c.Release, c.Started = true, "v1.37.2", time.Now().Add(-time.Hour-time.Minute)
	return New(c)
}

func serve(t *testing.T, h http.Handler, r *http.Request) (int, http.Header, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(t.Context()))
	return w.Code, w.Header(), w.Body.String()
}

func get(path, accept string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return r
}

// TestPages: what each path answers. That it is what kube-proxy.exe answers is shown where
// there is one, in e2e/pages.
func TestPages(t *testing.T) {
	pages := newPages(Config{Profiling: true, Frontends: text("rows")})
	for _, tt := range []struct {
		path string
		code int
		// body is what it begins with.
		body string
	}{
		{"/healthz", 200, "ok"},
		{"/healthz/ping", 200, "ok"},
		{"/healthz?verbose", 200, "[+]ping ok\nhealthz check passed\n"},
		{"/healthz?exclude=ping&exclude=b&exclude=a&exclude=b&verbose", 200, "[+]ping excluded: ok\n" +
			"warn: some health checks cannot be excluded: no matches for \"a\",\"b\"\nhealthz check passed\n"},
		{"/healthz/", 404, "404 page not found\n"},
		{"//healthz", 404, "404 page not found\n"},
		{"/livez", 404, "404 page not found\n"},
		{"/", 404, "404 page not found\n"},
		{"/metrics", 200, "numbers"},
		{"/metrics/slis", 200, "# HELP kubernetes_healthcheck [STABLE]"},
		{"/proxyMode", 200, "kernelspace"},
		{"/configz", 200, `{"kubeproxy.config.k8s.io":{"mode":"kernelspace"}}`},
		{"/debug/frontends", 200, "rows"},
		{"/debug/flags", 200, "<html>"},
		{"/debug/flags/w", 200, "<html>"},
		{"/debug/flags/v", 406, "unsupported http method\n"},
		{"/debug/pprof", 302, ""},
		{"/debug/pprof/", 200, "<html>"},
		{"/debug/pprof/symbol", 200, "num_symbols: 1\n"},
		{"/debug/pprof/nothing", 404, "Unknown profile\n"},
		{"/flagz", 200, "\nkube-proxy flagz\nWarning: "},
		{"/statusz", 200, "\nkube-proxy statusz\nWarning: "},
	} {
		code, _, body := serve(t, pages, get(tt.path, ""))
		if code != tt.code || !strings.HasPrefix(body, tt.body) {
			t.Errorf("%s: %d %q, want %d %q", tt.path, code, body, tt.code, tt.body)
		}
	}
	bare := New(Config{Metrics: text("numbers")})
	for _, path := range []string{"/flagz", "/statusz", "/debug/pprof/", "/debug/flags/v", "/debug/frontends"} {
		if code, _, _ := serve(t, bare, get(path, "")); code != http.StatusNotFound {
			t.Errorf("%s: %d though it was not asked for", path, code)
		}
	}
}

// TestObjects: /flagz and /statusz as objects, and what a client gets that takes nothing there is.
func TestObjects(t *testing.T) {
	const beta = "as=Flagz;g=config.k8s.io;v=v1beta1"
	const flagz = `{"kind":"Flagz","apiVersion":"config.k8s.io/v1beta1","metadata":{"name":"kube-proxy"},"flags":{"master":"","v":"2"}}` + "\n"
	refused := `"message":"` + notAcceptable + `"`
	for _, tt := range []struct {
		path, accept string
		code         int
		contentType  string
		body         string
	}{
		{"/flagz", "application/json;" + beta, 200, "application/json;g=config.k8s.io;v=v1beta1;as=Flagz", flagz},
		{"/flagz", "*/*;" + beta, 200, "application/json;g=config.k8s.io;v=v1beta1;as=Flagz", flagz},
		{"/flagz", "image/png, application/yaml;" + beta, 200, "application/yaml;g=config.k8s.io;v=v1beta1;as=Flagz",
			"apiVersion: config.k8s.io/v1beta1\nflags:\n  master: \"\"\n  v: \"2\"\nkind: Flagz\n"},
		{"/flagz?pretty=1", "application/json;" + beta, 200, "application/json;g=config.k8s.io;v=v1beta1;as=Flagz", "{\n  \"kind\": \"Flagz\""},
		{"/flagz", "application/json", 406, "application/json", `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` + refused},
		{"/flagz", "application/yaml", 406, "application/yaml", "apiVersion: v1\ncode: 406\n"},
		{"/flagz", "text/html", 406, "application/json", "{\n  \"kind\": \"Status\""},
		{"/flagz", "application/json;" + strings.Replace(beta, "v1beta1", "v2", 1), 406, "application/json", "{\n  \"kind\": \"Status\""},
		{"/statusz", "application/json;" + beta, 406, "application/json", "{\n  \"kind\": \"Status\""},
		{"/statusz", "application/json;as=Statusz;g=config.k8s.io;v=v1alpha1", 200, "application/json;g=config.k8s.io;v=v1alpha1;as=Statusz", `{"kind":"Statusz"`},
	} {
		code, header, body := serve(t, newPages(Config{}), get(tt.path, tt.accept))
		if code != tt.code || header.Get("Content-Type") != tt.contentType || !strings.HasPrefix(body, tt.body) {
			t.Errorf("%s as %s:\n%d %q\n%s", tt.path, tt.accept, code, header.Get("Content-Type"), body)
		}
		if warned := header.Get("Warning") != ""; warned != strings.Contains(tt.accept, "v1alpha1") {
			t.Errorf("%s as %s: warning %q", tt.path, tt.accept, header.Get("Warning"))
		}
	}
}

func TestStatusz(t *testing.T) {
	_, _, body := serve(t, newPages(Config{}), get("/statusz", "application/json;as=Statusz;g=config.k8s.io;v=v1beta1"))
	var got statusz
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.BinaryVersion != "1.37.2" || got.EmulationVersion != "1.37" || got.UptimeSeconds < 3660 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"/configz", "/flagz", "/healthz", "/metrics", "/proxyMode"}, got.Paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	_, _, body = serve(t, newPages(Config{}), get("/statusz", ""))
	if !strings.Contains(body, " 1 hr 01 min ") {
		t.Error(body)
	}
}

// TestFlagSetter: the verbosity is set by a PUT, and what is wrong is said.
func TestFlagSetter(t *testing.T) {
	h := flagSetter(func(v string) (string, error) {
		if v == "x" {
			return "", http.ErrNotSupported
		}
		return "set to " + v, nil
	})
	for _, tt := range []struct {
		method, body string
		code         int
		want         string
	}{
		{http.MethodPut, "4", 200, "set to 4\n"},
		{http.MethodPut, "x", 400, http.ErrNotSupported.Error() + "\n"},
		{http.MethodPost, "4", 406, "unsupported http method\n"},
	} {
		code, _, body := serve(t, h, httptest.NewRequest(tt.method, "/debug/flags/v", strings.NewReader(tt.body)))
		if code != tt.code || body != tt.want {
			t.Errorf("%s %s: %d %q", tt.method, tt.body, code, body)
		}
	}
}
