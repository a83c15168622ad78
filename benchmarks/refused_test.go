// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// TestRefused: HNS refuses 500 of 1,000 Services for ever. After the first minute they cost few
// log lines, and the others do not notice.
func TestRefused(t *testing.T) {
	const minutes, linesBar = 10, 60
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		var healthy time.Duration
		for _, refused := range []int{0, 500} {
			t.Run(profile.Name+map[bool]string{true: " refused", false: " healthy"}[refused > 0], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var lines atomic.Int64
					s, c := newServed(), newCluster(1000, 3)
					hns := newHNS(t, profile, emulator.WS2022Latency(), s.heard)
					for i := range refused {
						hns.Refuse(c.service(i).Spec.ClusterIP+":80/TCP", hnslb.ResultPortAlreadyExists)
					}
					n := start(t, hns, c, usual, func(cfg *proxier.Config) {
						cfg.Logger = funcr.New(func(_, _ string) { lines.Add(1) }, funcr.Options{})
					})
					n.run()
					defer n.stop()
					<-time.After(2 * time.Minute) // the cold start and a minute after it
					most, mostLines := quietMinutes(hns, &lines, minutes)
					p99 := healthyChanges(t, n, s, c)
					t.Logf("%d refused: at most %d calls and %d log lines a minute, bar %d; of the others p99 %v", refused, most, mostLines, linesBar, p99)
					switch {
					case refused == 0:
						healthy = p99
						return
					case mostLines > linesBar:
						t.Errorf("%d log lines a minute, bar %d", mostLines, linesBar)
					case p99 > 2*healthy:
						t.Errorf("p99 of healthy Services is %v, without refused ones %v", p99, healthy)
					}
				})
			})
		}
	}
}

// quietMinutes lets minutes pass in which nothing changes and returns the most calls and log
// lines of one of them.
func quietMinutes(hns *emulator.Emulator, lines *atomic.Int64, minutes int) (most, mostLines int) {
	for range minutes {
		hns.ResetCounts()
		lines.Store(0)
		<-time.After(time.Minute)
		most, mostLines = max(most, sum(hns.Counts())), max(mostLines, int(lines.Load()))
	}
	return most, mostLines
}

// healthyChanges replaces endpoints of Services that HNS takes, ten a second for two minutes.
func healthyChanges(t *testing.T, n *node, s *served, c *cluster) time.Duration {
	t.Helper()
	const changes, interval = 1200, 100 * time.Millisecond
	for i := range changes {
		j := 500 + i%500
		s.change(t, n, c, j, c.replace(j))
		<-time.After(interval)
	}
	<-time.After(10 * time.Second)
	return p(s.took(t, changes, nil), 99)
}
