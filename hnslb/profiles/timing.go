// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Timing is how long one verb takes while HNS holds that many objects, as it was measured
// on a machine.
type Timing struct {
	Verb hnslb.Verb
	// Objects counts the endpoints or the load balancers, whichever are more.
	Objects int
	// Median of the calls, and what one in a hundred exceeds.
	Median, P99 time.Duration
}

// timingJSON is a Timing with durations as people write them.
type timingJSON struct {
	Verb        hnslb.Verb
	Objects     int
	Median, P99 string
}

// MarshalJSON writes durations as "8ms".
func (t Timing) MarshalJSON() ([]byte, error) {
	return json.Marshal(timingJSON{t.Verb, t.Objects, t.Median.String(), t.P99.String()})
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses fields that it does not know.
func (t *Timing) UnmarshalJSON(body []byte) error {
	var in timingJSON
	if err := strictJSON(body, &in); err != nil {
		return err
	}
	out := Timing{Verb: in.Verb, Objects: in.Objects}
	for _, d := range []struct {
		text string
		into *time.Duration
	}{{in.Median, &out.Median}, {in.P99, &out.P99}} {
		var err error
		if *d.into, err = time.ParseDuration(d.text); err != nil {
			return fmt.Errorf("timing of %s: %w", in.Verb, err)
		}
	}
	*t = out
	return nil
}
