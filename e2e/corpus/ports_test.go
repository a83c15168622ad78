// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// The ports of kube-proxy, which no deployment changes. Metrics are on loopback, of whichever family the file asks for.
const healthz = "127.0.0.1:10256"

func metrics() []string { return []string{"127.0.0.1:10249", "[::1]:10249"} }

// firstSync is how the page of metrics shows that there was a sync.
var firstSync = regexp.MustCompile(`(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds\{.*\} [1-9]`)

// awaitPorts waits until nobody listens on the ports: other runs of this test, on the same machine, use the same.
func (l *lab) awaitPorts() {
	l.Helper()
	err := wait.PollUntilContextTimeout(l.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		for _, address := range append(metrics(), healthz) {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return false, nil //nolint:nilerr // not yet
			}
			if err := listener.Close(); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		l.Fatalf("somebody listens on the ports of kube-proxy: %v", err)
	}
}

// synced reports whether the program that serves these ports has made a sync and is healthy.
func synced(ctx context.Context) bool {
	// The connection is closed from here, else the port would not be free for the next program for a minute.
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	status, _ := get(ctx, client, "http://"+healthz+"/healthz")
	for _, address := range metrics() {
		if _, page := get(ctx, client, "http://"+address+"/metrics"); firstSync.MatchString(page) {
			return status == http.StatusOK
		}
	}
	return false
}

// get asks for a page. There is none while nobody listens.
func get(ctx context.Context, client *http.Client, url string) (status int, page string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, ""
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}
