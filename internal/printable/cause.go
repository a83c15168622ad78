// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package printable

import "errors"

// Cause is the text of the innermost error. Those around it name what differs from time to time,
// such as a temporary file.
func Cause(err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
