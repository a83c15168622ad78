// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"

	"github.com/Microsoft/hcsshim/hcn"
)

// NetworkNames lists the names of the networks in this machine's HNS. A call that HNS does not
// answer is left behind when ctx ends.
func NetworkNames(ctx context.Context) ([]string, error) {
	type answer struct {
		networks []hcn.HostComputeNetwork
		err      error
	}
	done := make(chan answer, 1)
	go func() {
		all, err := hcn.ListNetworks()
		done <- answer{all, err}
	}()
	select {
	case a := <-done:
		var names []string
		for _, n := range a.networks {
			names = append(names, n.Name)
		}
		return names, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
