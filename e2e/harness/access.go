// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
)

// role is the ClusterRole of deploy/rbac.yaml.
const role = "hnsproxy"

// groups are the API groups of the resources that hnsproxy reads.
func groups() map[string]string {
	return map[string]string{"services": "", "nodes": "", "endpointslices": "discovery.k8s.io"}
}

// Requests returns what hnsproxy has asked the API server in this test.
func (w *World) Requests() []controlplane.Request {
	w.tb.Helper()
	requests, err := w.Plane.Requests(User())
	w.Must(err)
	return requests[w.asked:]
}

// Refusals returns how often a resource was refused to hnsproxy in this test.
func (w *World) Refusals(resource string) int {
	w.tb.Helper()
	return len(keep(controlplane.Refused(w.Requests()), func(r controlplane.Request) bool { return r.Resource == resource }))
}

// AllowOnly takes from hnsproxy's role everything but these resources, and returns when that is in force: as an API server
// whose RBAC is not warm yet. Watches that were begun go on. AllowAll, or the test's end, gives the role back.
func (w *World) AllowOnly(resources ...string) {
	w.tb.Helper()
	w.refusable = true
	w.tb.Cleanup(func() {
		if err := w.allowAll(context.Background()); err != nil {
			w.tb.Error(err)
		}
	})
	ctx, client := w.tb.Context(), w.Plane.Admin.RbacV1().ClusterRoles()
	object, err := client.Get(ctx, role, metav1.GetOptions{})
	w.Must(err)
	object.Rules = nil
	for _, resource := range resources {
		object.Rules = append(object.Rules, rbacv1.PolicyRule{
			APIGroups: []string{groups()[resource]}, Resources: []string{resource}, Verbs: []string{"get", "list", "watch"},
		})
	}
	_, err = client.Update(ctx, object, metav1.UpdateOptions{})
	w.Must(err)
	w.Must(w.allowed(ctx, resources))
}

// AllowAll gives hnsproxy the shipped role again and returns when that is in force.
func (w *World) AllowAll() {
	w.tb.Helper()
	w.Must(w.allowAll(w.tb.Context()))
}

func (w *World) allowAll(ctx context.Context) error {
	if err := w.Plane.ApplyFile(ctx, RBAC); err != nil {
		return err
	}
	return w.allowed(ctx, []string{"services", "nodes", "endpointslices"})
}

// allowed waits until exactly these resources are allowed.
func (w *World) allowed(ctx context.Context, resources []string) error {
	for resource, group := range groups() {
		want := len(keep(resources, func(r string) bool { return r == resource })) > 0
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               User(),
			ResourceAttributes: &authorizationv1.ResourceAttributes{Group: group, Resource: resource, Verb: "list"},
		}}
		err := wait.PollUntilContextTimeout(ctx, pollInterval, patience, true, func(ctx context.Context) (bool, error) {
			answer, err := w.Plane.Admin.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			return err == nil && answer.Status.Allowed == want, err
		})
		if err != nil {
			return fmt.Errorf("wait until %s may list %s is %t: %w", User(), resource, want, err)
		}
	}
	return nil
}

// checkRefusals fails the test if hnsproxy was refused anything.
func (w *World) checkRefusals() {
	requests, err := w.Plane.Requests(User())
	if err != nil {
		w.tb.Error(err)
		return
	}
	if refused := controlplane.Refused(requests[w.asked:]); len(refused) > 0 && !w.refusable {
		w.tb.Errorf("the API server refused %v", refused)
	}
}
