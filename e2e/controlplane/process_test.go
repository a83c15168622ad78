// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"strings"
	"testing"
)

// TestAwaitReportsAnEndedProgram shows that nobody waits for a program that has ended, and that its last words are told.
func TestAwaitReportsAnEndedProgram(t *testing.T) {
	p, err := launch("/bin/sh", t.TempDir(), []string{"-c", "echo the port is taken; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	err = (&ControlPlane{}).await(t.Context(), p, nil)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("got %v, want exit status and last line of the log", err)
	}
	p.kill() // of an ended program: returns
	if errors.Is(p.err, nil) {
		t.Error("the program's error is lost")
	}
}
