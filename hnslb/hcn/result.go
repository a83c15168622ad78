// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	// facilityWin32 is the HRESULT of Win32 code 0. hcsshim cuts it off: 0x80070490
	// arrives as 0x490, while codes of other facilities arrive whole.
	facilityWin32 = 0x80070000
	// resultGenFailure is what hcsshim makes of an error that has no code.
	resultGenFailure = facilityWin32 | 31
	// notStarted is what V1 says of a service that is away, without a code (docker/for-win
	// issue 8226).
	notStarted = "service has not been started"
)

var (
	// recordCode finds the code in HNS's error record,
	// {"Success":false,"Error":"...","ErrorCode":2151350291}.
	recordCode = regexp.MustCompile(`"ErrorCode"\s*:\s*(-?[0-9]+)`)
	// printedCode finds the code that hcsshim prints, "failed in Win32: ... (0x490)".
	printedCode = regexp.MustCompile(`\(0x([0-9a-fA-F]{1,8})\)`)
)

// unfold makes an HRESULT of a code as hcsshim gives it, 0 of 0.
func unfold(code uint32) hnslb.HRESULT {
	if code > 0 && code <= 0xffff {
		return hnslb.HRESULT(facilityWin32 | code)
	}
	return hnslb.HRESULT(code)
}

// codeInText finds the HRESULT that an error text holds, 0 if it holds none. HNS's own
// record comes first: the call may have failed with something as vague as E_FAIL.
func codeInText(text string) hnslb.HRESULT {
	if m := recordCode.FindStringSubmatch(text); m != nil {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			return unfold(uint32(n)) // signed or unsigned, the low 32 bits are the code
		}
	}
	if m := printedCode.FindStringSubmatch(text); m != nil {
		if n, err := strconv.ParseUint(m[1], 16, 32); err == nil {
			return unfold(uint32(n))
		}
	}
	if strings.Contains(text, notStarted) {
		return hnslb.ResultServiceNotActive
	}
	return 0
}

// bestCode chooses between the code that a call returned and the one in its text: the
// first that has a class, else the first that says anything.
func bestCode(returned, text hnslb.HRESULT) hnslb.HRESULT {
	if hnslb.ClassOf(returned) != hnslb.Other {
		return returned
	}
	if hnslb.ClassOf(text) != hnslb.Other || returned == 0 || returned == resultGenFailure {
		return text
	}
	return returned
}
