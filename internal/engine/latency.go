// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/sets"
)

// latencyTracker measure how long endpoint changes take until they are in force: from the time
// that the endpoint controller wrote into the slice, to the moment the last frontend that
// the change concerns is written.
type latencyTracker map[services.Name]*pendingChange

// maxTriggers bounds how many changes of one Service are measured together: while HNS is
// away, nobody counts how many come.
const maxTriggers = 1000

type pendingChange struct {
	triggers []time.Time
	// pending are the frontends not written yet.
	pending sets.Set[hnslb.FrontendKey]
}

// start notes the changes that an input brought. changed are the frontends that differ by
// it; now are all frontends that the Service has.
func (ls latencyTracker) start(in services.Input, changed []hnslb.FrontendKey, now []*desired.Frontend) {
	has := make(sets.Set[hnslb.FrontendKey], len(now))
	for _, f := range now {
		has.Insert(f.Key)
	}
	l := ls[in.Name]
	if l == nil {
		l = &pendingChange{pending: sets.New[hnslb.FrontendKey]()}
	}
	l.triggers = append(l.triggers, in.Triggers...)
	if more := len(l.triggers) - maxTriggers; more > 0 {
		l.triggers = l.triggers[more:]
	}
	l.pending = l.pending.Insert(changed...).Intersection(has)
	if len(l.triggers) == 0 || len(l.pending) == 0 {
		delete(ls, in.Name)
		return
	}
	ls[in.Name] = l
}

// programmed notes that a frontend is in force and returns the latencies that this completes.
func (ls latencyTracker) programmed(name services.Name, key hnslb.FrontendKey, now time.Time) []time.Duration {
	l := ls[name]
	if l == nil {
		return nil
	}
	if l.pending.Delete(key); len(l.pending) > 0 {
		return nil
	}
	delete(ls, name)
	out := make([]time.Duration, 0, len(l.triggers))
	for _, t := range l.triggers {
		out = append(out, now.Sub(t))
	}
	return out
}
