// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
)

// TestLogFilesAreBounded: a file that is full is put aside, and only the last ones are kept.
func TestLogFilesAreBounded(t *testing.T) {
	t.Parallel()
	const megabyte = 1 << 20
	dir := t.TempDir()
	var stderr bytes.Buffer
	l, err := openLogFile(options.LogFiles{File: filepath.Join(dir, "proxy.log"), Threshold: "ERROR", MaxSize: 1}, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.file.(io.Closer).Close() })
	record := []byte("I" + strings.Repeat("x", megabyte/4-2) + "\n")
	for range 4 * (maxLogBackups + 4) {
		if _, err := l.Write(record); err != nil {
			t.Fatal(err)
		}
		awaitFiles(t, dir, maxLogBackups+1, megabyte)
	}
	if files := logFilesIn(t, dir); len(files) != maxLogBackups+1 {
		t.Errorf("%d files, want %d", len(files), maxLogBackups+1)
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error has %d bytes", stderr.Len())
	}
}

func logFilesIn(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// awaitFiles waits until there are not too many files, which are deleted on the side.
func awaitFiles(t *testing.T, dir string, most int, size int64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		files := logFilesIn(t, dir)
		for _, f := range files {
			if info, err := f.Info(); err == nil && info.Size() > size {
				t.Errorf("%s has %d bytes", f.Name(), info.Size())
			}
		}
		if len(files) <= most {
			return
		}
		<-tick.C
	}
	t.Fatalf("%d files stay, want %d", len(logFilesIn(t, dir)), most)
}

// TestLogSize: 0 is no limit, and no limit is too large.
func TestLogSize(t *testing.T) {
	t.Parallel()
	for given, want := range map[uint64]int{0: 1<<31 - 1, 1: 1, 1800: 1800, 1 << 40: 1<<31 - 1} {
		if got := maxLogSize(given); got != want {
			t.Errorf("--log-file-max-size=%d is %d MB, want %d", given, got, want)
		}
	}
}

// TestLogCopies: errors go to standard error too, or what the flags say.
func TestLogCopies(t *testing.T) {
	t.Parallel()
	const (
		info, failure         = "I1124 info\n", "E1124 error\n"
		jsonInfo, jsonFailure = `{"ts":1,"msg":"info","v":0}` + "\n", `{"ts":1,"msg":"error","err":"x"}` + "\n"
	)
	for _, tt := range []struct {
		files options.LogFiles
		want  string
	}{
		{options.LogFiles{Threshold: "ERROR"}, failure + jsonFailure},
		{options.LogFiles{Threshold: "warning"}, failure + jsonFailure},
		{options.LogFiles{Threshold: "3"}, ""},
		{options.LogFiles{Threshold: "info"}, info + failure + jsonInfo + jsonFailure},
		{options.LogFiles{Threshold: "FATAL", AlsoToStderr: true}, info + failure + jsonInfo + jsonFailure},
	} {
		var file, stderr bytes.Buffer
		l := &logFile{file: &file, stderr: &stderr, copied: copiedRecords(tt.files)}
		for _, record := range []string{info, failure, jsonInfo, jsonFailure} {
			if n, err := l.Write([]byte(record)); n != len(record) || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
		}
		if stderr.String() != tt.want || file.String() != info+failure+jsonInfo+jsonFailure {
			t.Errorf("%+v: standard error %q, file %q", tt.files, stderr.String(), file.String())
		}
	}
}

// fullDisk refuses writes while it is full.
type fullDisk struct {
	bytes.Buffer
	full bool
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.full {
		return 0, errors.New("no space left")
	}
	return d.Buffer.Write(p)
}

// TestFullDisk: what cannot be written to the file is not lost, and is said once each time.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	var disk fullDisk
	var stderr bytes.Buffer
	l := &logFile{file: &disk, stderr: &stderr, copied: func([]byte) bool { return false }}
	for _, full := range []bool{false, true, true, false, true} {
		disk.full = full
		if _, err := l.Write([]byte("I line\n")); err != nil {
			t.Error(err)
		}
	}
	const said = "Cannot write the log file; logging to standard error: no space left\n"
	if want := said + "I line\nI line\n" + said + "I line\n"; stderr.String() != want {
		t.Errorf("standard error %q, want %q", stderr.String(), want)
	}
}
