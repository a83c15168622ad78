// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"k8s.io/klog/v2"
)

// klog opens its log files itself, so that no writer can stand before them. There what is
// logged is made printable before klog formats it: by a sink where the logger comes from a
// context, and by a filter, which does not see errors, where klog is called as it is.

// ownLogger logs by klog itself, without the logger of a format.
func ownLogger() klog.Logger { return logr.New(&fileSink{klog.NewKlogr().GetSink()}) }

// fileSink makes what is logged printable.
type fileSink struct{ logr.LogSink }

var _ logr.CallDepthLogSink = &fileSink{}

// Info is part of logr.LogSink.
func (s *fileSink) Info(level int, msg string, kv ...any) {
	msg, kv = filter{}.FilterS(msg, kv)
	deeper(s.LogSink, 1).Info(level, msg, kv...)
}

// Error is part of logr.LogSink.
func (s *fileSink) Error(err error, msg string, kv ...any) {
	if text, changed := printableValue(err).(string); changed {
		err = errors.New(text)
	}
	msg, kv = filter{}.FilterS(msg, kv)
	deeper(s.LogSink, 1).Error(err, msg, kv...)
}

// WithValues is part of logr.LogSink.
func (s *fileSink) WithValues(kv ...any) logr.LogSink {
	return &fileSink{s.LogSink.WithValues(filter{}.Filter(kv)...)}
}

// WithName is part of logr.LogSink.
func (s *fileSink) WithName(name string) logr.LogSink { return &fileSink{s.LogSink.WithName(name)} }

// WithCallDepth is part of logr.CallDepthLogSink.
func (s *fileSink) WithCallDepth(depth int) logr.LogSink {
	return &fileSink{deeper(s.LogSink, depth)}
}

// deeper makes a sink name the caller that is depth frames further up.
func deeper(s logr.LogSink, depth int) logr.LogSink {
	if d, ok := s.(logr.CallDepthLogSink); ok {
		return d.WithCallDepth(depth)
	}
	return s
}

// filter is a klog.LogFilter that makes values printable.
type filter struct{}

var _ klog.LogFilter = filter{}

// Filter is part of klog.LogFilter.
func (filter) Filter(args []any) []any {
	out := make([]any, 0, len(args))
	for _, v := range args {
		out = append(out, printableValue(v))
	}
	return out
}

// FilterF is part of klog.LogFilter.
func (f filter) FilterF(format string, args []any) (string, []any) { return format, f.Filter(args) }

// FilterS is part of klog.LogFilter.
func (f filter) FilterS(msg string, kv []any) (string, []any) {
	return printable.Text(msg), f.Filter(kv)
}

// printableValue returns v as it is if it prints as clean text, else the escaped text.
func printableValue(v any) any {
	text := fmt.Sprint(v)
	if clean := printable.Text(text); clean != text {
		return clean
	}
	return v
}
