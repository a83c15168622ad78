// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

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
	b := adopted(t, count, backends)
	b.Audit()
	b.answer(b.ready())
	b.list(b.ready().Look)
	const least = count * (backends + 1) / piece
	steps, pending := 0, 0
	for more := true; more; steps++ {
		changed := steps%10 == 0
		if changed {
			pending++
			name, vip := fmt.Sprint("new", pending), fmt.Sprintf("10.97.0.%d", pending)
			b.SetServices([]services.Input{service(name, vip, "11.0.0.1")})
		}
		r := b.Ready(b.clock)
		more = r.More
		if begun := callTexts(r.Calls); changed && !slices.Equal(begun, []string{fmt.Sprintf("CreateLoadBalancer 10.97.0.%d:80/TCP", pending)}) {
			t.Fatalf("step %d: a change came, and these were begun: %v", steps, begun)
		}
		b.answer(r)
	}
	if steps < least {
		t.Errorf("%d objects were taken in in %d steps, want %d at least", len(b.eps)+len(b.lbs), steps, least)
	}
}
