// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// logBook keeps log lines and their times.
type logBook struct {
	mu    sync.Mutex
	lines []string
	at    []time.Time
}

func (b *logBook) write(_, line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines, b.at = append(b.lines, line), append(b.at, time.Now())
}

// worstMinute returns how many lines there were within a minute at most.
func (b *logBook) worstMinute() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	most, from := 0, 0
	for i, at := range b.at {
		for at.Sub(b.at[from]) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// count counts the lines with a word.
func (b *logBook) count(word string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.lines {
		if strings.Contains(line, word) {
			n++
		}
	}
	return n
}

// TestRefusedLines: HNS refuses 500 of 1,000 Services for ever. From the start on they cost at
// most 60 log lines in any minute, each is told in the end, and a healthy one that begins to
// fail meanwhile is told at once.
func TestRefusedLines(t *testing.T) {
	const bar, refused, minutes = 60, 500, 10
	synctest.Test(t, func(t *testing.T) {
		c, book := newCluster(1000, 3), &logBook{}
		hns := newHNS(t, profiles.WS2022(), emulator.WS2022Latency())
		refuse := func(i int) { hns.Refuse(c.service(i).Spec.ClusterIP+":80/TCP", hnslb.ResultPortAlreadyExists) }
		for i := range refused {
			refuse(i)
		}
		n := start(t, hns, c, usual, func(cfg *proxier.Config) { cfg.Logger = funcr.New(book.write, funcr.Options{}) })
		n.run()
		defer n.stop()
		for minute := range minutes {
			<-time.After(40 * time.Second)
			i := refused + minute
			name := `"service"="bench/` + c.service(i).Name + `"`
			refuse(i)
			if _, err := n.proxy.Store().SetSlice(nil, c.replace(i)); err != nil {
				t.Fatal(err)
			}
			<-time.After(15 * time.Second)
			if book.count(name) != 1 {
				t.Errorf("minute %d: Service %s fails for 15 s and is told in %d lines", minute, name, book.count(name))
			}
			<-time.After(5 * time.Second)
		}
		most, told := book.worstMinute(), book.count("Service not fully programmed")
		t.Logf("%d refused: at most %d log lines in a minute, bar %d; %d told in %d minutes", refused, most, bar, told, minutes)
		if most > bar {
			t.Errorf("%d log lines in a minute, bar %d", most, bar)
		}
		<-time.After(15 * time.Minute)
		if told := book.count("Service not fully programmed"); told != refused+minutes {
			t.Errorf("%d lines in the end, want one for each of %d Services", told, refused+minutes)
		}
	})
}
