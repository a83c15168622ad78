// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"k8s.io/utils/clock"
)

// keptNotices is how many errors stand below the table.
const keptNotices = 5

// Notices is a sink that keeps the last errors, to be shown where a log line would be
// drawn over. It is safe for concurrent use.
type Notices struct {
	*noticeLines
	values []any
}

var _ logr.LogSink = Notices{}

type noticeLines struct {
	clock clock.PassiveClock
	mu    sync.Mutex
	lines []string
}

// NewNotices makes an empty one.
func NewNotices(c clock.PassiveClock) Notices { return Notices{noticeLines: &noticeLines{clock: c}} }

// Lines returns the last errors, oldest first.
func (n *noticeLines) Lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.lines...)
}

// Init is part of logr.LogSink.
func (n Notices) Init(logr.RuntimeInfo) {}

// Enabled is part of logr.LogSink.
func (n Notices) Enabled(int) bool { return false }

// Info is part of logr.LogSink.
func (n Notices) Info(int, string, ...any) {}

// Error is part of logr.LogSink.
func (n Notices) Error(err error, msg string, kv ...any) {
	line := n.clock.Now().Format(time.TimeOnly) + " " + msg
	if err != nil {
		line += ": " + err.Error()
	}
	all := append(append([]any(nil), n.values...), kv...)
	for i := 0; i+1 < len(all); i += 2 {
		line += fmt.Sprintf(" %v=%v", all[i], all[i+1])
	}
	line = printable.Text(strings.ReplaceAll(line, "\n", " "))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
	n.lines = n.lines[max(len(n.lines)-keptNotices, 0):]
}

// WithValues is part of logr.LogSink.
func (n Notices) WithValues(kv ...any) logr.LogSink {
	return Notices{n.noticeLines, append(append([]any(nil), n.values...), kv...)}
}

// WithName is part of logr.LogSink.
func (n Notices) WithName(string) logr.LogSink { return n }
