// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

var since = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rows are a frontend that works, one that waits, and a node port that is not all that was asked for.
func rows() []proxier.FrontendStatus {
	web, db := services.Name{Namespace: "shop", Name: "web"}, services.Name{Namespace: "shop", Name: "db"}
	key := func(vip string, port uint16) hnslb.FrontendKey {
		k := hnslb.FrontendKey{Family: hnslb.IPv4, Protocol: hnslb.TCP, Port: port}
		if vip != "" {
			k.VIP = netip.MustParseAddr(vip)
		}
		return k
	}
	return []proxier.FrontendStatus{
		{Frontend: &desired.Frontend{Key: key("10.96.0.9", 5432), Service: db, Blocked: desired.Note{Reason: desired.NoEndpoints}},
			State: proxier.Blocked, Reason: desired.NoEndpoints, Message: "no\u0085endpoint <is> ready", Since: since},
		{Frontend: &desired.Frontend{Key: key("10.96.0.7", 80), Service: web, Port: "http", InternalPort: 8080, Backends: []desired.Backend{
			{IP: netip.MustParseAddr("10.244.1.5"), Local: true}, {IP: netip.MustParseAddr("10.244.2.7")}}}, State: proxier.Programmed, Since: since},
		{Frontend: &desired.Frontend{Key: key("", 30080), Kind: desired.NodePort, Service: web, Limits: []desired.Note{{Reason: "MixedTargetPorts", Message: "two"}}},
			State: proxier.Programmed, Since: since},
	}
}

func newFrontends() *Frontends {
	return &Frontends{
		Rows: rows, Node: "win-node-1", Now: func() time.Time { return since.Add(time.Hour) },
		Objects: func(_ context.Context, fs []*desired.Frontend) ([]proxier.Objects, bool) {
			out := make([]proxier.Objects, len(fs))
			for i, f := range fs {
				if f.Key.Port == 80 {
					out[i] = proxier.Objects{LoadBalancer: "lb-1", Endpoints: map[netip.Addr]hnslb.ID{netip.MustParseAddr("10.244.1.5"): "ep-1"}}
				}
			}
			return out, true
		},
	}
}

// TestFrontends holds one answer as it is written.
func TestFrontends(t *testing.T) {
	code, header, body := serve(t, newFrontends(), get("/debug/frontends?service=shop/web&kind=clusterip", ""))
	const want = `{
  "node": "win-node-1",
  "time": "2026-01-02T04:04:05Z",
  "hnsObjectsKnown": true,
  "frontends": [
    {
      "service": "shop/web",
      "port": "http",
      "kind": "clusterip",
      "family": "IPv4",
      "vip": "10.96.0.7",
      "protocol": "TCP",
      "externalPort": 80,
      "internalPort": 8080,
      "state": "programmed",
      "since": "2026-01-02T03:04:05Z",
      "hnsLoadBalancer": "lb-1",
      "backends": [
        {
          "ip": "10.244.1.5",
          "local": true,
          "hnsEndpoint": "ep-1"
        },
        {
          "ip": "10.244.2.7"
        }
      ]
    }
  ]
}
`
	if diff := cmp.Diff(want, body); code != http.StatusOK || header.Get("Content-Type") != "application/json" || diff != "" {
		t.Errorf("%d %v (-want +got):\n%s", code, header, diff)
	}
}

// TestFilters: each filter, several of them, and those that would match nothing by mistake.
func TestFilters(t *testing.T) {
	for query, want := range map[string]string{
		"":                                "5432 80 30080",
		"namespace=shop":                  "5432 80 30080",
		"namespace=other":                 "",
		"service=shop/db":                 "5432",
		"service=shop/db&service=shop/no": "5432",
		"state=programmed":                "80 30080",
		"state=blocked&state=failing":     "5432",
		"state=programmed&kind=nodeport":  "30080",
		"reason=NoEndpoints":              "5432",
		"reason=MixedTargetPorts":         "30080",
		"service=db":                      `400 service "db" does not have the form NAMESPACE/NAME`,
		"state=broken":                    `400 unknown state "broken"; states are [programmed pending blocked failing]`,
		"stat=failing":                    `400 unknown filter "stat"; supported filters are kind, namespace, reason, service and state`,
		"state=%zz":                       `400 invalid URL escape "%zz"`,
	} {
		code, _, body := serve(t, newFrontends(), get("/debug/frontends?"+query, ""))
		got := "400 " + strings.TrimSpace(body)
		if code == http.StatusOK {
			var out FrontendsDocument
			if err := json.Unmarshal([]byte(body), &out); err != nil {
				t.Fatal(err)
			}
			var ports []string
			for _, f := range out.Frontends {
				b, err := json.Marshal(f.ExternalPort)
				if err != nil {
					t.Fatal(err)
				}
				ports = append(ports, string(b))
			}
			got = strings.Join(ports, " ")
		}
		if got != want {
			t.Errorf("?%s: %s, want %s", query, got, want)
		}
	}
	if code, header, _ := serve(t, newFrontends(), httptest.NewRequest(http.MethodPost, "/debug/frontends", nil)); code != http.StatusMethodNotAllowed || header.Get("Allow") == "" {
		t.Errorf("POST: %d", code)
	}
	if _, _, body := serve(t, newFrontends(), get("/debug/frontends?state=blocked", "")); strings.Contains(body, "\u0085") || !strings.Contains(body, `no\u0085endpoint`) {
		t.Errorf("a control character is printed: %s", body)
	}
}

// TestFrontendsBeforeRun: a proxy that does not run yet holds up no answer.
func TestFrontendsBeforeRun(t *testing.T) {
	f := newFrontends()
	f.Objects = func(context.Context, []*desired.Frontend) ([]proxier.Objects, bool) { return nil, false }
	code, _, body := serve(t, f, get("/debug/frontends", ""))
	if code != http.StatusOK || !strings.Contains(body, `"hnsObjectsKnown": false`) || strings.Contains(body, "hnsLoadBalancer") {
		t.Errorf("%d %s", code, body)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for from, want := range map[string]int{
		"127.0.0.1:4711":          200,
		"[::1]:4711":              200,
		"[::ffff:127.0.0.1]:4711": 200,
		"10.0.0.4:4711":           403,
		"[fd00::4]:4711":          403,
		"":                        403,
	} {
		r := get("/debug/frontends", "")
		r.RemoteAddr = from
		if code, _, body := serve(t, LoopbackOnly(newFrontends()), r); code != want {
			t.Errorf("from %q: %d %s", from, code, body)
		}
	}
}
