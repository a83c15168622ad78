// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

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

// process is one program of the control plane. A nil process is one that was not started.
type process struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	done    chan struct{} // closed when the program has ended
	err     error         // how it ended; read it after done
}

// launch starts a program whose output is appended to a log file in dir.
func launch(path, dir string, args []string) (*process, error) {
	name := filepath.Base(path)
	p := &process{name: name, logPath: logPath(dir, name), done: make(chan struct{})}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = dir
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

// stop asks the program to end, kills it after grace, and returns when it is gone.
func (p *process) stop(grace time.Duration) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // as in kill
	select {
	case <-p.done:
	case <-time.After(grace):
		p.kill()
	}
}

// kill ends the program at once and returns when it is gone.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // fails only on a process that has ended
	<-p.done
}

func logPath(dir, program string) string { return filepath.Join(dir, program+".log") }

// tail returns the last lines of a log, or why it cannot be read.
func tail(path string, lines int) string {
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(log), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
