// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// objectsPeriod is how long the page waits for the proxier to say what HNS holds. Without an
// answer it shows everything else.
const objectsPeriod = 2 * time.Second

// Frontends answers /debug/frontends: each frontend with its state, why and since when, its
// backends, and its HNS objects.
type Frontends struct {
	// Rows returns the status of all frontends.
	Rows func() []proxier.FrontendStatus
	// Objects returns the HNS objects of frontends, see proxier.Proxier.
	Objects func(ctx context.Context, frontends []*desired.Frontend) ([]proxier.Objects, bool)
	// Node is the name of this node, Now the time.
	Node string
	Now  func() time.Time
}

// FrontendsDocument is the answer of Frontends.
type FrontendsDocument struct {
	Node string    `json:"node"`
	Time time.Time `json:"time"`
	// Objects tells whether the HNS IDs are known. They are not before the proxy runs.
	Objects   bool               `json:"hnsObjectsKnown"`
	Frontends []FrontendDocument `json:"frontends"`
}

// FrontendDocument is one frontend in FrontendsDocument.
type FrontendDocument struct {
	Service  string `json:"service"`
	Port     string `json:"port,omitempty"`
	Kind     string `json:"kind"`
	Family   string `json:"family"`
	VIP      string `json:"vip,omitempty"`
	Protocol string `json:"protocol"`
	// ExternalPort is where clients send to, InternalPort where backends listen.
	ExternalPort uint16                `json:"externalPort"`
	InternalPort uint16                `json:"internalPort,omitempty"`
	Flags        string                `json:"flags,omitempty"`
	State        proxier.FrontendState `json:"state"`
	Since        time.Time             `json:"since"`
	Reason       desired.Reason        `json:"reason,omitempty"`
	Message      string                `json:"message,omitempty"`
	// Limits say what Windows cannot do for it.
	Limits       []NoteDocument    `json:"limits,omitempty"`
	LoadBalancer string            `json:"hnsLoadBalancer,omitempty"`
	Foreign      bool              `json:"heldByForeignLoadBalancer,omitempty"`
	Backends     []BackendDocument `json:"backends"`
}

// NoteDocument says what Windows cannot do for a frontend.
type NoteDocument struct {
	Reason  desired.Reason `json:"reason"`
	Message string         `json:"message"`
}

// BackendDocument is one backend of a frontend.
type BackendDocument struct {
	IP       netip.Addr `json:"ip"`
	Local    bool       `json:"local,omitempty"`
	Endpoint string     `json:"hnsEndpoint,omitempty"`
}

// ServeHTTP answers a GET. What is asked for by ?service=NAMESPACE/NAME, ?namespace=, ?state=,
// ?reason= and ?kind= limits the answer; one that is given several times takes each of its
// values.
func (f *Frontends) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page is read-only", http.StatusMethodNotAllowed)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = checkFilter(query)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var rows []proxier.FrontendStatus
	for _, row := range f.Rows() {
		if matches(query, row) {
			rows = append(rows, row)
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	if err := e.Encode(f.document(r.Context(), rows)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(printable.JSON(text.Bytes()))
}

// filters are the names that a query may have, with what a row says to each.
func filters() map[string]func(proxier.FrontendStatus) []string {
	one := func(s string) []string { return []string{s} }
	return map[string]func(proxier.FrontendStatus) []string{
		"service":   func(s proxier.FrontendStatus) []string { return one(s.Frontend.Service.String()) },
		"namespace": func(s proxier.FrontendStatus) []string { return one(s.Frontend.Service.Namespace) },
		"kind":      func(s proxier.FrontendStatus) []string { return one(s.Frontend.Kind.String()) },
		"state":     func(s proxier.FrontendStatus) []string { return one(string(s.State)) },
		"reason": func(s proxier.FrontendStatus) []string {
			var out []string
			for _, n := range s.Notes() {
				out = append(out, string(n.Reason))
			}
			return out
		},
	}
}

// checkFilter refuses what would silently match nothing.
func checkFilter(query url.Values) error {
	for name, values := range query {
		if filters()[name] == nil {
			return fmt.Errorf("unknown filter %q; supported filters are kind, namespace, reason, service and state", name)
		}
		for _, value := range values {
			if name == "state" && !slices.Contains(proxier.FrontendStates(), proxier.FrontendState(value)) {
				return fmt.Errorf("unknown state %q; states are %v", value, proxier.FrontendStates())
			}
			if name == "service" && strings.Count(value, "/") != 1 {
				return fmt.Errorf("service %q does not have the form NAMESPACE/NAME", value)
			}
		}
	}
	return nil
}

func matches(query url.Values, row proxier.FrontendStatus) bool {
	for name, said := range filters() {
		values, asked := query[name]
		if asked && !slices.ContainsFunc(said(row), func(s string) bool { return slices.Contains(values, s) }) {
			return false
		}
	}
	return true
}

func (f *Frontends) document(ctx context.Context, rows []proxier.FrontendStatus) FrontendsDocument {
	ctx, cancel := context.WithTimeout(ctx, objectsPeriod)
	defer cancel()
	frontends := make([]*desired.Frontend, 0, len(rows))
	for _, row := range rows {
		frontends = append(frontends, row.Frontend)
	}
	objects, known := f.Objects(ctx, frontends)
	if !known {
		objects = make([]proxier.Objects, len(rows))
	}
	out := FrontendsDocument{Node: f.Node, Time: f.Now(), Objects: known, Frontends: make([]FrontendDocument, 0, len(rows))}
	for i, row := range rows {
		out.Frontends = append(out.Frontends, describe(row, objects[i]))
	}
	return out
}

func describe(row proxier.FrontendStatus, o proxier.Objects) FrontendDocument {
	f := row.Frontend
	out := FrontendDocument{
		Service: f.Service.String(), Port: f.Port, Kind: f.Kind.String(), Family: f.Key.Family.String(), Protocol: f.Key.Protocol.String(),
		ExternalPort: f.Key.Port, InternalPort: f.InternalPort, Flags: plan.FlagNames(f.LoadBalancer()),
		State: row.State, Since: row.Since, Reason: row.Reason, Message: row.Message,
		LoadBalancer: string(o.LoadBalancer), Foreign: o.Foreign, Backends: []BackendDocument{},
	}
	if !f.Key.NodePort() {
		out.VIP = f.Key.VIP.String()
	}
	for _, n := range f.Limits {
		out.Limits = append(out.Limits, NoteDocument(n))
	}
	for _, b := range f.Backends {
		out.Backends = append(out.Backends, BackendDocument{b.IP, b.Local, string(o.Endpoints[b.IP])})
	}
	return out
}

// LoopbackOnly lets a page be read from this machine alone.
func LoopbackOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "this page reveals Services and addresses; it is served to clients on the node only, unless --hns-metrics-authorization is set",
				http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}
