// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/pages"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/health"
)

// TestLongProfile: a profile takes as long as was asked for, whatever the time-outs of the
// port.
func TestLongProfile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, at := proxiertest.NewNetwork(), netip.MustParseAddrPort("127.0.0.1:10249")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		shown := pages.New(pages.Config{Profiling: true})
		go func() {
			ended <- health.Server{Name: "metrics", Addr: at.String(), Handler: shown, Network: n}.Serve(ctx)
		}()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("ended with %v", err)
			}
		}()
		synctest.Wait()
		begin := time.Now()
		c, err := n.Dial(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		// The difference of two heap profiles; unlike the others it needs nothing of the
		// process that other tests may be using.
		if _, err := io.WriteString(c, "GET /debug/pprof/heap?seconds=90 HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("status %d, %d bytes, %v", response.StatusCode, len(body), err)
		}
		if took := time.Since(begin); took != 90*time.Second {
			t.Errorf("it took %v", took)
		}
		_ = response.Body.Close()
	})
}

// TestFrontendsPage: the page names the objects that HNS has.
func TestFrontendsPage(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *Options, _ *Deps) { o.Objects = []string{example(t)} })
	r.settled()
	code, body := r.get("metrics", "/debug/frontends?service=default/iis&kind=clusterip")
	var page struct {
		Node      string
		Known     bool `json:"hnsObjectsKnown"`
		Frontends []struct {
			VIP          string
			State        proxier.FrontendState
			Since        time.Time
			LoadBalancer hnslb.ID `json:"hnsLoadBalancer"`
			Backends     []struct {
				IP       netip.Addr
				Endpoint hnslb.ID `json:"hnsEndpoint"`
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil || code != http.StatusOK {
		t.Fatalf("%d %v: %s", code, err, body)
	}
	if page.Node != "win-node-1" || !page.Known || len(page.Frontends) != 1 || len(page.Frontends[0].Backends) != 2 {
		t.Fatal(body)
	}
	shown := page.Frontends[0]
	if shown.VIP != "10.96.11.30" || shown.State != proxier.Programmed || shown.Since.IsZero() {
		t.Error(body)
	}
	state := r.Emulator.State()
	var named []hnslb.ID
	for _, lb := range state.LoadBalancers {
		if lb.ID == shown.LoadBalancer {
			named = lb.Endpoints
		}
	}
	for _, b := range shown.Backends {
		if !slices.Contains(named, b.Endpoint) || b.Endpoint == "" {
			t.Errorf("%s is endpoint %q, load balancer %q names %v", b.IP, b.Endpoint, shown.LoadBalancer, named)
		}
	}
	if code, body := r.get("metrics", "/debug/frontends?state=failing"); code != http.StatusOK || !strings.Contains(body, `"frontends": []`) {
		t.Errorf("%d %s", code, body)
	}
}

// TestGatesOfPages: /flagz and /statusz have the feature gates of kube-proxy.
func TestGatesOfPages(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		r := start(t, func(o *Options, d *Deps) {
			o.Objects = []string{example(t)}
			o.FeatureGates = map[string]bool{"ComponentFlagz": on, "ComponentStatusz": on}
			d.Flags = func() map[string]string { return map[string]string{"v": "2"} }
		})
		want := http.StatusNotFound
		if on {
			want = http.StatusOK
		}
		for _, path := range []string{"/flagz", "/statusz"} {
			if code, body := r.get("metrics", path); code != want {
				t.Errorf("gates %t, %s: %d %s", on, path, code, body)
			}
		}
	}
}
