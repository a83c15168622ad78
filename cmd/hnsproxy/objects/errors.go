// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Error is one thing that is wrong in the files: where, with which object, why, and what
// to do about it.
type Error struct {
	// Place is no embedded field: its String would stand for the whole error in logs, which
	// ask for a Stringer before they ask for an error.
	Place Place
	// Kind and Object name the object, as far as they are known: "Service", "shop/web".
	Kind, Object string
	// Field is the path of the field that is wrong, "" for the object as a whole.
	Field string
	Why   string
	// Remedy is what a person can do.
	Remedy string
	// Warning tells that the object is used all the same.
	Warning bool
	// Err is the cause, if there was one.
	Err error
}

// Place is where something stands in the files.
type Place struct {
	// File as it was reached from the path given; "-" is standard input.
	File string
	// Document counts from 1 and leaves out empty ones; 0 is the file as a whole.
	Document int
	// Item counts from 1 in a List; 0 when the document is the object itself.
	Item int
}

// String prints "web.yaml, document 2, item 3".
func (p Place) String() string {
	out := p.File
	if p.Document > 0 {
		out += ", document " + strconv.Itoa(p.Document)
	}
	if p.Item > 0 {
		out += ", item " + strconv.Itoa(p.Item)
	}
	return out
}

// Error prints one line: "web.yaml, document 2: Service shop/web: spec.clusterIP: is not
// set; <remedy>".
func (e *Error) Error() string {
	parts := []string{e.Place.String()}
	if object := strings.TrimSpace(e.Kind + " " + e.Object); object != "" {
		parts = append(parts, object)
	}
	if e.Field != "" {
		parts = append(parts, e.Field)
	}
	out := strings.Join(append(parts, e.Why), ": ")
	if e.Remedy != "" {
		out += "; " + e.Remedy
	}
	return out
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsWarning tells whether err is about an object that is used all the same.
func IsWarning(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Warning
}

// remedyInvalid goes with fields that validation refuses.
const remedyInvalid = "fix it; until then the last valid version of the object stays in effect"

// refused turns what a validation said into one Error for each thing it said.
func refused(err error) []*Error {
	if many, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		var out []*Error
		for _, one := range many.Errors() {
			out = append(out, refused(one)...)
		}
		return out
	}
	out := &Error{Why: err.Error(), Remedy: remedyInvalid, Err: err}
	if f, ok := errors.AsType[*field.Error](err); ok {
		out.Field, out.Why = f.Field, f.ErrorBody()
	}
	return []*Error{out}
}

// yamlLine finds the line numbers in what the YAML parser says.
var yamlLine = regexp.MustCompile(`\bline (\d+)`)

// inFile makes the line numbers of a parser's message, which count from the start of the
// document, count from the start of the file.
func inFile(message string, firstLine int) string {
	return yamlLine.ReplaceAllStringFunc(message, func(s string) string {
		n, err := strconv.Atoi(strings.TrimPrefix(s, "line "))
		if err != nil {
			return s
		}
		return fmt.Sprintf("line %d", n+firstLine-1)
	})
}
