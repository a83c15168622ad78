// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/engine"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// syncWrites is the number of writes that count as one sync in kube-proxy's metrics. Under constant
// change, a sync that ends when all work is done would never end.
const syncWrites = 16

// reporter publishes transitions to the table, Events, metrics, logs and health checks.
type reporter struct {
	*Proxier
	// syncStart is when the sync in progress began, the zero time for none. writesByFamily counts
	// its writes.
	syncStart      time.Time
	writesByFamily map[hnslb.Family]int
	writes         int
	// failedFamilies are the families whose last sync failed.
	failedFamilies map[hnslb.Family]bool
	synced         bool
	deletions      deletionDetector
}

func newReporter(p *Proxier) *reporter {
	return &reporter{Proxier: p, writesByFamily: map[hnslb.Family]int{}, failedFamilies: map[hnslb.Family]bool{}}
}

// publish publishes transitions.
func (r *reporter) publish(ts []engine.Transition) {
	for _, t := range ts {
		r.publishOne(t)
	}
	r.reportDeletions()
	n := 0
	for _, count := range r.writesByFamily {
		n += count
	}
	if n >= syncWrites {
		r.endSync(false)
	}
	r.cfg.Metrics.Pending(r.engine.Pending())
	r.updateHealth()
}

// publishOne publishes a transition of a frontend, and passes others on.
func (r *reporter) publishOne(t engine.Transition) {
	now := r.cfg.Clock.Now()
	switch t := t.(type) {
	case engine.FrontendStatus:
		r.events.Set(t.Frontend, t.Note, !transient(t))
		if logged, changed := r.table.set(t, now); changed {
			r.logStatus(t, logged)
		}
	case engine.FrontendChanged:
		r.table.refresh(t.Frontend)
	case engine.FrontendGone:
		logged := r.table.remove(t.Service, t.Key)
		r.events.Remove(t.Service, t.Key)
		if log := r.cfg.Logger.V(2); log.Enabled() {
			log.Info("Frontend gone", "frontend", t.Key.String(), "service", t.Service.String(), "backends", backendsText(logged, nil))
		}
	case engine.ChangeProgrammed:
		r.cfg.Metrics.NetworkProgrammed(t.Family, t.After)
	case engine.Queued:
		r.cfg.Metrics.SyncQueued(t.Family, now)
		if r.syncStart.IsZero() {
			r.syncStart = now
		}
	case engine.Written:
		r.writesByFamily[t.Family]++
		r.writes++
	case engine.LoadBalancerFailed:
		r.cfg.Metrics.LoadBalancerFailed(t.Verb, t.Family, metrics.LBType(t.Kind.String()), t.Err)
	default:
		r.publishHNS(t)
	}
}

// logStatus logs the state of a frontend, and its previous and current backends.
func (r *reporter) logStatus(t engine.FrontendStatus, logged *desired.Frontend) {
	level := 2
	if transient(t) {
		level = 4
	}
	if log := r.cfg.Logger.V(level); log.Enabled() {
		line := []any{"frontend", t.Frontend.Key.String(), "service", t.Frontend.Service.String(),
			"kind", t.Frontend.Kind.String(), "state", t.State, "backends", backendsText(logged, t.Frontend)}
		if t.Note.Reason != "" {
			line = append(line, "reason", t.Note.Reason, "message", t.Note.Message)
		}
		log.Info("Frontend", line...)
	}
}

// reportDeletions logs that most frontends were deleted.
func (r *reporter) reportDeletions() {
	if gone, of := r.deletions.count(r.table.size(), r.cfg.Clock.Now()); gone > 0 {
		r.cfg.Logger.Info("More than half of all frontends were deleted", "deleted", gone, "of", of,
			"remedy", "if this was not intended, find out what deleted the Services; connections to them fail until they are restored")
	}
}

