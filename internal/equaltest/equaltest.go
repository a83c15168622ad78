// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package equaltest checks that hand-made comparisons of structs know every field.
package equaltest

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// EveryField changes one field after the other, unexported ones and those of structs within
// structs included, and fails if equal does not notice. except names fields that do not count,
// such as "Trigger" or "network.Name", or "network" for all in it; that it notices one of them
// is an error too.
//
// Elements of slices and maps are not looked into: a comparison that knows the field compares
// them as a whole.
func EveryField[T any](t *testing.T, equal func(a, b *T) bool, except ...string) {
	t.Helper()
	var original, changed T
	if !equal(&original, &changed) {
		t.Fatalf("two zero values of %T differ", original)
	}
	unknown := slices.Clone(except)
	each(reflect.ValueOf(&changed).Elem(), "", func(name string, field reflect.Value) {
		if !change(field) {
			t.Fatalf("%T.%s: no way to change a %s", original, name, field.Type())
		}
		covers := func(s string) bool { return s == name || strings.HasPrefix(name, s+".") }
		counts := !slices.ContainsFunc(except, covers)
		if noticed := !equal(&changed, &original); noticed != counts {
			t.Errorf("%T.%s: a change is noticed: %v, want %v", original, name, noticed, counts)
		}
		field.SetZero()
		unknown = slices.DeleteFunc(unknown, covers)
	})
	if len(unknown) > 0 {
		t.Errorf("%T has no fields %q", original, unknown)
	}
}

// each calls f for each field that is a value of its own.
func each(v reflect.Value, name string, f func(string, reflect.Value)) {
	switch v.Interface().(type) {
	case netip.Addr, time.Time:
		f(name, v)
		return
	}
	if v.Kind() != reflect.Struct {
		f(name, v)
		return
	}
	for i := range v.NumField() {
		field, inner := v.Field(i), v.Type().Field(i).Name
		if name != "" {
			inner = name + "." + inner
		}
		// The same field without the mark that it is unexported.
		each(reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem(), inner, f)
	}
}

// change gives a field that is zero another value. It is false for kinds that no struct here has.
func change(v reflect.Value) bool {
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.IPv6Loopback()))
		return true
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return true
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.String:
		v.SetString("x")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Array:
		return change(v.Index(0))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Index(0).Kind() == reflect.Pointer {
			change(v.Index(0))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	default:
		return false
	}
	return true
}
