// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	// pollInterval is how often HNS is read while something is missing.
	pollInterval = 2 * time.Second
	// sourceVIPTimeout is how long the first search for the source VIP may delay the start.
	sourceVIPTimeout = 5 * time.Second
	// pollLogInterval is how often it is logged that something is missing.
	pollLogInterval = time.Minute
)

// sourceVIPFound ends a run without source VIP, so that the next one uses it.
type sourceVIPFound struct{ ip netip.Addr }

// Error implements error.
func (f *sourceVIPFound) Error() string { return "the source VIP is " + f.ip.String() }

// networkNames returns a function that lists the networks of the HNS, nil if that is not supported.
func (p *program) networkNames() func(context.Context) ([]string, error) {
	lister, ok := p.deps.Driver.(interface {
		NetworkNames(ctx context.Context) ([]string, error)
	})
	switch {
	case ok:
		return lister.NetworkNames
	case p.deps.Driver != nil || p.emulation != nil:
		return nil // the name must be configured
	}
	return hcnNetworkNames
}

// findNetwork waits until the network is known, and searches for the source VIP once. complete is
// false if a source VIP is needed and was not found; ok is false if ctx ended. Everything else runs
// meanwhile, since a pod that is yet to be started may create the network.
func (p *program) findNetwork(ctx context.Context) (complete, ok bool) {
	if p.opts.Network == "" {
		f := place.Finder{Driver: hnslb.WithTimeout(p.loggedDriver, p.opts.HNSCallTimeout), Names: p.networkNames()}
		found := p.poll(ctx, "Waiting for the HNS network of the pods", "set --network-name", func(ctx context.Context) (bool, error) {
			ctx, stop := context.WithTimeout(ctx, p.opts.HNSCallTimeout)
			defer stop()
			n, err := f.Network(ctx)
			p.opts.Network = n.Name
			return err == nil, err
		})
		if !found {
			return false, false
		}
		p.logger.Info("Found the HNS network of the pods", "network", p.opts.Network)
	}
	p.watch.Network = p.opts.Network
	vip, needed := p.opts.VIP(), false
	if !vip.IsValid() {
		brief, stop := context.WithTimeout(ctx, sourceVIPTimeout)
		defer stop()
		vip, needed, _ = p.lookForVIP(brief) // on failure, awaitSourceVIP logs the error
	}
	p.proxier.SetNetwork(p.opts.Network, vip)
	return vip.IsValid() || !needed, true
}

// lookForVIP searches HNS once for the source VIP. needed is false if the network needs none.
func (p *program) lookForVIP(ctx context.Context) (vip netip.Addr, needed bool, err error) {
	d := hnslb.WithTimeout(p.loggedDriver, p.opts.HNSCallTimeout)
	n, err := d.Network(ctx, p.opts.Network)
	if err != nil {
		return vip, true, err
	}
	if !n.IsOverlay() {
		return vip, false, nil
	}
	endpoints, err := d.Endpoints(ctx)
	if err != nil {
		return vip, true, err
	}
	if vip, err = place.SourceVIP(n, endpoints); vip.IsValid() {
		p.logger.Info("Found the source VIP", "network", n.Name, "sourceVIP", vip)
	}
	return vip, true, err
}

// awaitSourceVIP waits until the endpoint of the source VIP exists. It returns the zero Addr if
// none is needed or ctx ended.
func (p *program) awaitSourceVIP(ctx context.Context) netip.Addr {
	var vip netip.Addr
	p.poll(ctx, "Waiting for the source VIP, required on an overlay network",
		"set --source-vip, or wait for the network plugin to create an endpoint named Calico_ep, VIPEndpoint, source_vip or NETWORK_ep",
		func(ctx context.Context) (bool, error) {
			found, needed, err := p.lookForVIP(ctx)
			vip = found
			return !needed || found.IsValid(), err
		})
	return vip
}

// poll calls ask until it returns true, and logs each minute what it waits for.
func (p *program) poll(ctx context.Context, what, remedy string, ask func(context.Context) (bool, error)) bool {
	ticker := p.deps.Clock.NewTicker(pollInterval)
	defer ticker.Stop()
	var lastLogged time.Time
	for {
		ok, err := ask(ctx)
		if ok || ctx.Err() != nil {
			return ok
		}
		switch now := p.deps.Clock.Now(); {
		case lastLogged.IsZero():
			lastLogged = now
			p.logger.Info(what, "network", p.opts.Network, "err", err)
		case now.Sub(lastLogged) >= pollLogInterval:
			lastLogged = now
			p.logger.Error(err, what, "network", p.opts.Network, "remedy", remedy)
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C():
		}
	}
}
