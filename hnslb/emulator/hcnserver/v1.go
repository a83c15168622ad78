// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// This file holds HNSCall [A: The V1 interface].

// v1Answer is what HNSCall returns: a refusal has words and no code, and HRESULT S_OK.
type v1Answer struct {
	Success bool
	Error   string          `json:",omitempty"`
	Output  json.RawMessage `json:",omitempty"`
}

// v1Path is a path of HNSCall: /globals/version, or a collection with or without an ID and
// what is to be done with it.
type v1Path struct{ collection, id, rest string }

func parseV1Path(path string) v1Path {
	var p v1Path
	p.collection, p.id, _ = strings.Cut(strings.Trim(path, "/"), "/")
	p.id, p.rest, _ = strings.Cut(p.id, "/")
	p.collection = strings.ToLower(p.collection)
	return p
}

// countName is the name of a call in Server.Calls.
func countName(r request) string {
	if r.function != "HNSCall" {
		return r.function
	}
	p := parseV1Path(r.args[1])
	name := r.function + " " + strings.ToUpper(r.args[0]) + " /" + p.collection + "/"
	switch {
	case p.collection == "globals":
		name += p.id
	case p.id != "":
		name += "{id}"
	}
	return name
}

// v1Call is HNSCall(method, path, request).
func (s *Server) v1Call(ctx context.Context, r request) reply {
	output, err := s.v1(ctx, strings.ToUpper(r.args[0]), parseV1Path(r.args[1]), r.args[2])
	if err == nil {
		return text(mustJSON(v1Answer{Success: true, Output: output}))
	}
	code, words := codeOf(err)
	if fromRPC(code) {
		return reply{code: code}
	}
	return text(mustJSON(v1Answer{Error: words}))
}

// v1 carries out a V1 call and returns its output, which may be none.
func (s *Server) v1(ctx context.Context, method string, p v1Path, body string) (json.RawMessage, error) {
	if p.collection == "globals" && p.id == "version" && method == "GET" {
		v := s.hns.Profile().Version
		err := s.hns.Look(ctx, hnslb.VerbFeatures, func(emulator.Objects) {})
		return json.RawMessage(mustJSON(v)), err
	}
	for _, k := range s.kinds {
		if k.collection == p.collection && p.rest == "" {
			return s.v1Collection(ctx, k, method, p, body)
		}
	}
	return nil, s.v1Unsupported(ctx, method, p)
}

// v1Unsupported refuses what is not emulated, unless HNS is away.
func (s *Server) v1Unsupported(ctx context.Context, method string, p v1Path) error {
	if err := s.pass(ctx); err != nil {
		return err
	}
	return refuse(hnslb.ResultRequestUnsupported, "%s of %s", method, p.collection)
}

func (s *Server) v1Collection(ctx context.Context, k *kind, method string, p v1Path, body string) (json.RawMessage, error) {
	id := hnslb.NewID(p.id)
	switch {
	case method == "GET" && id == "":
		var found []object
		if err := s.hns.Look(ctx, k.list, func(o emulator.Objects) { found = k.all(o) }); err != nil {
			return nil, err
		}
		documents := make([]any, len(found)) // none prints as []
		for i, o := range found {
			documents[i] = o.v1()
		}
		return json.RawMessage(mustJSON(documents)), nil
	case method == "POST" && id == "":
		var err error
		if id, err = k.createV1(ctx, body); err != nil {
			return nil, err
		}
		fallthrough
	case method == "GET":
		found, err := s.look(ctx, k, id)
		if err != nil {
			return nil, v1Missing(k.missing, err)
		}
		return json.RawMessage(found.document(true)), nil
	case method == "DELETE" && id != "":
		return nil, v1Missing(k.missing, k.remove(ctx, id))
	}
	return nil, s.v1Unsupported(ctx, method, p)
}

// v1Missing says in V1's words that an object is not there.
func v1Missing(missing hnslb.HRESULT, err error) error {
	if code, _ := codeOf(err); err != nil && code == hnslb.ResultElementNotFound {
		return refuse(missing, "")
	}
	return err
}
