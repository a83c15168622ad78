// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Codes that only this level knows.
const (
	resultInvalidHandle  hnslb.HRESULT = 0x80070006
	resultPolicyNotFound hnslb.HRESULT = 0x803b0008
	resultPolicyExists   hnslb.HRESULT = 0x803b0012
	resultGUIDConversion hnslb.HRESULT = 0x803b0019
)

// refuse makes the error that HNS's own reader of arguments would make.
func refuse(code hnslb.HRESULT, format string, args ...any) error {
	return &hnslb.Error{
		Object: "call", Class: hnslb.ClassOf(code), Code: code,
		Err: errors.New(textOf(code) + ". " + fmt.Sprintf(format, args...)),
	}
}

// textOf returns the words of a code, as far as package emulator does not know them.
func textOf(code hnslb.HRESULT) string {
	switch code {
	case resultInvalidHandle:
		return "The handle is invalid"
	case resultPolicyNotFound:
		return "The policy was not found"
	case resultPolicyExists:
		return "A policy with this name already exists"
	case resultGUIDConversion:
		return "Failed to convert to GUID"
	}
	words := emulator.ErrorText(code, "")
	return words[:len(words)-len(". ")]
}

// codeOf returns the HRESULT and the words of an error. An error without a code is a call
// that did not end before the server did.
func codeOf(err error) (hnslb.HRESULT, string) {
	if e, ok := errors.AsType[*hnslb.Error](err); ok && e.Code != 0 {
		return e.Code, e.Err.Error()
	}
	return hnslb.ResultCallFailed, emulator.ErrorText(hnslb.ResultCallFailed, "")
}

// fromRPC tells whether a code comes from the way to HNS and not from HNS, so that no
// record and no V1 answer can come with it [C: When the service is unavailable].
func fromRPC(code hnslb.HRESULT) bool {
	switch code {
	case hnslb.ResultUnknownInterface, hnslb.ResultServerUnavailable, hnslb.ResultCallFailed,
		hnslb.ResultCallFailedNotRun, hnslb.ResultNoMoreMapperEntries:
		return true
	}
	return false
}

// failed is the reply of a V2 function that HNS refused.
func failed(err error) reply {
	code, words := codeOf(err)
	if fromRPC(code) {
		return reply{code: code}
	}
	record := mustJSON(struct {
		Success   bool
		Error     string
		ErrorCode uint32
	}{false, words, uint32(code)})
	return reply{code: code, record: &record}
}

// text is the reply of a function that returns one.
func text(s string) reply { return reply{text: &s} }

// mustJSON prints a document of this package; their types cannot fail to be printed.
func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("hcnserver: %T does not marshal: %v", v, err))
	}
	return string(b)
}

// readJSON reads a document of a client. Fields that are not known are dropped [?:
// whether HNS refuses them].
func readJSON(document string, into any) error {
	if err := json.Unmarshal([]byte(document), into); err != nil {
		return refuse(hnslb.ResultInvalidJSON, "%v", err)
	}
	return nil
}
