// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Faults are things that go wrong with HNS, each from a report. They can be switched at
// any time with SetFaults; the zero value is a machine on which nothing goes wrong beyond
// the quirks of its release. What others do to HNS is on the host side: ReplaceNetwork,
// SetManagementIP, DeleteBehind, BreakDataPath, Restart.
type Faults struct {
	// DeleteFailsOnce: the first delete of each load balancer fails and changes nothing;
	// the second works. Server 2019 [A: k8s issue 113524]. The code is not known; the
	// emulator says 0x80004005.
	DeleteFailsOnce bool

	// EndpointDeleteLies: the delete of a remote endpoint succeeds and the endpoint stays
	// [B: Windows-Containers issue 631].
	EndpointDeleteLies bool

	// LeakPorts: a deleted load balancer leaves its port reserved, so that an equal one
	// is refused with 0x803b0013. Server 2019, 17763.8146 [B: k8s PR 137530]. Leaked
	// ports stay after the fault is switched off, until ReleaseLeakedPorts.
	LeakPorts bool

	// HalfMade: a create that fails, for whatever reason, leaves a load balancer without
	// port mappings behind [A: k8s issue 141488].
	HalfMade bool

	// VanishDuringList: the next list loses this many objects between being enumerated
	// and being opened: someone else deletes them [A: hnslib]. It counts down.
	VanishDuringList int

	// NoDataPath: load balancers that are created get no rules in VFP: the object is
	// there and carries nothing [A: networkhealth.ps1]. Deleting and creating it again,
	// with the fault off, or a restart of HNS mends it.
	NoDataPath bool

	// ModifyLies: modify says yes and changes nothing, as Quirks.ModifyLies does always.
	ModifyLies bool

	// NoAdapter: an overlay network finds no adapter, 0x803b0006 [A: hnslib tests].
	NoAdapter bool

	// DeafHangs: a call that hangs, see Hang, does not end when its context does, as a call
	// into HNS does not [A: docs/hns.md, The C API]. A driver
	// in front has to leave it behind, as hnslb.WithTimeout does.
	DeafHangs bool

	// StoppedCode is what calls get while HNS is stopped; 0 means 0x800706ba. 0x800706b5 comes
	// where the RPC runtime is there and HNS has not registered its interface with it
	// [A: k8s PR 139503].
	StoppedCode hnslb.HRESULT

	// WritesTake is how much longer than Latency.Write each write takes, one at a time as
	// always: a call took 30 s on a busy Server 2019 [B: k8s issue 109162].
	WritesTake time.Duration

	// ListsTake is how much longer than Latency.Read the two lists take: 500 endpoints took
	// 0.7 s through V2, and a busy HNS answers later still [C].
	ListsTake time.Duration

	// ListsShowStart: a slow list shows what there was when it began, not when it ended. V1
	// takes one picture, V2 opens one object after the other: either can be [?].
	ListsShowStart bool
}
