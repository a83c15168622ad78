// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"k8s.io/klog/v2/textlogger"
)

// TestErrorInLogs: klog prefers a Stringer to an error, so an Error must be none, else its
// reason and remedy would be lost.
func TestErrorInLogs(t *testing.T) {
	t.Parallel()
	err := &Error{Place: Place{File: "web.yaml", Document: 2}, Kind: "Service", Object: "shop/web", Why: "is wrong", Remedy: "fix it"}
	if _, is := any(err).(fmt.Stringer); is {
		t.Error("an Error is a Stringer")
	}
	var out bytes.Buffer
	textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&out))).Error(err, "Invalid object in a file")
	if want := `err="web.yaml, document 2: Service shop/web: is wrong; fix it"`; !strings.Contains(out.String(), want) {
		t.Errorf("the log says %s, want %s", out.String(), want)
	}
}
