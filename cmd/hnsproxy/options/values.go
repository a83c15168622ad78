// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"strconv"

	"github.com/spf13/pflag"
)

// text is a flag whose value is text, under the name of type that kube-proxy gives it. What
// is wrong with the text is found by Validate, together with everything else.
type text struct {
	value *string
	kind  string
}

// String is part of pflag.Value.
func (t text) String() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Set is part of pflag.Value.
func (t text) Set(s string) error {
	*t.value = s
	return nil
}

// Type is part of pflag.Value.
func (t text) Type() string { return t.kind }

// versionValue is the flag --version: false, true, or raw for everything that is known.
type versionValue string

// String is part of pflag.Value.
func (v *versionValue) String() string { return string(*v) }

// Set is part of pflag.Value.
func (v *versionValue) Set(s string) error {
	if s == "raw" {
		*v = "raw"
		return nil
	}
	on, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("must be true, false or raw")
	}
	*v = versionValue(strconv.FormatBool(on))
	return nil
}

// Type is part of pflag.Value.
func (v *versionValue) Type() string { return "version" }

// tolerateEmpty lets a flag be given with an empty value, as deployed start scripts do:
// it keeps its default. For a flag that takes text the empty text is a value like others.
func tolerateEmpty(f *pflag.Flag) {
	switch f.Value.Type() {
	case "string", "stringArray", "mapStringBool", "ip", "ipport", "ProxyMode", "LocalMode":
	default:
		f.Value = emptyIsDefault{f.Value}
	}
}

type emptyIsDefault struct{ pflag.Value }

// Set is part of pflag.Value.
func (v emptyIsDefault) Set(text string) error {
	if text == "" {
		return nil
	}
	return v.Value.Set(text)
}

// remedyFor says how a value of a type of flag is written.
func remedyFor(kind string) string {
	switch kind {
	case "bool", "version":
		return "use true or false"
	case "duration":
		return "use a duration with a unit, such as 30s, 15m or 1h30m"
	case "int", "int32", "uint64", "count", "Level":
		return "use an integer"
	case "float32":
		return "use a number, such as 5 or 0.5"
	case "mapStringBool":
		return "use NAME=true,NAME=false"
	case "pattern=N,...":
		return "use PATTERN=N,PATTERN=N"
	case "stringSlice":
		return "use comma-separated values"
	}
	return "see hnsproxy --help"
}
