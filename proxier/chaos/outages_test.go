// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	// reaction is how long the proxy may take to serve a frontend that has a usable backend.
	reaction = time.Second
	// attention is how long the endpoint of a pod, which nobody announces, may go unseen.
	attention = 6 * time.Second
	// excused is how long one delete and one create may leave a VIP dark, with other writes
	// on their way.
	excused = 100 * time.Millisecond
	// heldUp is how long a call that hangs on one object holds up all others on an HNS before 11,
	// which gets one call at a time.
	heldUp = 5 * time.Second
)

// span is a time from an instant to another; with no end it lasts.
type span struct {
	from, to time.Time
	// of are the objects that it is about; none stands for all.
	of []string
}

// covers tells whether a span is about a frontend: about itself, about its VIP, or about an
// address that it may send to.
func (s span) covers(k hnslb.FrontendKey, backends map[string]bool) bool {
	return len(s.of) == 0 || slices.ContainsFunc(s.of, func(o string) bool {
		return o == k.String() || o == k.VIP.String() || o == sourceVIP.String() || backends[o]
	})
}

func (s span) open() bool { return s.to.IsZero() }

// outageLog knows when frontends served nobody, and when they should have served somebody.
type outageLog struct {
	mu     sync.Mutex // guards what the emulator tells
	dark   map[hnslb.FrontendKey][]span
	served map[hnslb.FrontendKey]bool

	wants map[hnslb.FrontendKey][]span
	// names are the addresses that a frontend may ever have sent to.
	names map[hnslb.FrontendKey]map[string]bool
	// allowed is how long a frontend may be dark at a time.
	allowed time.Duration
}

func newOutageLog() *outageLog {
	return &outageLog{dark: map[hnslb.FrontendKey][]span{}, served: map[hnslb.FrontendKey]bool{},
		wants: map[hnslb.FrontendKey][]span{}, names: map[hnslb.FrontendKey]map[string]bool{}, allowed: excused}
}

// watch hears from the emulator what a frontend sends to. One that never served is dark since
// ever.
func (d *outageLog) watch(s emulator.Serving) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, live := s.Frontend, len(s.Backends) > 0
	if live == d.served[k] {
		return
	}
	d.served[k] = live
	if live {
		d.dark[k] = close1(d.orEver(k))
	} else {
		d.dark[k] = append(d.dark[k], span{from: time.Now()})
	}
}

// orEver returns the dark times of a frontend. It is called with the lock held.
func (d *outageLog) orEver(k hnslb.FrontendKey) []span {
	if len(d.dark[k]) == 0 {
		return []span{{from: time.Unix(0, 0)}}
	}
	return d.dark[k]
}

// close1 ends the last span.
func close1(spans []span) []span {
	if n := len(spans) - 1; n >= 0 && spans[n].open() {
		spans[n].to = time.Now()
	}
	return spans
}

// want says which frontends should serve somebody from now on.
func (d *outageLog) want(keys map[hnslb.FrontendKey]bool) {
	for k, spans := range d.wants {
		if !keys[k] {
			d.wants[k] = close1(spans)
		}
	}
	for k := range keys {
		if spans := d.wants[k]; len(spans) == 0 || !spans[len(spans)-1].open() {
			d.wants[k] = append(spans, span{from: time.Now()})
		}
	}
}

// unexcused returns, for each frontend in words, the times in which it should have served
// somebody, no fault was about, and it served nobody.
func (d *outageLog) unexcused(shadows []span, now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for k, wants := range d.wants {
		for _, dark := range d.orEver(k) {
			var left []span
			for _, want := range wants {
				left = append(left, overlap(end(dark, now), end(span{from: want.from.Add(reaction), to: want.to}, now))...)
			}
			for _, s := range shadows {
				if !s.covers(k, d.names[k]) {
					continue
				}
				left = minus(left, end(s, now))
			}
			if total := length(left); total > d.allowed {
				out = append(out, fmt.Sprintf("%s was dark for %v without need, first %s to %s", k, total, at(left[0].from), at(left[0].to)))
			}
		}
	}
	slices.Sort(out)
	return out
}

// at prints a virtual time as the time since the bubble began.
func at(t time.Time) string {
	return "+" + t.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).String()
}

func end(s span, now time.Time) span {
	if s.open() {
		s.to = now
	}
	return s
}

func overlap(a, b span) []span {
	from, to := a.from, a.to
	if b.from.After(from) {
		from = b.from
	}
	if b.to.Before(to) {
		to = b.to
	}
	if !from.Before(to) {
		return nil
	}
	return []span{{from: from, to: to}}
}

// minus takes a time out of times.
func minus(spans []span, out span) []span {
	var left []span
	for _, s := range spans {
		left = append(left, overlap(s, span{from: s.from, to: out.from})...)
		left = append(left, overlap(s, span{from: out.to, to: s.to})...)
	}
	return left
}

func length(spans []span) time.Duration {
	var sum time.Duration
	for _, s := range spans {
		sum += s.to.Sub(s.from)
	}
	return sum
}

