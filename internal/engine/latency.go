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

// latencyTracker measures how long endpoint changes take: from the time at which the endpoint
// controller recorded the change in the EndpointSlice, until the last affected frontend is
// programmed.
type latencyTracker map[services.Name]*pendingChange

// maxTriggers limits how many changes of one Service are measured together, since changes can pile
// up without limit while HNS is unavailable.
const maxTriggers = 1000

type pendingChange struct {
	triggers []time.Time
	// pending holds the frontends not programmed yet.
	pending sets.Set[hnslb.FrontendKey]
}

// start records the changes of an input. changed are the frontends that differ; now are all
// frontends of the Service.
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

// programmed records that a frontend is programmed and returns the latencies of the changes that
// this completes.
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
