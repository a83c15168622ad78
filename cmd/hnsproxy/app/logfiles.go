// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"gopkg.in/natefinch/lumberjack.v2"
)

// maxLogBackups is the number of full log files that are kept besides the current one.
const maxLogBackups = 2

// logFile is the log of --logtostderr=false. Each Write is one record.
type logFile struct {
	file   io.Writer
	stderr io.Writer
	// copied returns whether a record is also written to standard error.
	copied func(record []byte) bool

	mu sync.Mutex
	// failed is whether the last write to the file failed, which was reported.
	failed bool
}

// openLogFile creates the directory and the file, so that a log that cannot be written is an error
// at the start, rather than lost later.
func openLogFile(f options.LogFiles, stderr io.Writer) (*logFile, error) {
	path := f.File
	flag := "--log-file=" + f.File
	if path == "" {
		dir := f.Dir
		if dir == "" {
			dir = os.TempDir()
		}
		flag = "--log-dir=" + dir
		path = filepath.Join(dir, programName()+".log")
	}
	const remedy = "choose a location where log files can be written"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as of other log directories
		return nil, fmt.Errorf("%s: cannot create the directory: %w; %s", flag, err, remedy)
	}
	probe, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		err = probe.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; %s", flag, err, remedy)
	}
	return &logFile{
		file:   &lumberjack.Logger{Filename: path, MaxSize: maxLogSize(f.MaxSize), MaxBackups: maxLogBackups, LocalTime: true},
		stderr: stderr,
		copied: copiedRecords(f),
	}, nil
}

// maxLogSize returns the limit of the library for --log-file-max-size, where 0 means no limit.
func maxLogSize(megabytes uint64) int {
	if megabytes == 0 || megabytes > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(megabytes)
}

// programName returns the name of the executable, the prefix of klog's log files.
func programName() string {
	name := filepath.Base(os.Args[0])
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".exe") {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// copiedRecords returns which records --alsologtostderr and --stderrthreshold copy. There are no
// warnings: a logger has only information and errors.
func copiedRecords(f options.LogFiles) func([]byte) bool {
	threshold := strings.ToUpper(f.Threshold)
	switch {
	case f.AlsoToStderr || slices.Contains([]string{"INFO", "0"}, threshold):
		return func([]byte) bool { return true }
	case slices.Contains([]string{"FATAL", "3"}, threshold):
		return func([]byte) bool { return false }
	}
	return isErrorRecord
}

// isErrorRecord distinguishes errors from information. Text records begin with the letter of their
// severity; in JSON only information has a verbosity.
func isErrorRecord(record []byte) bool {
	if bytes.HasPrefix(record, []byte("{")) {
		return !bytes.Contains(record, []byte(`,"v":`))
	}
	return !bytes.HasPrefix(record, []byte("I"))
}

// Write implements io.Writer. Records that cannot be written to the file, as on a full disk, go to
// standard error.
func (l *logFile) Write(record []byte) (int, error) {
	_, err := l.file.Write(record)
	l.note(err)
	if err != nil || l.copied(record) {
		return l.stderr.Write(record)
	}
	return len(record), nil
}

// note reports on standard error that the file cannot be written, once until it can.
func (l *logFile) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !l.failed {
		_, _ = fmt.Fprintf(l.stderr, "Cannot write the log file; logging to standard error: %v\n", err) // there is no other place
	}
	l.failed = err != nil
}