// wanted returns the frontends that should serve somebody, by what the proxy was told. It
// leaves out whatever depends on more than that: frontends that two Services claim, policies
// of locality, slices that disagree on the target port or on where a pod is.
func (w *simulation) wanted() map[hnslb.FrontendKey]bool {
	claims := map[hnslb.FrontendKey]int{}
	for _, o := range w.sent {
		if o.service != nil {
			for _, k := range o.frontends() {
				claims[k]++
			}
		}
	}
	out := map[hnslb.FrontendKey]bool{}
	for key, o := range w.sent {
		if o.service == nil || !w.usable(strings.TrimPrefix(key, "service ")) || local(o.said) {
			continue
		}
		for _, k := range o.frontends() {
			if claims[k] == 1 {
				out[k] = true
				w.note(k, strings.TrimPrefix(key, "service "))
			}
		}
	}
	return out
}

// note notes the addresses that a frontend may send to.
func (w *simulation) note(k hnslb.FrontendKey, service string) {
	if w.dark.names[k] == nil {
		w.dark.names[k] = map[string]bool{}
	}
	for _, o := range w.sent {
		if o.slice == nil || serviceName(o.said) != service {
			continue
		}
		for _, t := range o.targets {
			w.dark.names[k][addressOf(t.word).String()] = true
		}
	}
}

func local(a action) bool {
	return slices.ContainsFunc(a.list("with"), func(s string) bool {
		return s == "extlocal" || s == "intlocal" || s == "preserve"
	})
}

// usable tells whether a Service surely has a backend that can serve.
func (w *simulation) usable(service string) bool {
	ports := map[string]bool{}
	found := false
	for _, o := range w.sent {
		if o.slice == nil || serviceName(o.said) != service {
			continue
		}
		ports[o.said.args["port"]] = true
		for _, t := range o.targets {
			switch {
			case !t.ready():
			case t.word[0] == 'l' && w.disputed(t.word), t.word[0] == 'v', t.word == "src", t.word == "node":
				return false
			case t.word[0] != 'l' || w.placedFor(podName(t.word)) > attention:
				found = true
			}
		}
	}
	return found && len(ports) == 1
}

// disputed tells whether slices disagree with each other or with the node on where a pod is.
func (w *simulation) disputed(word string) bool {
	for _, o := range w.sent {
		for _, t := range o.targets {
			if t.word == word && t.moved != (w.host.placed[podName(word)] == "") {
				return true
			}
		}
	}
	return false
}

// TestUnexcused: what counts is the time in which a frontend was wanted, dark, and no fault was
// about.
func TestUnexcused(t *testing.T) {
	key := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: addressOf("vip0"), Protocol: hnslb.TCP, Port: 80}
	serve := func(d *outageLog, backends ...string) {
		s := emulator.Serving{Frontend: key}
		for _, b := range backends {
			s.Backends = append(s.Backends, addressOf(b))
		}
		d.watch(s)
	}
	after := func(s time.Duration) { <-time.After(s * time.Second) }
	// gap is dark from 10 s to 15 s.
	gap := func(d *outageLog) {
		serve(d, "r1")
		after(10)
		serve(d)
		after(5)
		serve(d, "r2")
		after(5)
	}
	for _, tc := range []struct {
		name    string
		shadow  span // seconds from the start, in the nanoseconds of its times
		of      []string
		want    string
		history func(*outageLog)
	}{
		{name: "served", history: func(d *outageLog) { serve(d, "r1"); after(20) }},
		{name: "dark", want: "10.96.0.10:80/TCP was dark for 5s without need, first +10s to +15s", history: gap},
		{name: "dark to the end", want: "10.96.0.10:80/TCP was dark for 5s without need, first +15s to +20s",
			history: func(d *outageLog) { serve(d, "r1"); after(15); serve(d); after(5) }},
		{name: "never served", want: "10.96.0.10:80/TCP was dark for 19s without need, first +1s to +20s",
			history: func(*outageLog) { after(20) }},
		{name: "not wanted", history: func(d *outageLog) { serve(d, "r1"); after(5); d.want(nil); serve(d); after(15) }},
		{name: "deleted and created", history: func(d *outageLog) {
			for range 20 {
				serve(d, "r1")
				after(1)
				serve(d)
			}
		}},
		{name: "under a fault", shadow: span{from: time.Unix(0, 9), to: time.Unix(0, 16)}, history: gap},
		{name: "longer than a fault", shadow: span{from: time.Unix(0, 9), to: time.Unix(0, 12)},
			want: "10.96.0.10:80/TCP was dark for 3s without need, first +12s to +15s", history: gap},
		{name: "under a fault of its own", shadow: span{from: time.Unix(0, 9), to: time.Unix(0, 16)}, of: []string{"10.96.0.10:80/TCP"}, history: gap},
		{name: "under a fault of another", shadow: span{from: time.Unix(0, 9), to: time.Unix(0, 16)}, of: []string{"10.96.0.11:80/TCP"},
			want: "10.96.0.10:80/TCP was dark for 5s without need, first +10s to +15s", history: gap},
	} {
		synctest.Test(t, func(t *testing.T) {
			boot, d := time.Now(), newOutageLog()
			d.want(map[hnslb.FrontendKey]bool{key: true})
			tc.history(d)
			var shadows []span
			if !tc.shadow.from.IsZero() {
				at := func(t time.Time) time.Time { return boot.Add(time.Duration(t.UnixNano()) * time.Second) }
				shadows = append(shadows, span{from: at(tc.shadow.from), to: at(tc.shadow.to), of: tc.of})
			}
			if got := strings.Join(d.unexcused(shadows, time.Now()), "; "); got != tc.want {
				t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			}
		})
	}
}
