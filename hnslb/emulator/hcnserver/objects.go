// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"context"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Kinds of handles.
const (
	kindNetwork      = "Network"
	kindEndpoint     = "Endpoint"
	kindLoadBalancer = "LoadBalancer"
	kindCallback     = "Callback"
)

// object is one object as queries see it.
type object struct {
	id   hnslb.ID
	name string
	// network that an endpoint is on.
	network hnslb.ID
	// v1 and v2 make its documents.
	v1, v2 func() any
}

// document prints the object.
func (o object) document(v1 bool) string {
	if v1 {
		return mustJSON(o.v1())
	}
	return mustJSON(o.v2())
}

// kind is what the functions of networks, endpoints and load balancers differ in.
type kind struct {
	// name in names of functions, collection in V1 paths.
	name, collection string
	// list is the verb of an enumeration of all.
	list hnslb.Verb
	// missing is what V1 calls an object that is not there [B: antrea].
	missing hnslb.HRESULT
	all     func(o emulator.Objects) []object
	find    func(o emulator.Objects, id hnslb.ID) (object, bool)
	// create makes an object of a document, with the chosen ID if there is one, and
	// returns its ID. parent is the network of an endpoint, through V2.
	create func(ctx context.Context, document string, chosen, parent hnslb.ID) (hnslb.ID, error)
	// createV1 is create for a V1 document.
	createV1 func(ctx context.Context, document string) (hnslb.ID, error)
	modify   func(ctx context.Context, id hnslb.ID, document string) error
	remove   func(ctx context.Context, id hnslb.ID) error
}

// functionsOf returns the seven functions of a kind.
func (s *Server) functionsOf(k *kind) map[string]function {
	return map[string]function{
		"HcnEnumerate" + k.name + "s": func(ctx context.Context, r request) reply {
			return s.enumerate(ctx, k, r)
		},
		"HcnCreate" + k.name: func(ctx context.Context, r request) reply {
			return s.create(ctx, k, r)
		},
		"HcnOpen" + k.name: func(ctx context.Context, r request) reply {
			return s.openObject(ctx, k, r)
		},
		"HcnModify" + k.name: func(ctx context.Context, r request) reply {
			return s.modify(ctx, k, r)
		},
		"HcnQuery" + k.name + "Properties": func(ctx context.Context, r request) reply {
			return s.query(ctx, k, r)
		},
		"HcnDelete" + k.name: func(ctx context.Context, r request) reply {
			if err := k.remove(ctx, r.id); err != nil {
				return failed(err)
			}
			return reply{}
		},
		"HcnClose" + k.name: s.closer(k.name),
	}
}

// enumerate returns the IDs of the objects that pass the filter, and nothing else of them
// [A: Queries and lists]. An ID that nobody has is no error.
func (s *Server) enumerate(ctx context.Context, k *kind, r request) reply {
	q, err := parseQuery(r.args[0])
	if err != nil {
		return failed(err)
	}
	verb := k.list
	if q.byOne() && k.name != kindNetwork {
		verb = ""
	}
	ids := []string{} // prints as [], which clients can decode
	err = s.hns.Look(ctx, verb, func(o emulator.Objects) {
		for _, found := range candidates(k, q, o) {
			if q.matches(found) {
				ids = append(ids, printID(found.id, q.v1))
			}
		}
	})
	if err != nil {
		return failed(err)
	}
	return text(mustJSON(ids))
}

// candidates returns the objects that a filter may let pass: one where it names an ID.
func candidates(k *kind, q query, o emulator.Objects) []object {
	id, ok := q.filter[filterID]
	if !ok {
		return k.all(o)
	}
	if found, ok := k.find(o, hnslb.NewID(id)); ok {
		return []object{found}
	}
	return nil
}

// printID prints an ID: in lower case through V2, in upper case through V1 [A:
// Conventions].
func printID(id hnslb.ID, v1 bool) string {
	if v1 {
		return strings.ToUpper(string(id))
	}
	return string(id)
}

func (s *Server) create(ctx context.Context, k *kind, r request) reply {
	var parent hnslb.ID
	if k.name == kindEndpoint {
		var err error
		if parent, err = s.object(ctx, r, kindNetwork); err != nil {
			return failed(err)
		}
	}
	id, err := k.create(ctx, r.args[0], r.id, parent)
	if err != nil {
		return failed(err)
	}
	return s.open(k.name, id)
}

// openObject opens an object; an unknown ID is 0x80070490 [A for namespaces, C for these:
// What causes which error].
func (s *Server) openObject(ctx context.Context, k *kind, r request) reply {
	if _, err := s.look(ctx, k, r.id); err != nil {
		return failed(err)
	}
	return s.open(k.name, r.id)
}

func (s *Server) modify(ctx context.Context, k *kind, r request) reply {
	id, err := s.object(ctx, r, k.name)
	if err == nil {
		err = k.modify(ctx, id, r.args[0])
	}
	if err != nil {
		return failed(err)
	}
	return reply{}
}

// query returns the document of an object. One that was deleted after it was opened is
// 0x80070490 [?: 0x803b0031 is another candidate].
func (s *Server) query(ctx context.Context, k *kind, r request) reply {
	q, err := parseQuery(r.args[0])
	if err != nil {
		return failed(err)
	}
	id, err := s.object(ctx, r, k.name)
	if err != nil {
		return failed(err)
	}
	found, err := s.look(ctx, k, id)
	if err != nil {
		return failed(err)
	}
	return text(found.document(q.v1))
}

// look reads one object.
func (s *Server) look(ctx context.Context, k *kind, id hnslb.ID) (object, error) {
	var found object
	var ok bool
	err := s.hns.Look(ctx, "", func(o emulator.Objects) { found, ok = k.find(o, id) })
	if err == nil && !ok {
		err = refuse(hnslb.ResultElementNotFound, "")
	}
	return found, err
}

// chosenID returns the ID that a client chose: that of the parameter, else that of the
// document [B: Conventions].
func chosenID(parameter hnslb.ID, document string) (hnslb.ID, error) {
	if parameter != "" || document == "" {
		return parameter, nil
	}
	if !isGUID(document) {
		return "", refuse(resultGUIDConversion, "%q", document)
	}
	return hnslb.NewID(document), nil
}
