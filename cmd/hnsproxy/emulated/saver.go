// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulated

import (
	"context"
	"time"

	"github.com/hnsproxy/hnsproxy/internal/printable"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Times of a saver.
const (
	// savePeriod is how often a changed HNS is saved: what a kill -9 can lose.
	savePeriod = 500 * time.Millisecond
	// complainPeriod is how often a failure that stays the same is logged.
	complainPeriod = time.Minute
)

// saver keeps an emulated HNS in a file. When that fails, as on a full disk, the proxy goes
// on: the file keeps the last state that was saved, and the next try may be better.
type saver struct {
	// save writes the file, whole or not at all.
	save func() error
	// changes counts what was changed in the HNS so far.
	changes func() int
	logger  klog.Logger
	clock   clock.WithTicker

	// reason is why it fails now, "" when it does not, and said is when that was logged.
	reason string
	said   time.Time
}

// run saves the state after changes until ctx ends.
func (s *saver) run(ctx context.Context) {
	ticker := s.clock.NewTicker(savePeriod)
	defer ticker.Stop()
	saved := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		now := s.changes()
		if now == saved {
			continue
		}
		err := s.save()
		if err == nil {
			saved = now
		}
		s.note(err)
	}
}

// note logs a failure when it is new, and once in a while after that, and its end.
func (s *saver) note(err error) {
	if err == nil {
		if s.reason != "" {
			s.logger.Info("Saving the emulated HNS works again")
		}
		s.reason = ""
		return
	}
	reason, now := printable.Cause(err), s.clock.Now()
	if reason == s.reason && now.Sub(s.said) < complainPeriod {
		return
	}
	s.reason, s.said = reason, now
	s.logger.Error(err, "Cannot save the emulated HNS; existing file left unchanged", "remedy", "free disk space, or make the directory writable")
}
