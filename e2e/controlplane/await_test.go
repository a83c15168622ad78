// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/e2e/process"
)

// TestAwaitReportsAnEndedProgram shows that nobody waits for a program that has ended, and that its last words are told.
func TestAwaitReportsAnEndedProgram(t *testing.T) {
	p, err := process.Start("/bin/sh", t.TempDir(), []string{"-c", "echo the port is taken; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	err = (&ControlPlane{}).await(t.Context(), p, nil)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("got %v, want exit status and last line of the log", err)
	}
	p.Kill() // of an ended program: returns
	if p.Err() == nil {
		t.Error("the program's error is lost")
	}
}