// publishHNS logs transitions of HNS.
func (r *reporter) publishHNS(t engine.Transition) {
	log := r.cfg.Logger
	switch t := t.(type) {
	case engine.Retrying:
		log.V(2).Info("Retrying", "object", t.Object, "err", t.Err, "at", t.At)
	case engine.Hanging:
		log.Error(nil, "HNS call has not returned; its object is on hold until it does", "object", t.Object, "call", t.Verb, "for", t.For)
	case engine.Drifted:
		r.cfg.Metrics.DriftFound(metrics.Frontend, t.Frontends)
		r.cfg.Metrics.DriftFound(metrics.Endpoint, t.Endpoints)
		log.Info("HNS objects were changed outside hnsproxy; repairing", "frontends", t.Frontends, "endpoints", t.Endpoints)
	case engine.DeletionsUndone:
		r.deletionsUndone(t)
	case engine.HNSFound:
		f := t.Features
		log.Info("HNS found", "version", f.Version.String(), "dsr", f.DSR,
			"sessionAffinity", f.SessionAffinity, "ipv6", f.IPv6, "modify", f.Modify)
	case engine.HNSLost:
		r.hnsLost(t)
	case engine.ListFailed:
		log.Error(t.Err, "Listing HNS objects failed; retrying")
	case engine.EndpointLimitLearned:
		log.Info("HNS supports fewer endpoints per load balancer than later versions", "endpoints", t.MaxEndpoints)
	case engine.ModifyIncomplete:
		log.Info("HNS can update the endpoints of a load balancer in place, but not its internal port or source VIP; "+
			"load balancers that need a change of those are deleted and re-created", "frontend", t.Key.String())
	case engine.ModifyFailed:
		log.Error(t.Err, "HNS cannot update load balancers in place; deleting and re-creating them for now", "until", t.Until)
	default:
		r.publishNetwork(t)
	}
}

// reasonNotDeleted is the reason of the Node Event for deletions that did not take effect.
const reasonNotDeleted = "HNSKeepsDeletedObjects"

// deletionsUndone reports that HNS did not delete objects that it reported as deleted. No Service
// uses them any more, so the Event is about the Node.
func (r *reporter) deletionsUndone(t engine.DeletionsUndone) {
	r.cfg.Logger.Error(nil, "HNS reported objects as deleted but still lists them; retrying with backoff", "objects", t.Objects)
	if r.cfg.SendNodeEvent != nil {
		r.cfg.SendNodeEvent(reasonNotDeleted, "HNS reported endpoints or load balancers as deleted but still lists them; "+
			"hnsproxy retries with backoff; restart the hns service if their number grows")
	}
}

// publishNetwork logs transitions of the node and its network.
func (r *reporter) publishNetwork(t engine.Transition) {
	log := r.cfg.Logger
	switch t := t.(type) {
	case engine.NetworkFound:
		n := t.Network
		r.reportSourceVIP(n)
		log.Info("HNS network found", "network", n.Name, "id", n.ID, "type", n.Type, "managementIP", addrOrNone(n.ManagementIP))
		if strings.EqualFold(n.Type, "Transparent") {
			log.Error(nil, "HNS network is of type Transparent; treating it as L2Bridge, as kube-proxy does; this is little tested",
				"network", n.Name, "remedy", "use a network plugin that creates an L2Bridge or Overlay network")
		}
	case engine.NetworkIncomplete:
		log.Error(nil, "HNS network not ready; existing rules left in place", "network", t.Network.Name,
			"why", t.Missing, "since", t.Since, "remedy", "waiting for the network plugin and Windows; check the network adapters of the host")
	case engine.NetworkComplete:
		log.Info("HNS network ready", "network", t.Network.Name, "address", addrOrNone(t.Host.IP), "mac", t.Host.MAC)
	case engine.HostFound:
		r.hostFound(t)
	case engine.NodeChanged:
		log.Info("Node changed", "node", t.To.Name, "addresses", t.To.IPs, "before", t.From.IPs, "zone", t.To.Zone, "zoneBefore", t.From.Zone)
	case engine.RoutesMissing:
		log.Error(nil, "HNS network has no route to endpoints on other nodes; using this node's own address as provider address until routes are added",
			"network", r.cfg.Network, "endpoints", len(t.IPs), "first", t.IPs[0],
			"remedy", "the network plugin adds a RemoteSubnetRoute for each node; host-network pods on nodes outside the overlay do not need one")
	}
}

