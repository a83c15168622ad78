// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// diagnosis is what the commands of package diagnose take from here.
func diagnosis() diagnose.Host {
	return diagnose.Host{
		Environment: thisHost(),
		Help:        func(cmd *cobra.Command, sets *options.FlagSets) { setHelp(cmd, sets) },
		Write:       writeDocument,
		Confirm:     confirm,
		Terminal: func(w io.Writer) (int, bool) {
			width, _, ok := terminalSize(w)
			return width, ok
		},
		HNS:     openHNS,
		API:     restConfig,
		Version: func() string { return userAgent() },
		Now:     time.Now,
	}
}

// openHNS opens the HNS of this machine, or the one in the file of --hns-emulator-state.
func openHNS(ctx context.Context, o *Options) (diagnose.HNS, error) {
	if o.HNS == HCN {
		d, err := newHCN(klog.FromContext(ctx))
		if err != nil {
			return diagnose.HNS{}, err
		}
		return diagnose.HNS{Driver: hnslb.WithTimeout(d, o.HNSCallTimeout), Names: hcnNetworkNames, Build: windowsBuild()}, nil
	}
	e, err := newEmulator(o.Emulated, clock.RealClock{})
	if err != nil {
		return diagnose.HNS{}, err
	}
	if o.Emulated.State == "" {
		if _, err := e.AddNetwork(demoNetwork(o.Network, o.Emulated.NetworkType, nil)); err != nil {
			return diagnose.HNS{}, fmt.Errorf("make a network: %w", err)
		}
	}
	return diagnose.HNS{
		Driver: e,
		Names: func(context.Context) ([]string, error) {
			var names []string
			for _, n := range e.State().Networks {
				names = append(names, n.Name)
			}
			return names, nil
		},
		Save: func() error {
			if o.Emulated.State == "" {
				return nil
			}
			return e.SaveFile(o.Emulated.State)
		},
	}, nil
}
