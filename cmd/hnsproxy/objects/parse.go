// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// parsed is what one file says.
type parsed struct {
	// entries in the order of the file.
	entries []entry
	// held are objects that documents of unknown kind may mean: who wrote "Servise"
	// meant to keep the Service.
	held []key
	// torn says that something in the file cannot be told at all, so that objects which
	// are missing may be in there.
	torn     bool
	problems []*Error
	// skipped counts objects by kind that a Service proxy does not use.
	skipped map[string]int
}

// entry is one object of a file.
type entry struct {
	key
	at Place
	// object is nil when it cannot be used; its last good version stays then.
	object object
}

// parse reads one file. It never fails as a whole: what is wrong is in the problems.
func parse(file string, data []byte, validate func(runtime.Object) error) parsed {
	p := parser{validate: validate, out: parsed{skipped: map[string]int{}}}
	for i, d := range documents(data) {
		at := Place{File: file, Document: i + 1}
		switch {
		case d.err != nil:
			p.tear(&Error{Place: at, Why: "cannot be read: " + d.err.Error(), Err: d.err,
				Remedy: "fix it; until then the last valid contents of the file stay in effect"})
			continue
		case d.duplicate != nil:
			p.report(&Error{Place: at, Why: d.duplicate.Error(), Warning: true, Err: d.duplicate,
				Remedy: "remove one of the two; the last one is used"})
		}
		p.document(at, d.json)
	}
	return p.out
}

type parser struct {
	validate func(runtime.Object) error
	out      parsed
}

func (p *parser) report(e *Error) { p.out.problems = append(p.out.problems, e) }

// tear reports what hides which object is meant.
func (p *parser) tear(e *Error) {
	p.out.torn = true
	p.report(e)
}

// head is what must be known of a document before it can be decoded.
type head struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   names             `json:"metadata"`
	Items      []json.RawMessage `json:"items"`
}

type names struct {
	Name         string `json:"name"`
	GenerateName string `json:"generateName"`
	Namespace    string `json:"namespace"`
}

// name prints what messages call the object.
func (h head) name() string {
	if h.Metadata.Namespace == "" || h.Metadata.Name == "" {
		return h.Metadata.Name
	}
	return h.Metadata.Namespace + "/" + h.Metadata.Name
}

// key returns which object of r is meant, false when it has no name.
func (h head) key(r Resource) (key, bool) {
	k := key{resource: r, namespace: h.Metadata.Namespace, name: h.Metadata.Name}
	switch {
	case r == Nodes:
		k.namespace = ""
	case k.namespace == "":
		k.namespace = metav1.NamespaceDefault
	}
	return k, k.name != ""
}

// problem starts an Error about the object.
func (h head) problem(at Place, field, why, remedy string) *Error {
	return &Error{Place: at, Kind: h.Kind, Object: h.name(), Field: field, Why: why, Remedy: remedy}
}

// head reads the head of a document, false when it has none.
func (p *parser) head(at Place, raw json.RawMessage) (head, bool) {
	var h head
	if len(raw) == 0 || raw[0] != '{' {
		p.tear(&Error{Place: at, Why: "is not an object", Remedy: "write apiVersion, kind, metadata and so on"})
		return h, false
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &h); err != nil {
		field, why := decodeError(err)
		p.tear(&Error{Place: at, Kind: h.Kind, Object: h.name(), Field: field, Why: why, Err: err,
			Remedy: "fix it; until then the last valid contents of the file stay in effect"})
		return h, false
	}
	return h, true
}

// decodeError words what a JSON decoder says: the field, and what is wrong with it.
func decodeError(err error) (field, why string) {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return wrong.Field, fmt.Sprintf("is a JSON %s, but must be of type %s", wrong.Value, wrong.Type)
	}
	return "", strings.TrimPrefix(err.Error(), "json: ")
}

// document takes a document that is an object or a list of objects.
func (p *parser) document(at Place, raw json.RawMessage) {
	h, ok := p.head(at, raw)
	if !ok {
		return
	}
	c, r := classify(h.APIVersion, h.Kind)
	if c != anyList && c != usedList {
		p.single(at, raw, h, c)
		return
	}
	for i, item := range h.Items {
		at.Item = i + 1
		p.item(at, item, r)
	}
}

