// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// diagnosis returns what the commands of package diagnose need from this package.
func diagnosis(emulate Emulate) diagnose.Host {
	return diagnose.Host{
		Environment: thisHost(),
		Help:        func(cmd *cobra.Command, sets *options.FlagSets) { setHelp(cmd, sets) },
		Write:       writeDocument,
		Confirm:     confirm,
		Terminal: func(w io.Writer) (int, bool) {
			width, _, ok := table.TerminalSize(w)
			return width, ok
		},
		HNS: func(ctx context.Context, o *Options) (diagnose.HNS, error) {
			return openHNS(ctx, o, emulate)
		},
		API:     restConfig,
		Version: func() string { return userAgent() },
		Now:     time.Now,
	}
}

// openHNS opens the HNS of this machine, or the one in the file of --hns-emulator-state.
func openHNS(ctx context.Context, o *Options, emulate Emulate) (diagnose.HNS, error) {
	if o.HNS == HCN {
		d, err := newHCN(klog.FromContext(ctx))
		if err != nil {
			return diagnose.HNS{}, err
		}
		return diagnose.HNS{Driver: hnslb.WithTimeout(d, o.HNSCallTimeout), Names: hcnNetworkNames, Build: windowsBuild()}, nil
	}
	e, err := emulate.make(o, klog.FromContext(ctx), clock.RealClock{})
	if err != nil {
		return diagnose.HNS{}, err
	}
	if o.Emulated.State == "" {
		if err := e.Prepare(nil); err != nil {
			return diagnose.HNS{}, fmt.Errorf("make a network: %w", err)
		}
	}
	return diagnose.HNS{Driver: e.Driver(), Names: networksOf(e.Driver()), Save: e.Save}, nil
}

// networksOf returns the names of the existing networks, from the error for one that does not
// exist.
func networksOf(d hnslb.Driver) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		_, err := d.Network(ctx, "")
		missing, ok := errors.AsType[*hnslb.NetworkNotFound](err)
		if !ok {
			return nil, err
		}
		names := make([]string, 0, len(missing.Existing))
		for _, n := range missing.Existing {
			names = append(names, n.Name)
		}
		return names, nil
	}
}
