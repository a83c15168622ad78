// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package main

// What is here needs signals between processes, which Windows does not have.

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// running is the program in a process of its own.
type running struct {
	*exec.Cmd
	t   *testing.T
	log *bufio.Reader
}

// start starts the program and waits until it serves.
func start(t *testing.T) *running {
	t.Helper()
	p := &running{t: t, Cmd: exec.CommandContext(t.Context(), os.Args[0], "--hns=emulator", "--objects=../../examples/cluster",
		"--hostname-override=win-node-1", "--healthz-bind-address=127.0.0.1:0", "--metrics-bind-address=")}
	p.Env = append(os.Environ(), asProgram+"=yes")
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.log = bufio.NewReader(stderr)
	p.until(`"Serving"`)
	return p
}

// until reads the log up to a line with some text.
func (p *running) until(text string) {
	p.t.Helper()
	for {
		line, err := p.log.ReadString('\n')
		if err != nil {
			p.t.Fatalf("the program ended before it logged %s: %v", text, err)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

func (p *running) send(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the end, which must be a clean one.
func (p *running) end() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.log); err != nil {
		p.t.Error(err)
	}
	if err := p.Wait(); err != nil {
		p.t.Errorf("ended with %v, want exit code 0", err)
	}
}

// TestSignals: whoever asks the program to stop gets a clean stop, a terminal that is
// closed too.
func TestSignals(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			p := start(t)
			p.send(s)
			p.end()
		})
	}
}

// TestNohup: a program that was made deaf to SIGHUP, as nohup does, stays so.
func TestNohup(t *testing.T) {
	if !slices.Contains(stopSignals(), os.Signal(syscall.SIGHUP)) {
		t.Error("a program that hears SIGHUP does not stop")
	}
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	if slices.Contains(stopSignals(), os.Signal(syscall.SIGHUP)) {
		t.Error("nohup would be of no use")
	}
}
