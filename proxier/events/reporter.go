// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package events

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// gatherDelay is how long a new cause waits for other frontends of its Service, so that one
	// Event names all of them.
	gatherDelay = time.Second
	// eventBurst Events are sent at once, then one per eventInterval. A Service that is scaled to
	// zero affects every node, so the proxies of a large cluster must not all write Events at full
	// speed when they start.
	eventBurst    = 25
	eventInterval = 5 * time.Second
	// logBurst lines are logged at once, then one per logInterval, so at most 50 in a minute.
	// reservedLogBurst of the burst are reserved for new causes, so that a Service that begins to
	// fail is logged at once even if hundreds wait.
	logBurst         = 20
	logInterval      = 2 * time.Second
	reservedLogBurst = 10
	// summaryPause is the minimum time between two lines that summarize the causes not logged yet.
	summaryPause = time.Minute
)

// Event is an Event on a Service.
type Event struct {
	Service services.Name
	UID     types.UID
	// Warning: it affects traffic or security. Otherwise the Event has type Normal.
	Warning bool
	Reason  desired.Reason
	// Message names the frontends. It has at most 1,024 bytes, the limit of the API.
	Message string
}

// Type returns the type of the Event in the API.
func (e Event) Type() string {
	if e.Warning {
		return "Warning"
	}
	return "Normal"
}

// Config configures a Reporter.
type Config struct {
	// Send sends an Event and must not block; nil if causes are only logged.
	Send func(Event)
	// Delayed receives the number of Events that wait for the rate limit; may be nil.
	Delayed func(int)
	Logger  klog.Logger
	Clock   clock.Clock
}

// Reporter collects causes and reports them. It is safe for concurrent use.
type Reporter struct {
	cfg          Config
	eventLimiter flowcontrol.PassiveRateLimiter
	logLimiter   *rate.Limiter
	// lastSummary is when delayed causes were last summarized in the log. Only Run uses it.
	lastSummary time.Time
	wakeup      chan struct{}

	mu     sync.Mutex
	causes map[services.Name]*serviceCauses
	// pending holds the causes that are not logged or not sent yet.
	pending map[*cause]bool
}

// serviceCauses are the causes of one Service.
type serviceCauses struct {
	uid    types.UID
	causes map[desired.Reason]*cause
}

// cause is one Reason of one Service.
type cause struct {
	service services.Name
	uid     types.UID
	reason  desired.Reason
	policy  desired.EventPolicy
	// messages of the affected frontends.
	messages map[hnslb.FrontendKey]string
	due      time.Time
	logged   bool
	sent     bool
	// delayed: the rate limit did not allow its log line when it was due.
	delayed bool
}

// New returns a Reporter, which reports nothing before Run.
func New(cfg Config) *Reporter {
	return &Reporter{
		cfg:          cfg,
		eventLimiter: flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(float32(1/eventInterval.Seconds()), eventBurst, cfg.Clock),
		logLimiter:   rate.NewLimiter(rate.Every(logInterval), logBurst),
		wakeup:       make(chan struct{}, 1),
		causes:       map[services.Name]*serviceCauses{},
		pending:      map[*cause]bool{},
	}
}

// Set updates the causes of a frontend: why it is not programmed, the zero Note if it is, and its
// limits. If final is false, the state is transient, and earlier causes remain until the outcome is
// known.
func (r *Reporter) Set(f *desired.Frontend, why desired.Note, final bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.causes[f.Service]
	if s != nil && s.uid != f.UID {
		// Another Service with the same name: its users have not been told anything.
		r.forget(f.Service, s, func(*cause) bool { return true })
		s = nil
	}
	if why.Reason == desired.NoEndpoints && f.Local {
		why = desired.Note{} // dropping these packets is the normal behavior of policy Local
	}
	notes := f.Notes(why)
	if s == nil && len(notes) == 0 {
		return
	}
	if s == nil {
		s = &serviceCauses{f.UID, map[desired.Reason]*cause{}}
		r.causes[f.Service] = s
	}
	for _, n := range notes {
		r.note(s, f, n)
	}
	if final {
		r.forget(f.Service, s, func(c *cause) bool {
			if !slices.ContainsFunc(notes, func(n desired.Note) bool { return n.Reason == c.reason }) {
				delete(c.messages, f.Key)
			}
			return len(c.messages) == 0
		})
	}
}

// Remove removes the causes of a frontend that a Service no longer has.
func (r *Reporter) Remove(service services.Name, key hnslb.FrontendKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.causes[service]; s != nil {
		r.forget(service, s, func(c *cause) bool {
			delete(c.messages, key)
			return len(c.messages) == 0
		})
	}
}

func (r *Reporter) note(s *serviceCauses, f *desired.Frontend, n desired.Note) {
	c := s.causes[n.Reason]
	if c == nil {
		c = &cause{service: f.Service, uid: f.UID, reason: n.Reason, policy: desired.EventPolicies()[n.Reason],
			messages: map[hnslb.FrontendKey]string{}}
		c.due = r.cfg.Clock.Now().Add(max(c.policy.MinDuration, gatherDelay))
		s.causes[n.Reason] = c
		r.pending[c] = true
		select {
		case r.wakeup <- struct{}{}:
		default:
		}
	}
	c.messages[f.Key] = n.Message
}