// item takes an item of a List, or of the list of a resource, whose items need not say
// what they are.
func (p *parser) item(at Place, raw json.RawMessage, of Resource) {
	h, ok := p.head(at, raw)
	if !ok {
		return
	}
	if of != "" && h.Kind == "" && h.APIVersion == "" {
		h.APIVersion, h.Kind = of.kind().ToAPIVersionAndKind()
	}
	c, _ := classify(h.APIVersion, h.Kind)
	if c == anyList || c == usedList {
		p.tear(h.problem(at, "kind", "is a list within a list", "give the inner items their place in the outer list"))
		return
	}
	p.single(at, raw, h, c)
}

// single takes one object.
func (p *parser) single(at Place, raw json.RawMessage, h head, c class) {
	_, r := classify(h.APIVersion, h.Kind)
	if k, ok := h.key(r); ok && (c == used || c == wrongVersion) {
		h.Metadata.Namespace = k.namespace
	}
	switch c {
	case used:
		p.object(at, raw, h, r)
	case skipped:
		p.out.skipped[h.Kind]++
	case wrongVersion:
		want, _ := r.kind().ToAPIVersionAndKind()
		e := h.problem(at, "apiVersion", fmt.Sprintf("%q is not supported", h.APIVersion), "use apiVersion: "+want)
		p.unusable(h, r, e)
	default:
		p.unknown(at, h)
	}
}

// unusable reports an object whose last good version must stay.
func (p *parser) unusable(h head, r Resource, problems ...*Error) {
	p.out.problems = append(p.out.problems, problems...)
	if k, ok := h.key(r); ok && len(problems) > 0 {
		p.out.entries = append(p.out.entries, entry{key: k, at: problems[0].Place})
		return
	}
	p.out.torn = true
}

// unknown reports an object of unknown kind.
func (p *parser) unknown(at Place, h head) {
	switch {
	case h.Kind == "":
		p.report(h.problem(at, "kind", "is not set", knownKinds))
	case h.APIVersion == "":
		p.report(h.problem(at, "apiVersion", "is not set", knownKinds))
	default:
		p.report(h.problem(at, "kind", fmt.Sprintf("%q of apiVersion %q is not supported", h.Kind, h.APIVersion), knownKinds))
	}
	if !mayBeOurs(h.APIVersion) {
		return
	}
	if h.Metadata.Name == "" {
		// It may be all that is left of an object, or of a List, whose kind stands last.
		p.out.torn = true
	}
	for _, r := range allResources() {
		if k, ok := h.key(r); ok {
			p.out.held = append(p.out.held, k)
		}
	}
}

// object takes an object of a resource of ours.
func (p *parser) object(at Place, raw json.RawMessage, h head, r Resource) {
	k, named := h.key(r)
	if !named {
		p.unusable(h, r, h.problem(at, "metadata.name", "is not set", nameRemedy(h)))
		return
	}
	if e := h.badName(at, k); e != nil {
		p.tear(e)
		return
	}
	o := r.empty()
	unknownFields, err := kjson.UnmarshalStrict(raw, o)
	if err != nil {
		field, why := decodeError(err)
		e := h.problem(at, field, why, remedyInvalid)
		e.Err = err
		p.unusable(h, r, e)
		return
	}
	for _, err := range unknownFields {
		p.report(strictWarning(h, at, err))
	}
	complete(o, k)
	problems := slices.Concat(needs(o), badPortNames(o), badValues(o))
	if p.validate != nil {
		if err := p.validate(o); err != nil {
			problems = append(problems, refused(err)...)
		}
	}
	fatal := false
	for _, e := range problems {
		e.Place, e.Kind, e.Object = at, h.Kind, h.name()
		fatal = fatal || !e.Warning
	}
	if fatal {
		p.unusable(h, r, problems...)
		return
	}
	p.out.problems = append(p.out.problems, problems...)
	p.out.entries = append(p.out.entries, entry{key: k, at: at, object: o})
}

func nameRemedy(h head) string {
	if h.Metadata.GenerateName != "" {
		return "set it: generateName requires an API server"
	}
	return "set it; until then the last valid contents of the file stay in effect"
}

// strictWarning words what strict decoding says: an unknown field, or one that stands twice.
func strictWarning(h head, at Place, err error) *Error {
	text := err.Error()
	field := ""
	if before, quoted, ok := strings.Cut(text, ` "`); ok {
		text, field = before, strings.TrimSuffix(quoted, `"`)
	}
	e := h.problem(at, field, text, "check the spelling; the field is ignored")
	if strings.HasPrefix(text, "duplicate") {
		e.Remedy = "remove one of the two; the last one is used"
	}
	e.Warning, e.Err = true, err
	return e
}

// clearKind takes away apiVersion and kind, as clients of an API server do.
func clearKind(o object) { o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) }
