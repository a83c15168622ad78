// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// restAfterTimeout is how many heartbeats do not ask HNS after a call without an answer: such
// a call cannot be taken back and holds a thread, and whoever has work to do asks anyway.
const restAfterTimeout = 10

// restWhileTold is how many heartbeats do not ask HNS while it tells of its changes. What it
// does not tell is then noticed by the process of its service, or, where that is not known,
// within 15 seconds.
const restWhileTold = 9

// heartbeat asks for what HNS may not tell.
type heartbeat struct {
	*watch
	// querier is nil where the service's process is not known.
	querier hnslb.ServiceQuerier
	// process and network are the last answers; network is empty when there is none.
	process                   uint32
	network                   hnslb.ID
	processKnown, networkSeen bool
	// rest counts the heartbeats that do not ask HNS.
	rest int
}

func (h *heartbeat) run(ctx context.Context) {
	ticker := h.Clock.NewTicker(Period)
	defer ticker.Stop()
	h.askProcess(ctx) // what it was at the start; HNS has other work then
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		h.askProcess(ctx)
		h.askNetwork(ctx)
	}
}

func (h *heartbeat) askProcess(ctx context.Context) {
	if h.querier == nil {
		return
	}
	process, err := h.querier.ServiceProcess(ctx)
	if err != nil {
		if hnslb.ErrorClass(err) == hnslb.Unsupported {
			h.Logger.V(2).Info("HNS process ID unknown; detecting restarts by other means", "reason", err.Error())
			h.querier = nil
		}
		return
	}
	before, known := h.process, h.processKnown
	h.process, h.processKnown = process, true
	switch {
	case !known || process == before:
	case process == 0:
		h.gone()
	default:
		h.restarted()
		h.watchAnew()
	}
}

func (h *heartbeat) askNetwork(ctx context.Context) {
	if h.rest > 0 {
		h.rest--
		return
	}
	if h.told() {
		h.rest = restWhileTold
	}
	n, err := h.Driver.Network(ctx, h.Network)
	if ctx.Err() != nil {
		return
	}
	switch hnslb.ErrorClass(err) {
	case "", hnslb.NotFound:
		h.answered(n.ID)
	case hnslb.Timeout:
		h.rest = restAfterTimeout
		h.gone()
	case hnslb.Unavailable:
		h.gone()
	default: // an answer that says nothing about the service or the network
	}
}

// answered notes which network there is, "" for none.
func (h *heartbeat) answered(id hnslb.ID) {
	if h.came() {
		h.watchAnew()
	}
	if !h.networkSeen || h.network != id {
		h.network, h.networkSeen = id, true
		h.networks()
	}
}
