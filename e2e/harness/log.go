// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"slices"
	"strings"
	"sync"
)

// Log is what one hnsproxy has logged. It is safe for concurrent use.
type Log struct {
	// lines returns all of it so far.
	lines func() []string
}

// Count returns how many lines contain all of the texts.
func (l *Log) Count(texts ...string) int {
	count := 0
	for _, line := range l.lines() {
		if containsAll(line, texts) {
			count++
		}
	}
	return count
}

func containsAll(line string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(line, text) {
			return false
		}
	}
	return true
}

// Tail returns the last lines.
func (l *Log) Tail(lines int) string {
	all := l.lines()
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// logWriter keeps what a logger of this process writes, a line for each write.
type logWriter struct {
	mu    sync.Mutex
	lines []string
}

// Write is part of io.Writer.
func (l *logWriter) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSuffix(string(text), "\n"))
	return len(text), nil
}

func (l *logWriter) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