// forget drops the causes for which gone returns true.
func (r *Reporter) forget(name services.Name, s *serviceCauses, gone func(*cause) bool) {
	for reason, c := range s.causes {
		if gone(c) {
			delete(s.causes, reason)
			delete(r.pending, c)
		}
	}
	if len(s.causes) == 0 {
		delete(r.causes, name)
	}
}

// Run reports causes until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	for r.wait(ctx, r.flush()) {
	}
}

// wait returns at a given time, or gatherDelay after a new cause was added. It returns false when
// ctx has ended. The zero time means never.
func (r *Reporter) wait(ctx context.Context, until time.Time) bool {
	var expired <-chan time.Time
	if !until.IsZero() {
		timer := r.cfg.Clock.NewTimer(until.Sub(r.cfg.Clock.Now()))
		defer timer.Stop()
		expired = timer.C()
	}
	select {
	case <-ctx.Done():
		return false
	case <-expired:
		return true
	case <-r.wakeup:
	}
	// New causes are not due earlier, and many of them are processed together.
	timer := r.cfg.Clock.NewTimer(gatherDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// flush reports what is due. It returns when to call it again, the zero time if nothing is pending.
func (r *Reporter) flush() time.Time {
	now := r.cfg.Clock.Now()
	n := r.collect(now)
	for _, e := range n.logged {
		r.cfg.Logger.Info("Service not fully programmed", "service", e.Service.String(), "type", e.Type(),
			"reason", e.Reason, "message", e.Message)
	}
	if len(n.unlogged) > 0 && now.Sub(r.lastSummary) >= summaryPause {
		r.lastSummary = now
		r.cfg.Logger.Info("More Services not fully programmed; their log lines are rate limited", "services", n.unloggedServices(),
			"reasons", n.reasons(), "seeAll", "the Events of the Services, the metric hnsproxy_frontends_limited")
	}
	for _, e := range n.sent {
		r.cfg.Send(e)
	}
	if r.cfg.Delayed != nil {
		r.cfg.Delayed(n.delayed)
	}
	return n.next
}

// report is what has to be reported at one time.
type report struct {
	// logged are Events to log, sent those to send.
	logged, sent []Event
	// unlogged are causes whose log line the rate limit delays; delayed counts the Events that it
	// delays.
	unlogged []*cause
	delayed  int
	// next is when to report again, the zero time for never.
	next time.Time
}

// collect returns what to report now.
func (r *Reporter) collect(now time.Time) report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var n report
	var due []*cause
	for c := range r.pending {
		if !now.Before(c.due) {
			due = append(due, c)
		} else {
			n.wakeAt(c.due)
		}
	}
	slices.SortFunc(due, compareCauses)
	r.log(due, now, &n)
	r.send(due, &n)
	for _, c := range due {
		if c.logged && (c.sent || r.cfg.Send == nil) {
			delete(r.pending, c)
		}
	}
	if n.delayed > 0 {
		n.wakeAt(now.Add(eventInterval))
	}
	if len(n.unlogged) > 0 {
		n.wakeAt(now.Add(logInterval))
	}
	return n
}

// log applies the rate limit of log lines, new causes first.
func (r *Reporter) log(due []*cause, now time.Time, n *report) {
	for _, old := range []bool{false, true} {
		for _, c := range due {
			if c.logged || c.delayed != old {
				continue
			}
			if old && r.logLimiter.TokensAt(now) < reservedLogBurst+1 || !r.logLimiter.AllowN(now, 1) {
				n.unlogged = append(n.unlogged, c)
				continue
			}
			c.logged = true
			n.logged = append(n.logged, c.event())
		}
	}
	for _, c := range n.unlogged {
		c.delayed = true
	}
}

// send applies the rate limit of Events.
func (r *Reporter) send(due []*cause, n *report) {
	if r.cfg.Send == nil {
		return
	}
	for _, c := range due {
		switch {
		case c.sent:
		case n.delayed == 0 && r.eventLimiter.TryAccept():
			c.sent = true
			n.sent = append(n.sent, c.event())
		default:
			n.delayed++
		}
	}
}

// wakeAt moves next forward to at if that is earlier.
func (n *report) wakeAt(at time.Time) {
	if n.next.IsZero() || at.Before(n.next) {
		n.next = at
	}
}

// unloggedServices returns the number of Services with causes that are not logged.
func (n *report) unloggedServices() int {
	names := map[services.Name]bool{}
	for _, c := range n.unlogged {
		names[c.service] = true
	}
	return len(names)
}

// reasons returns the causes that are not logged by reason, such as "HNSPortInUse=480
// NoEndpoints=3".
func (n *report) reasons() string {
	counts := map[desired.Reason]int{}
	for _, c := range n.unlogged {
		counts[c.reason]++
	}
	words := make([]string, 0, len(counts))
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%s=%d", reason, counts[reason]))
	}
	return strings.Join(words, " ")
}

// compareCauses orders warnings first, then by due time.
func compareCauses(a, b *cause) int {
	rank := func(c *cause) int {
		if c.policy.Warning {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), a.due.Compare(b.due),
		services.CompareNames(a.service, b.service), cmp.Compare(a.reason, b.reason))
}
