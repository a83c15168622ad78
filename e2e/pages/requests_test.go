// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// request is one question to either port.
type request struct {
	// port is "healthz" or "metrics".
	port, method, path string
	header             map[string]string
	body               string
}

func (r request) String() string {
	out := r.port + " " + r.method + " " + r.path
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		out += fmt.Sprintf(" %s=%q", name, r.header[name])
	}
	if r.body != "" {
		out += fmt.Sprintf(" body=%q", r.body)
	}
	return out
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// gets are plain questions.
func gets(port string, paths ...string) (out []request) {
	for _, path := range paths {
		out = append(out, request{port: port, method: http.MethodGet, path: path})
	}
	return out
}

// accepts asks for one page in several ways.
func accepts(path string, accept ...string) (out []request) {
	for _, a := range accept {
		out = append(out, request{port: "metrics", method: http.MethodGet, path: path, header: map[string]string{"Accept": a}})
	}
	return out
}

// requests are all that is asked, in this order.
func requests() []request {
	all := slices.Concat(
		gets("healthz", "/healthz", "/livez", "/", "/healthz/", "/readyz", "/metrics", "//healthz", "/x/../healthz"),
		gets("metrics", "/", "/healthz", "/healthz/", "/healthz/ping", "/healthz/log", "/healthz?verbose", "/healthz?exclude=ping&verbose",
			"/healthz?exclude=a%22b&exclude=a&verbose", "//healthz", "/x/../healthz", "/livez", "/readyz", "/proxyMode", "/proxymode", "/configz", "/configz/",
			"/metrics/", "/metrics/slis", "/metrics/slis", "/flagz", "/flagz/", "/flagz?pretty=1", "/statusz", "/statusz/", "/debug", "/debug/", "/debug/flags",
			"/debug/flags/", "/debug/flags/v", "/debug/flags/w", "/debug/pprof", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol",
			"/debug/pprof/nothing", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1"),
		[]request{
			{port: "healthz", method: http.MethodPost, path: "/healthz", body: "x"},
			{port: "healthz", method: http.MethodHead, path: "/livez"},
			{port: "metrics", method: http.MethodPost, path: "/healthz", body: "x"},
			{port: "metrics", method: http.MethodHead, path: "/proxyMode"},
			{port: "metrics", method: http.MethodDelete, path: "/configz"},
			{port: "metrics", method: http.MethodDelete, path: "/metrics/slis"},
			{port: "metrics", method: http.MethodGet, path: "/metrics/slis"},
			{port: "metrics", method: http.MethodPost, path: "/flagz"},
			{port: "metrics", method: http.MethodPut, path: "/debug/flags/v", body: "x"},
			{port: "metrics", method: http.MethodPut, path: "/debug/flags/v", body: "3"},
			{port: "metrics", method: http.MethodPost, path: "/debug/flags/v", body: "3"},
		},
	)
	for _, page := range []string{"flagz", "statusz"} {
		kind := strings.ToUpper(page[:1]) + page[1:]
		structured := func(media, group, version string) string {
			return fmt.Sprintf("%s;as=%s;g=%s;v=%s", media, kind, group, version)
		}
		all = append(all, accepts("/"+page, "*/*", "text/*", "text/plain", "text/html", "text/plain;charset=utf-8", "application/json", "application/yaml", "application/cbor",
			"application/vnd.kubernetes.protobuf", "image/png, */*;q=0.1", "application/json, text/plain;q=0.5",
			structured("application/json", "config.k8s.io", "v1beta1"), structured("application/json", "config.k8s.io", "v1alpha1"),
			structured("application/json", "config.k8s.io", "v1beta1")+";pretty=1", structured("application/json", "config.k8s.io", "v1"),
			structured("application/json", "apps", "v1beta1"), structured("application/yaml", "config.k8s.io", "v1beta1"),
			structured("application/cbor", "config.k8s.io", "v1beta1"), structured("*/*", "config.k8s.io", "v1beta1"), structured("text/plain", "config.k8s.io", "v1beta1"),
			structured("application/json", "config.k8s.io", "v1")+","+structured("application/yaml", "config.k8s.io", "v1beta1"),
			structured("application/json", "config.k8s.io", "v1beta1")+";stream=watch", structured("application/json", "config.k8s.io", "v1beta1")+";sv=v1", "nonsense")...)
		human := request{port: "metrics", method: http.MethodGet, path: "/" + page, header: map[string]string{
			"Accept": structured("application/json", "config.k8s.io", "v1beta1"), "User-Agent": "curl/8.14.1"}}
		all = append(all, human)
		human.path += "?pretty=false"
		all = append(all, human)
	}
	return all
}

// client takes answers as they are: it follows no redirect and asks for no compression.
var client = &http.Client{
	Timeout:       time.Minute,
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends a request to where its port is.
func ask(ctx context.Context, addresses map[string]string, r request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, "http://"+addresses[r.port]+r.path, bytes.NewBufferString(r.body))
	if err != nil {
		return answer{}, err
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	response, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, response.Header, string(body)}, nil
}
