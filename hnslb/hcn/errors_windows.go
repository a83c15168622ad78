// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"errors"
	"syscall"

	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/hcn"
	"golang.org/x/sys/windows"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// callName is what an error says about the call.
type callName struct {
	verb   hnslb.Verb
	object string
}

func (n callName) fail(c hnslb.Class, cause error) *hnslb.Error {
	return &hnslb.Error{Verb: n.verb, Object: n.object, Class: c, Err: cause}
}

// wrap makes a *hnslb.Error of what hcsshim returned.
func (n callName) wrap(err error) error {
	var ours *hnslb.Error
	if errors.As(err, &ours) {
		return err
	}
	// A DLL or a function that this Windows lacks.
	var missing *windows.DLLError
	if errors.As(err, &missing) {
		return n.fail(hnslb.Unsupported, err)
	}
	if code := bestCode(unfold(returnedCode(err)), codeInText(err.Error())); code != 0 {
		return &hnslb.Error{Verb: n.verb, Object: n.object, Class: hnslb.ClassOf(code), Code: code, Err: err}
	}
	// hcsshim's own types, for a lookup that found nothing.
	if hcn.IsNotFoundError(err) {
		return n.fail(hnslb.NotFound, err)
	}
	return n.fail(hnslb.Other, err)
}

// returnedCode returns the code of the failed call, 0 when there is none. hcsshim's V2
// error does not unwrap, so its inner error is taken out by hand.
func returnedCode(err error) uint32 {
	var v1 *hcsshim.HcsError
	var v2 *hcn.HcnError
	if errors.As(err, &v2) {
		err = v2.Err
	} else if errors.As(err, &v1) {
		err = v1.Err
	}
	var code syscall.Errno
	if errors.As(err, &code) {
		return uint32(code)
	}
	return 0
}
