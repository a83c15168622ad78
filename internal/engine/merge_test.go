// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// adopted is a bench at rest whose HNS held these Services from the start: each has as many
// backends.
func adopted(t *testing.T, count, backends int) *bench {
	t.Helper()
	b := newBench(t)
	inputs := make([]services.Input, 0, count)
	for i := range count {
		var ips []string
		var ids []hnslb.ID
		for j := range backends {
			ip := fmt.Sprintf("11.%d.%d.%d", i>>8, i&255, j+1)
			b.eps = append(b.eps, remote(ip))
			ips, ids = append(ips, ip), append(ids, b.eps[len(b.eps)-1].ID)
		}
		vip := fmt.Sprintf("10.96.%d.%d", i>>8, i&255)
		inputs = append(inputs, service(fmt.Sprint("s", i), vip, ips...))
		b.lbs = append(b.lbs, balancer("lb"+vip, vip, ids...))
	}
	b.run(0)
	b.SetServices(inputs)
	b.run(time.Second)
	if len(b.log) > 0 {
		t.Fatalf("not adopted: %d calls, first %s", len(b.log), b.log[0])
	}
	b.clear()
	return b
}

// TestAuditInPieces: what an audit lists is taken in piece by piece, and a change that comes
// meanwhile does not wait for the rest.
func TestAuditInPieces(t *testing.T) {
	const count, backends = 1000, 15
	const taken, checked = 512, 64 // objects in one step
	b := adopted(t, count, backends)
	b.Audit()
	b.answer(b.ready())
	b.list(b.ready().List)
	taking, checking, pending := 0, 0, 0
	for step := 0; b.listing.merge != nil || len(b.listing.check) > 0; step++ {
		if b.listing.merge != nil {
			taking++
		} else {
			checking++
		}
		var want []string
		if step%10 == 0 {
			pending++
			vip := fmt.Sprintf("10.97.0.%d", pending)
			b.SetServices([]services.Input{service(fmt.Sprint("new", pending), vip, "11.0.0.1")})
			want = append(want, "CreateLoadBalancer "+vip+":80/TCP")
		}
		r := b.Ready(b.clock)
		if diff := cmp.Diff(want, callTexts(r.Calls)); diff != "" {
			t.Fatalf("step %d: calls (-want +got):\n%s", step, diff)
		}
		b.answer(r)
	}
	if least := count * (backends + 1) / taken; taking < least || checking < count/checked {
		t.Errorf("taken in in %d steps and checked in %d, want %d and %d at least", taking, checking, least, count/checked)
	}
}
