// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/doctor"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// gather finds out what there is to know about the node.
func (o *doctorOptions) gather(ctx context.Context, opts *options.Options, ports doctor.Ports) *doctor.Facts {
	f := &doctor.Facts{Network: opts.Network, SourceVIP: opts.VIP(), EnableDSR: opts.EnableDSR, Node: opts.Hostname, NodePorts: ports,
		Settings: map[string]uint64{}}
	f.HNS, f.HNSError = o.take(ctx, o.host)
	if o.file != "" {
		f.Unknown = append(f.Unknown, "programs, ports, settings and the API server: --file has what HNS held, and nothing else")
		return f
	}
	gatherMachine(ctx, f)
	if doc, err := o.frontends(ctx, nil); err != nil {
		f.NotRunning = err
	} else {
		f.Frontends = map[string]int{}
		for _, fe := range doc.Frontends {
			f.Frontends[string(fe.State)]++
		}
	}
	config, err := o.host.API(opts)
	if err != nil {
		f.Unknown = append(f.Unknown, "the API server: "+err.Error())
		return f
	}
	f.API = askAPI(ctx, config, f, o.host.Now)
	return f
}

// right is something that hnsproxy does at the API server.
type right struct{ verb, group, resource string }

func rights() []right {
	var out []right
	for _, verb := range []string{"list", "watch"} {
		out = append(out, right{verb, "", "services"}, right{verb, "discovery.k8s.io", "endpointslices"}, right{verb, "", "nodes"})
	}
	return append(out, right{"create", "events.k8s.io", "events"}, right{"patch", "events.k8s.io", "events"})
}

// dated notes the clock of the server in its answers.
type dated struct {
	http.RoundTripper
	now  func() time.Time
	skew *time.Duration
}

// RoundTrip is part of http.RoundTripper.
func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	before := d.now()
	resp, err := d.RoundTripper.RoundTrip(r)
	if err == nil {
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			*d.skew = before.Sub(at)
		}
	}
	return resp, err
}

// askAPI asks for this node and for the rights of hnsproxy.
func askAPI(ctx context.Context, config *rest.Config, f *doctor.Facts, now func() time.Time) doctor.API {
	ctx, stop := context.WithTimeout(ctx, askPeriod)
	defer stop()
	out := doctor.API{Asked: true}
	config = rest.CopyConfig(config)
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return dated{rt, now, &out.Skew} })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		out.Error = err
		return out
	}
	node, err := client.CoreV1().Nodes().Get(ctx, f.Node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		out.NodeMissing = true
	case apierrors.IsForbidden(err): // hnsproxy lists nodes and gets none; what it may is asked below
	case err != nil:
		out.Error = err
		return out
	default:
		known, _ := services.ReadNode(node)
		f.NodeIPs = append([]netip.Addr(nil), known.IPs...)
	}
	for _, r := range rights() {
		review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: r.verb, Group: r.group, Resource: r.resource}},
		}, metav1.CreateOptions{})
		if err != nil {
			f.Unknown = append(f.Unknown, fmt.Sprintf("rights at the API server: %v", err))
			break
		}
		if !review.Status.Allowed {
			out.Denied = append(out.Denied, strings.TrimSpace(r.verb+" "+r.resource))
		}
	}
	return out
}