// hostFound logs the address of the node, and warns if the Node and the network disagree about it,
// since then another component is configured for only one of them.
func (r *reporter) hostFound(t engine.HostFound) {
	log, management := r.cfg.Logger, t.Network.ManagementIP
	log.Info("Address of this node", "address", t.Host.IP, "mac", t.Host.MAC, "node", t.Node, "managementIP", addrOrNone(management))
	if !management.IsValid() || len(t.Node) == 0 || slices.Contains(t.Node, management) {
		return
	}
	log.Error(nil, "Node address is not the management IP of the HNS network; node ports are served on the management IP only",
		"node", t.Node, "managementIP", management, "used", t.Host.IP,
		"remedy", "set --bind-address and the kubelet's --node-ip to the address of the adapter that the network uses")
}

// addrOrNone formats an address, or "none".
func addrOrNone(ip netip.Addr) string {
	if !ip.IsValid() {
		return "none"
	}
	return ip.String()
}

// reportSourceVIP logs that the configured source VIP is ignored, if it is.
func (r *reporter) reportSourceVIP(n hnslb.Network) {
	if o := r.cfg.Options; o.SourceVIP.IsValid() && !n.IsOverlay() && o.BridgeSource != desired.BridgeGiven {
		r.cfg.Logger.Info("Source VIP ignored: the network is not an overlay (same as kube-proxy)",
			"network", n.Name, "type", n.Type, "sourceVIP", o.SourceVIP, "remedy", "to use it, set --hns-bridge-source-vip=source-vip")
	}
}

// hnsLost logs that HNS or its network is not available.
func (r *reporter) hnsLost(t engine.HNSLost) {
	r.endSync(true)
	what, remedy := "HNS request failed", "see the error; restart the hns service if it persists"
	_, missing := errors.AsType[*hnslb.NetworkNotFound](t.Err)
	switch {
	case missing:
		what, remedy = "HNS network not found", "waiting for the network plugin to create it; check --network-name"
	case hnslb.ErrorClass(t.Err) == hnslb.Unsupported:
		what, remedy = "HNS network does not support Services", "set --network-name to the L2Bridge or Overlay network of the pods"
	case hnslb.OutcomeUnknown(t.Err):
		what, remedy = "HNS unavailable", "check that the hns service is running"
	}
	r.cfg.Logger.Error(t.Err, what+"; existing rules left in place", "network", r.cfg.Network, "since", t.Since, "remedy", remedy)
}

// endSync records the sync in progress in the metrics.
func (r *reporter) endSync(failed bool) {
	now := r.cfg.Clock.Now()
	for f := range r.writesByFamily {
		if r.failedFamilies[f] = failed; failed {
			r.cfg.Metrics.SyncFailed(f, r.syncStart, now)
		} else {
			r.cfg.Metrics.SyncDone(f, r.syncStart, now)
		}
	}
	clear(r.writesByFamily)
	r.syncStart = time.Time{}
	r.cfg.Metrics.RemoteEndpoints(r.engine.OwnEndpoints())
}

// reportConverged records the end of a sync when all work is done, and logs the first one.
func (r *reporter) reportConverged() {
	if !r.engine.Converged() {
		return
	}
	now := r.cfg.Clock.Now()
	if !r.synced {
		// The first sync counts even if HNS already held everything.
		for _, f := range r.engine.Families() {
			r.failedFamilies[f] = true
		}
	}
	r.endSync(false)
	for f, behind := range r.failedFamilies {
		if behind {
			// The last sync failed, and nothing was left to do once HNS was available again.
			// Without an update, last_timestamp would stay behind last_queued_timestamp.
			r.cfg.Metrics.SyncDone(f, now, now)
		}
	}
	clear(r.failedFamilies)
	if r.synced {
		return
	}
	r.synced = true
	counts := r.table.Counts()
	r.cfg.Logger.Info(fmt.Sprintf("First sync complete: %d writes", r.writes),
		"programmed", counts[Programmed], "blocked", counts[Blocked], "failing", counts[Failing], "pending", counts[Pending])
}

// updateHealth passes the progress of each family in use to Config.Health.
func (r *reporter) updateHealth() {
	if r.cfg.Health == nil {
		return
	}
	since, why := r.engine.Lag()
	for _, f := range r.engine.Families() {
		if since.IsZero() {
			r.cfg.Health.Updated(f)
		} else {
			r.cfg.Health.Behind(f, since, why)
		}
	}
}
