// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// fact is one thing that the probe finds out. A new one is an entry in facts and nothing else.
type fact struct {
	// name says what is found out, in a few words.
	name string
	// row begins the first cell of the row in quirks.md that the fact belongs to; empty
	// where there is none, as for the codes of refusals that are plain.
	row string
	// doc is what our documents say. Where it is empty the emulator, which does what they
	// say, was asked, see documented.
	doc string
	// find finds it out. It is called until two calls agree.
	find func(ctx context.Context, b *bench) (string, error)
	// sets names the switch of profiles.Profile that the fact decides, and set sets it; nil
	// for none.
	sets string
	set  func(p *profiles.Profile, found string)
	// large facts need many objects; they come last.
	large bool
}

// tries is how often a fact, or a call that only prepares one, is tried.
const tries = 4

// errNoAgreement: HNS did not do the same twice.
var errNoAgreement = errors.New("results are not reproducible")

// determine finds a fact out: what two tries say is believed.
func (f fact) determine(ctx context.Context, b *bench) (string, error) {
	var seen []string
	var last error
	for range tries {
		found, err := f.find(ctx, b)
		if _, final := errors.AsType[*unknownError](err); final {
			return "", err
		}
		switch {
		case ctx.Err() != nil:
			return "", unknown("the probe was stopped")
		case err != nil:
			last = err
		case slices.Contains(seen, found):
			return found, nil
		default:
			seen = append(seen, found)
		}
	}
	if len(seen) > 0 {
		return "", fmt.Errorf("%w: %s", errNoAgreement, strings.Join(seen, ", "))
	}
	return "", last
}

// facts lists what the probe finds out, in the order of quirks.md.
func facts() []fact {
	return slices.Concat(callFacts(), viewFacts(), modifyFacts(), echoFacts(), refusalFacts(), frontendFacts(), paceFacts(), limitFacts())
}

// codeOf returns the code that a verdict holds, 0 if it is none.
func codeOf(found string) hnslb.HRESULT {
	var code hnslb.HRESULT
	if err := code.UnmarshalText([]byte(found)); err != nil {
		return 0
	}
	return code
}

// unreachable is what the probe cannot find out.
type unreachable struct {
	// row begins the first cell of rows in quirks.md, or a section of it with "## ".
	row string
	// switches of profiles.Profile that stay as our documents have them.
	switches []string
	why      string
}

// outOfReach lists what a client of HNS with scratch objects cannot see, with the reason.
func outOfReach() []unreachable {
	const restart = "it would take a restart of HNS"
	const network = "it would take a network of its own"
	const pod = "it would take a pod on this node"
	const trouble = "it happens when HNS is in trouble, which cannot be brought about"
	return []unreachable{
		{"## Where packets go", []string{
			"Quirks.HostReachesVIPs", "Quirks.VIPNeedsEndpoint", "Quirks.NodePortWithoutPods", "Quirks.UDPFlowsStay", "Quirks.SourceVIPFirst",
			"Quirks.ShowsDegraded", "Faults.NoDataPath",
		}, "it shows in packets only"},
		{"## What becomes of HNS", []string{
			"Quirks.RestoredTwinCode", "Quirks.NoNotifications", "Quirks.StopUntold", "Faults.StoppedCode",
		}, restart},
		{"Every few calls the service dies", nil, trouble},
		{"The answer is lost", nil, trouble},
		{"An object vanishes between", []string{"Faults.VanishDuringList"}, trouble},
		{"A call hangs and cannot be taken back", []string{"Quirks.AbandonedWritesLost", "Faults.DeafHangs"}, trouble},
		{"A document may choose its ID", nil, "the driver leaves the choice to HNS"},
		{"Backend without its switch port", nil, pod},
		{"Local endpoint outside the subnets", nil, pod},
		{"A remote endpoint keeps the local one", []string{"Quirks.LocalRefusedByRemote"}, pod},
		{"A local and a remote endpoint share", nil, pod},
		{"Endpoints of several networks", nil, network},
		{"An overlay network finds no adapter", []string{"Faults.NoAdapter"}, network},
		{"Load balancers of a deleted network stay", nil, network},
		{"They cannot be deleted any more", []string{"Quirks.OrphanDeleteFails"}, network},
		{"A VIP of zeroes", nil, "it would take over the traffic of the node"},
		{"A list takes seconds", []string{"Faults.ListsTake", "Faults.ListsShowStart"},
			"only how long lists take is measured; what they show of a change meanwhile is a matter of luck"},
		{"A write takes 30 s", []string{"Faults.WritesTake"}, "it is in the timings"},
		{"", []string{"Faults.ModifyLies"}, "it is Quirks.ModifyLies, switched at run time"},
	}
}
