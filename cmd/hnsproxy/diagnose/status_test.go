// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/pages"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// rows are a frontend that works, a node port with a limit, and one that is blocked.
func rows() []proxier.FrontendStatus {
	web, db := services.Name{Namespace: "shop", Name: "web"}, services.Name{Namespace: "shop", Name: "db"}
	key := func(vip string, port uint16) hnslb.FrontendKey {
		k := hnslb.FrontendKey{Family: hnslb.IPv4, Protocol: hnslb.TCP, Port: port}
		if vip != "" {
			k.VIP = ip(vip)
		}
		return k
	}
	return []proxier.FrontendStatus{
		{Frontend: &desired.Frontend{Key: key("10.96.0.7", 80), Service: web, Port: "http", InternalPort: 8080, Backends: []desired.Backend{
			{IP: ip("10.244.1.5"), Local: true}, {IP: ip("10.244.2.7")}}}, State: proxier.Programmed, Since: now().Add(-time.Minute)},
		{Frontend: &desired.Frontend{Key: key("", 30080), Kind: desired.NodePort, Service: web, Port: "http",
			Limits: []desired.Note{{Reason: "MixedTargetPorts", Message: "pods listen on 80 and on 8080"}}}, State: proxier.Programmed, Since: now().Add(-5 * time.Hour)},
		{Frontend: &desired.Frontend{Key: key("10.96.0.9", 5432), Service: db}, State: proxier.Blocked, Reason: desired.NoEndpoints,
			Message: "no\x1b[2J endpoint is ready", Since: now().Add(-72 * time.Hour)},
	}
}

// running is a hnsproxy's metrics port.
func running(t *testing.T) string {
	t.Helper()
	page := &pages.Frontends{Rows: rows, Node: "win-node-1", Now: now,
		Objects: func(_ context.Context, fs []*desired.Frontend) ([]proxier.Objects, bool) {
			return make([]proxier.Objects, len(fs)), true
		}}
	mux := http.NewServeMux()
	mux.Handle("/debug/frontends", page)
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hnsproxy_pending 0\n")) })
	mux.HandleFunc("/flagz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("hostname-override=win-node-1\n"))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestStatus(t *testing.T) {
	t.Parallel()
	server := "--server=" + running(t)
	for _, tt := range []struct {
		name  string
		args  []string
		want  string
		found bool
	}{
		{"all", nil, "10.96.0.9:5432/TCP", true},
		{"no escape", nil, `no\x1b[2J endpoint`, true},
		{"by Service", []string{"shop/web"}, "2 (1 here)", false},
		{"by Service flag", []string{"--service=shop/db"}, "NoEndpoints", true},
		{"by node port", []string{"--node-port=30080"}, "MixedTargetPorts", false},
		{"other node port", []string{"--node-port=80"}, "No frontends.", false},
		{"by state", []string{"--state=programmed"}, "node:30080/TCP", false},
		{"by kind", []string{"--kind=nodeport", "-o", "wide"}, "pods listen on 80 and on 8080", false},
		{"by reason", []string{"--reason=NoEndpoints"}, "3d", true},
		{"json", []string{"-o", "json", "shop/db"}, `"state":"blocked"`, true},
	} {
		out, _, err := execute(t, testHost(HNS{}), append([]string{"status", server}, tt.args...)...)
		if !strings.Contains(out, tt.want) || errors.Is(err, ErrFound) != tt.found || !tt.found && err != nil {
			t.Errorf("%s: error %v, output\n%s", tt.name, err, out)
		}
		if lines := strings.Count(out, "shop/"); len(tt.args) == 1 && lines > 2 {
			t.Errorf("%s: shows more than was asked for:\n%s", tt.name, out)
		}
	}
	for _, args := range [][]string{{"web"}, {"--state=gone"}, {"-o", "toml"}, {"--interval=1ms"}, {"--server=localhost:1"}} {
		if _, _, err := execute(t, testHost(HNS{}), append([]string{"status"}, args...)...); err == nil || errors.Is(err, ErrFound) ||
			!strings.Contains(err.Error(), "invalid command line") {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, _, err := execute(t, testHost(HNS{}), "status", "--server=http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "is it running on this node") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestStatusTable holds the table as people see it.
func TestStatusTable(t *testing.T) {
	t.Parallel()
	out, _, _ := execute(t, testHost(HNS{}), "status", "--server="+running(t))
	golden(t, "status.txt", out)
	var doc pages.FrontendsDocument
	body, _, _ := execute(t, testHost(HNS{}), "status", "--server="+running(t), "-o", "json")
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	if text := drawStatus(doc, false, true); !strings.Contains(text, "\x1b[31mblocked\x1b[0m") || !strings.Contains(text, "\x1b[32mprogrammed\x1b[0m") {
		t.Errorf("no colours:\n%q", text)
	}
}

// TestStatusWatch: what is there first, then what changes, through an hnsproxy that is away
// for a while.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		away := errors.New("connection refused")
		page := func(states ...proxier.FrontendState) pages.FrontendsDocument {
			doc := pages.FrontendsDocument{Time: now(), Objects: true}
			for i, s := range states {
				doc.Frontends = append(doc.Frontends, pages.FrontendDocument{Service: "shop/web", Kind: "clusterip", VIP: "10.96.0.7",
					Protocol: "TCP", ExternalPort: uint16(80 + i), State: s})
			}
			return doc
		}
		answers := []struct {
			doc pages.FrontendsDocument
			err error
		}{
			{page("pending", "programmed"), nil}, {page("pending", "programmed"), nil}, {pages.FrontendsDocument{}, away},
			{pages.FrontendsDocument{}, away}, {page("programmed", "programmed"), nil}, {page("programmed"), nil},
		}
		var out, errOut bytes.Buffer
		o := &statusOptions{host: testHost(HNS{}), every: time.Second, format: "text"}
		asked := 0
		err := o.follow(ctx, &out, &errOut, func(context.Context) (pages.FrontendsDocument, error) {
			if asked == len(answers) {
				stop()
				return pages.FrontendsDocument{}, context.Canceled
			}
			asked++
			return answers[asked-1].doc, answers[asked-1].err
		})
		if err != nil || errOut.String() != "connection refused\n" {
			t.Errorf("%v, %q", err, errOut.String())
		}
		_, changes, _ := strings.Cut(out.String(), "10.96.0.7:81/TCP")
		_, changes, _ = strings.Cut(changes, "\n")
		const want = `12:00:00 shop/web: 10.96.0.7:80/TCP  pending, 0 backends -> programmed, 0 backends
12:00:00 shop/web: 10.96.0.7:81/TCP  programmed, 0 backends -> not there
`
		if changes != want {
			t.Errorf("got\n%s\nwant\n%s", changes, want)
		}
	})
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{-time.Second: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 3 * time.Hour: "3h", 48 * time.Hour: "2d"} {
		if got := age(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
