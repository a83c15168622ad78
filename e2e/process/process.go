// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package process runs the programs that end-to-end tests need. On Linux they die with the process that started them.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a program that was started. Its methods may be called from several goroutines.
type Process struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	done    chan struct{} // closed when the program has ended
	err     error         // how it ended; read it after done
}

// Start starts a program in dir. Its output is appended to a log file there, see LogPath.
func Start(path, dir string, args []string) (*Process, error) {
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	return StartCommand(cmd, filepath.Base(path), LogPath(dir, filepath.Base(path)))
}

// StartCommand starts a command that was made ready, but for where its output goes: it is appended to logPath. The name is for
// messages.
func StartCommand(cmd *exec.Cmd, name, logPath string) (*Process, error) {
	p := &Process{name: name, logPath: logPath, cmd: cmd, done: make(chan struct{})}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()

	started := make(chan error, 1)
	go func() {
		defer log.Close() //nolint:errcheck // the program wrote it, not we
		// Linux counts as the parent's death the death of the thread that started the child, so that thread stays with this
		// goroutine for as long as the child lives.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Name is the program's file name.
func (p *Process) Name() string { return p.name }

// PID is the program's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the program's end and tells how it ended: nil for exit code 0.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop asks the program to end (SIGTERM), kills it after grace, and returns when it is gone. Stopping a nil Process, or one
// that has ended, does nothing.
func (p *Process) Stop(grace time.Duration) { p.end(syscall.SIGTERM, grace) }

// Interrupt is Stop by SIGINT, which Wine hands to a Windows program as Ctrl+C; of SIGTERM a program there hears nothing.
func (p *Process) Interrupt(grace time.Duration) { p.end(syscall.SIGINT, grace) }

func (p *Process) end(signal syscall.Signal, grace time.Duration) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal) // as in Kill
	select {
	case <-p.done:
	case <-time.After(grace):
		p.Kill()
	}
}

// Kill ends the program at once and returns when it is gone. Killing a nil Process, or one that has ended, does nothing.
func (p *Process) Kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // fails only on a process that has ended
	<-p.done
}

// Tail returns the last lines of the program's log.
func (p *Process) Tail(lines int) string { return Tail(p.logPath, lines) }

// LogPath is where Start puts the output of the program of that name.
func LogPath(dir, program string) string { return filepath.Join(dir, program+".log") }

// Tail returns the last lines of a log, or why it cannot be read.
func Tail(path string, lines int) string {
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(log), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
