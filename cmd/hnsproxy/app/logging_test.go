// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"k8s.io/klog/v2"
	testingclock "k8s.io/utils/clock/testing"
)

func TestQuietLogger(t *testing.T) {
	t.Parallel()
	n := table.NewNotices(testingclock.NewFakePassiveClock(time.Time{}))
	counting := &countingSink{LogSink: n}
	logger := klog.New(quiet{counting})
	logger.Info("no")
	logger.WithName("a").WithValues("b", 1).V(3).Info("no")
	logger.WithName("a").WithValues("b", 1).Error(nil, "yes")
	if counting.infos != 0 || len(n.Lines()) != 1 {
		t.Errorf("%d information lines and %d errors passed, want 0 and 1", counting.infos, len(n.Lines()))
	}
}

// countingSink counts information that gets through.
type countingSink struct {
	logr.LogSink
	infos int
}

func (s *countingSink) Enabled(int) bool               { return true }
func (s *countingSink) Info(int, string, ...any)       { s.infos++ }
func (s *countingSink) WithName(string) logr.LogSink   { return s }
func (s *countingSink) WithValues(...any) logr.LogSink { return s }
