// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// frontendWith has backends at 10.244.1.N, those of this node as negative numbers.
func frontendWith(hosts ...int) *desired.Frontend {
	f := &desired.Frontend{InternalPort: 80}
	for _, h := range hosts {
		f.Backends = append(f.Backends, desired.Backend{IP: netip.AddrFrom4([4]byte{10, 244, 1, byte(max(h, -h))}), Local: h < 0})
	}
	return f
}

func upTo(n int) []int {
	var out []int
	for i := range n {
		out = append(out, i+1)
	}
	return out
}

func TestBackendsText(t *testing.T) {
	t.Parallel()
	six := frontendWith()
	six.Backends = []desired.Backend{{IP: netip.MustParseAddr("fd00::1"), Local: true}}
	for _, tt := range []struct {
		before, after *desired.Frontend
		want          string
	}{
		{nil, nil, "none"},
		{nil, frontendWith(-1, 2), "none -> 10.244.1.1*:80, 10.244.1.2:80"},
		{frontendWith(1), frontendWith(1), "10.244.1.1:80"},
		{frontendWith(1, 2), frontendWith(1, 3), "10.244.1.1:80, 10.244.1.2:80 -> 10.244.1.1:80, 10.244.1.3:80"},
		{frontendWith(1), frontendWith(), "10.244.1.1:80 -> none"},
		{nil, six, "none -> [fd00::1*]:80"},
		{frontendWith(upTo(9)...), frontendWith(append(upTo(8), 10)...), "9 -> 9; gone: 10.244.1.9:80; new: 10.244.1.10:80"},
		{nil, frontendWith(upTo(11)...), "0 -> 11; gone: none; new: 10.244.1.1:80, 10.244.1.2:80, 10.244.1.3:80, 10.244.1.4:80, " +
			"10.244.1.5:80, 10.244.1.6:80, 10.244.1.7:80, 10.244.1.8:80 and 3 more"},
	} {
		if got := backendsText(tt.before, tt.after); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// TestLosses: the loss of more than half is noticed, at once or bit by bit within a minute, and
// nothing that comes by and by.
func TestLosses(t *testing.T) {
	t.Parallel()
	type step struct {
		n     int
		after time.Duration
		gone  int
	}
	for name, steps := range map[string][]step{
		"at once, long after":    {{24, 0, 0}, {11, time.Hour, 13}, {11, 0, 0}, {10, time.Second, 0}},
		"half is not more":       {{24, 0, 0}, {12, time.Second, 0}},
		"few":                    {{19, 0, 0}, {0, time.Second, 0}},
		"bit by bit":             {{24, 0, 0}, {20, time.Hour, 0}, {15, 30 * time.Second, 0}, {11, 29 * time.Second, 13}},
		"over two minutes":       {{24, 0, 0}, {16, time.Hour, 0}, {16, 61 * time.Second, 0}, {11, time.Second, 0}},
		"others come meanwhile":  {{24, 0, 0}, {16, time.Second, 0}, {22, time.Second, 0}, {11, time.Second, 13}},
		"all of them, and again": {{40, 0, 0}, {0, time.Second, 40}, {40, time.Second, 0}, {0, time.Second, 40}},
	} {
		var l deletionDetector
		now := time.Now()
		for i, s := range steps {
			now = now.Add(s.after)
			if gone, of := l.count(s.n, now); gone != s.gone || gone > 0 && of != gone+s.n {
				t.Errorf("%s, step %d: %d of %d gone, want %d", name, i, gone, of, s.gone)
			}
		}
	}
}
