// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package control drives a served emulator from another process: what its host side, faults and records offer to Go code, as
// HTTP. Every operation is a POST to /<name> with its argument as JSON, and answers with JSON:
//
//	dump                                   the state as text, see emulator.Emulator.Dump
//	state, restore State                   the state as it is saved and read back
//	profile                                name, version and limits of the Windows release
//	counts, reset-counts                   calls by function and by driver verb, errors, time spent writing
//	handles, drop-handles                  handles that clients have open, see hcnserver.Handles
//	dark, reset-dark                       how long each frontend served nobody
//	faults, set-faults Faults              switches of profiles.Faults
//	fail-next, lose-answers, hang Plan     what becomes of the next calls of a verb
//	fail-each Odds                         failures by chance
//	release-hung, clear-faults
//	stop, start RestartOptions             the HNS service
//	add-network NetworkSpec, delete-network, replace-network Name
//	set-management-ip, set-remotes, add-local-endpoint On
//	remove-local-endpoint, attach, detach Address
//	delete-behind ID
//	reserve, release HostPort              ports that other programs take
//
// A refusal is status 409 with its words, a bad argument 400.
package control

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator/hcnserver"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// None is the argument, or the answer, of an operation that has none.
type None struct{}

// Counts are what HNS was asked to do.
type Counts struct {
	// Calls by function of the DLLs, Verbs and Errors by hnslb.Verb.
	Calls  map[string]int
	Verbs  map[hnslb.Verb]int
	Errors map[hnslb.Verb]int
	// Writing is for how long HNS was busy with writes.
	Writing time.Duration
}

// Dark is the record of one frontend.
type Dark struct {
	Frontend string
	emulator.DarkTime
	// Now is for how long it has been dark by now, 0 while it serves.
	Now time.Duration
}

// Plan says what becomes of the next N calls of a verb. Code is read by fail-next alone.
type Plan struct {
	Verb hnslb.Verb
	N    int
	Code hnslb.HRESULT
}

// Odds is the chance of a failure of each call of the verbs, of all writes when there are none.
type Odds struct {
	Probability float64
	Verbs       []hnslb.Verb
}

// Name names a network.
type Name struct{ Network string }

// On is about a network: its management IP, its routes or a new local endpoint's addresses.
type On struct {
	Network   string
	Addresses []netip.Addr
	Remotes   []hnslb.RemoteSubnet
}

// Address is that of a local endpoint.
type Address struct{ IP netip.Addr }

// ID is that of an endpoint or a load balancer.
type ID struct{ ID hnslb.ID }

// maxArgument is above the state of 10,000 Services x 15 endpoints.
const maxArgument = 256 << 20

// Handler serves the operations on e, which s serves to Windows programs.
func Handler(e *emulator.Emulator, s *hcnserver.Server) http.Handler {
	mux := http.NewServeMux()
	for _, operations := range []map[string]http.HandlerFunc{
		records(e, s), faults(e), life(e), host(e),
	} {
		for name, serve := range operations {
			mux.HandleFunc("POST /"+name, serve)
		}
	}
	return mux
}

// records are what the emulator knows.
func records(e *emulator.Emulator, s *hcnserver.Server) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"dump":    get(e.Dump),
		"state":   get(e.State),
		"restore": do(e.Restore),
		"profile": get(e.Profile),
		"counts": get(func() Counts {
			return Counts{Calls: s.Calls(), Verbs: e.Counts(), Errors: e.Errors(), Writing: e.WriteTime()}
		}),
		"reset-counts": run(func() { s.ResetCalls(); e.ResetCounts() }),
		"handles":      get(s.Handles),
		"drop-handles": run(s.DropHandles),
		"dark":         get(func() []Dark { return darkOf(e) }),
		"reset-dark":   run(e.ResetDark),
	}
}

func faults(e *emulator.Emulator) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"faults":       get(e.Faults),
		"set-faults":   do(func(f profiles.Faults) error { e.SetFaults(f); return nil }),
		"fail-next":    do(func(p Plan) error { e.FailNext(p.Verb, p.N, p.Code); return nil }),
		"lose-answers": do(func(p Plan) error { e.LoseAnswers(p.Verb, p.N); return nil }),
		"hang":         do(func(p Plan) error { e.Hang(p.Verb, p.N); return nil }),
		"fail-each":    do(func(o Odds) error { e.FailEach(o.Probability, o.Verbs...); return nil }),
		"release-hung": run(e.ReleaseHung),
		"clear-faults": run(e.ClearFaults),
	}
}

func life(e *emulator.Emulator) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"stop":  run(e.Stop),
		"start": do(func(o emulator.RestartOptions) error { e.Start(o); return nil }),
	}
}

// host is what the network plugin and other programs do.
func host(e *emulator.Emulator) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"add-network":     answer(e.AddNetwork),
		"delete-network":  do(func(n Name) error { return e.DeleteNetwork(n.Network) }),
		"replace-network": answer(func(n Name) (hnslb.Network, error) { return e.ReplaceNetwork(n.Network) }),
		"set-management-ip": do(func(o On) error {
			for _, ip := range o.Addresses {
				if err := e.SetManagementIP(o.Network, ip); err != nil {
					return err
				}
			}
			return nil
		}),
		"set-remotes": do(func(o On) error { return e.SetRemotes(o.Network, o.Remotes) }),
		"add-local-endpoint": answer(func(o On) (hnslb.Endpoint, error) {
			return e.AddLocalEndpoint(o.Network, o.Addresses...)
		}),
		"remove-local-endpoint": do(func(a Address) error { return e.RemoveLocalEndpoint(a.IP) }),
		"attach":                do(func(a Address) error { return e.SetAttached(a.IP, true) }),
		"detach":                do(func(a Address) error { return e.SetAttached(a.IP, false) }),
		"delete-behind":         do(func(id ID) error { return e.DeleteBehind(id.ID) }),
		"reserve":               do(func(p emulator.HostPort) error { e.Reserve(p.Port, p.Protocol); return nil }),
		"release":               do(func(p emulator.HostPort) error { e.Release(p.Port, p.Protocol); return nil }),
	}
}

// darkOf lists the frontends that ever served somebody, the darkest first.
func darkOf(e *emulator.Emulator) []Dark {
	all := []Dark{}
	still := e.StillDark()
	for k, d := range e.Dark() {
		all = append(all, Dark{Frontend: k.String(), DarkTime: d, Now: still[k]})
	}
	slices.SortFunc(all, func(a, b Dark) int {
		if d := max(b.Longest, b.Now) - max(a.Longest, a.Now); d != 0 {
			return int(d / max(1, d.Abs()))
		}
		return strings.Compare(a.Frontend, b.Frontend)
	})
	return all
}

// answer serves an operation with an argument and an answer.
func answer[In, Out any](f func(In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxArgument))
		if err == nil && len(body) > 0 {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			http.Error(w, fmt.Sprintf("argument: %v", err), http.StatusBadRequest)
			return
		}
		out, err := f(in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // fails when the client has gone
	}
}

// do serves an operation without an answer, get one without an argument, run one without either.
func do[In any](f func(In) error) http.HandlerFunc {
	return answer(func(in In) (None, error) { return None{}, f(in) })
}

func get[Out any](f func() Out) http.HandlerFunc {
	return answer(func(None) (Out, error) { return f(), nil })
}

func run(f func()) http.HandlerFunc {
	return answer(func(None) (None, error) { f(); return None{}, nil })
}
