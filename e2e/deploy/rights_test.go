// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/e2e/process"
)

// TestRights runs hnsproxy with the ServiceAccount that the chart makes, until the API server has seen each verb of its role on
// each resource: all that is granted is used, and nothing else is asked for.
func TestRights(t *testing.T) {
	t.Cleanup(func() { removeAll(t) })
	install(t, "", "none")
	ctx, user := t.Context(), controlplane.ServiceAccount(namespace, "hnsproxy")
	role, err := plane.Admin.RbacV1().ClusterRoles().Get(ctx, "hnsproxy", metav1.GetOptions{})
	must(t, err)
	granted := rights(role.Rules)
	// Each account may do some things, such as asking what it may do.
	_, err = plane.Admin.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "anybody", Labels: map[string]string{"app.kubernetes.io/name": "hnsproxy"}},
	}, metav1.CreateOptions{})
	must(t, err)
	anybody := review(t, controlplane.ServiceAccount(namespace, "anybody"))
	reviewed := slices.DeleteFunc(review(t, user), func(right string) bool { return slices.Contains(anybody, right) })
	if !cmp.Equal(reviewed, granted) {
		t.Errorf("the API server says that it may %v, the role %v", reviewed, granted)
	}

	runProxy(t, user)
	work := plane.Namespace(t)
	web := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolSCTP}}},
	}
	_, err = plane.Admin.CoreV1().Services(work).Create(ctx, web, metav1.CreateOptions{})
	must(t, err)

	var used []string
	var protocol corev1.Protocol
	err = wait.PollUntilContextTimeout(ctx, 2*time.Second, time.Minute, true, func(ctx context.Context) (bool, error) {
		requests, err := plane.Requests(user)
		if err != nil {
			return false, err
		}
		used = asked(requests)
		if slices.Contains(used, "create events") {
			// Windows has no load balancing for SCTP. What is said of that more than once becomes a series, by a patch. hnsproxy
			// says it again once it was not so, which takes it less than an interval to see.
			protocol = map[corev1.Protocol]corev1.Protocol{corev1.ProtocolTCP: corev1.ProtocolSCTP}[protocol]
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			change := `[{"op": "replace", "path": "/spec/ports/0/protocol", "value": "` + string(protocol) + `"}]`
			_, err = plane.Admin.CoreV1().Services(work).Patch(ctx, "web", types.JSONPatchType, []byte(change), metav1.PatchOptions{})
		}
		return cmp.Equal(used, granted), err
	})
	if err != nil {
		t.Fatalf("%v: granted %v, used %v", err, granted, used)
	}
	requests, err := plane.Requests(user)
	must(t, err)
	if refused := controlplane.Refused(requests); len(refused) > 0 {
		t.Errorf("refused: %v", refused)
	}
}

// rights are the verbs of rules with their resources, in order.
func rights(rules []rbacv1.PolicyRule) []string {
	var all []string
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				all = append(all, verb+" "+resource)
			}
		}
	}
	slices.Sort(all)
	return all
}

// review asks the API server what a user may do to resources.
func review(t *testing.T, user string) []string {
	t.Helper()
	config, err := plane.RESTConfig(t.Context(), user)
	must(t, err)
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	answer, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	must(t, err)
	var rules []rbacv1.PolicyRule
	for _, rule := range answer.Status.ResourceRules {
		rules = append(rules, rbacv1.PolicyRule{Resources: rule.Resources, Verbs: rule.Verbs})
	}
	return rights(rules)
}

// asked are the verbs of requests with their resources, in order and each once.
func asked(requests []controlplane.Request) []string {
	var all []string
	for _, r := range requests {
		if r.Resource != "selfsubjectrulesreviews" {
			all = append(all, r.Verb+" "+r.Resource)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// runProxy runs hnsproxy on an emulated HNS, for a node of its own, until the test ends.
func runProxy(t *testing.T, user string) {
	t.Helper()
	dir, nodes := t.TempDir(), kubelet.New(plane.Admin)
	_, err := nodes.AddNode(t.Context(), kubelet.Node{Name: "win-1", OS: "windows", InternalIPs: []netip.Addr{netip.MustParseAddr("192.0.2.21")}})
	must(t, err)
	t.Cleanup(func() {
		if err := nodes.RemoveNode(context.Background(), "win-1"); err != nil {
			t.Error(err)
		}
	})
	program := filepath.Join(dir, "hnsproxy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/hnsproxy")
	build.Dir, build.Stderr = "../..", os.Stderr
	must(t, build.Run())
	kubeconfig, err := plane.Kubeconfig(t.Context(), user)
	must(t, err)
	proxy, err := process.Start(program, dir, []string{"--hns-driver=emulator", "--kubeconfig=" + kubeconfig, "--hostname-override=win-1",
		"--healthz-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0"})
	must(t, err)
	t.Cleanup(func() {
		proxy.Kill()
		if t.Failed() {
			t.Log(proxy.Tail(30))
		}
	})
}
