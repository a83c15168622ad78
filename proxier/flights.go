// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/sets"
)

// flights measure how long endpoint changes take until they are in force: from the time
// that the endpoint controller wrote into the slice, to the moment the last frontend that
// the change concerns is written.
type flights map[services.Name]*flight

type flight struct {
	triggers []time.Time
	// left are the frontends not written yet.
	left sets.Set[hnslb.FrontendKey]
}

// start notes the changes that an input brought. changed are the frontends that differ by
// it; now are all frontends that the Service has.
func (fs flights) start(in services.Input, changed []hnslb.FrontendKey, now []*desired.Frontend) {
	has := make(sets.Set[hnslb.FrontendKey], len(now))
	for _, f := range now {
		has.Insert(f.Key)
	}
	fl := fs[in.Name]
	if fl == nil {
		fl = &flight{left: sets.New[hnslb.FrontendKey]()}
	}
	fl.triggers = append(fl.triggers, in.Triggers...)
	fl.left = fl.left.Insert(changed...).Intersection(has)
	if len(fl.triggers) == 0 || len(fl.left) == 0 {
		delete(fs, in.Name)
		return
	}
	fs[in.Name] = fl
}

// land notes that a frontend is in force and returns the latencies that this completes.
func (fs flights) land(name services.Name, key hnslb.FrontendKey, now time.Time) []time.Duration {
	fl := fs[name]
	if fl == nil {
		return nil
	}
	if fl.left.Delete(key); len(fl.left) > 0 {
		return nil
	}
	delete(fs, name)
	out := make([]time.Duration, 0, len(fl.triggers))
	for _, t := range fl.triggers {
		out = append(out, now.Sub(t))
	}
	return out
}
