// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
)

// TestTakeOver moves nodes from kube-proxy to hnsproxy and back by the commands of docs/install.md, with the DaemonSet controller
// of Kubernetes deciding who runs where.
func TestTakeOver(t *testing.T) {
	ctx := t.Context()
	nodes := kubelet.New(plane.Admin)
	for i, name := range []string{"win-1", "win-2", "linux-1"} {
		node := kubelet.Node{Name: name, OS: "windows", InternalIPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(20 + i)})}}
		if name == "linux-1" {
			node.OS = "linux"
		}
		_, err := nodes.AddNode(ctx, node)
		must(t, err)
		t.Cleanup(func() {
			if err := nodes.RemoveNode(context.Background(), name); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { removeAll(t) })
	_, err := plane.Admin.AppsV1().DaemonSets(namespace).Create(ctx, kubeProxy(), metav1.CreateOptions{})
	must(t, err)
	must(t, plane.ApplyFile(ctx, deployDir+"/hnsproxy.yaml"))
	const kubeProxy, hnsproxy = "kube-proxy-windows", "hnsproxy"
	awaitOwners(t, map[string]string{"win-1": kubeProxy, "win-2": kubeProxy})

	patch := documented(t, `patch daemonset kube-proxy-windows --type=merge -p '(.*)'`)
	_, err = plane.Admin.AppsV1().DaemonSets(namespace).Patch(ctx, kubeProxy, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
	awaitOwners(t, map[string]string{"win-1": kubeProxy, "win-2": kubeProxy})

	key, value := documented(t, `label node NODE ([^=\s]+)=`), documented(t, `label node NODE [^=\s]+=(\S+)`)
	for _, step := range []struct {
		node string
		give bool
		want map[string]string
	}{
		{"win-1", true, map[string]string{"win-1": hnsproxy, "win-2": kubeProxy}},
		{"linux-1", true, map[string]string{"win-1": hnsproxy, "win-2": kubeProxy}},
		{"win-2", true, map[string]string{"win-1": hnsproxy, "win-2": hnsproxy}},
		{"win-1", false, map[string]string{"win-1": kubeProxy, "win-2": hnsproxy}},
		{"win-2", false, map[string]string{"win-1": kubeProxy, "win-2": kubeProxy}},
	} {
		change := `{"metadata": {"labels": {"` + key + `": null}}}`
		if step.give {
			change = `{"metadata": {"labels": {"` + key + `": "` + value + `"}}}`
		}
		_, err := plane.Admin.CoreV1().Nodes().Patch(ctx, step.node, types.MergePatchType, []byte(change), metav1.PatchOptions{})
		must(t, err)
		awaitOwners(t, step.want)
	}
}

// kubeProxy is the DaemonSet by which clusters made with kubeadm run kube-proxy on Windows.
func kubeProxy() *appsv1.DaemonSet {
	labels := map[string]string{"k8s-app": "kube-proxy-windows"}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-proxy-windows", Namespace: namespace},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeSelector: map[string]string{corev1.LabelOSStable: "windows"},
					Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					HostNetwork:  true,
					Containers:   []corev1.Container{{Name: "kube-proxy", Image: "kube-proxy"}},
				},
			},
		},
	}
}

// documented is what docs/install.md has at a place.
func documented(t *testing.T, pattern string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/install.md")
	must(t, err)
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		t.Fatalf("docs/install.md has no %s", pattern)
	}
	return string(found[1])
}

// awaitOwners waits until each node has the one Pod that is wanted, by the name of its DaemonSet, and the DaemonSet controller has
// seen everything.
func awaitOwners(t *testing.T, want map[string]string) {
	t.Helper()
	var got map[string]string
	err := wait.PollUntilContextTimeout(t.Context(), 25*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		now, err := owners(ctx)
		if err != nil {
			return false, err
		}
		got = now
		return maps.Equal(got, want), nil
	})
	if err != nil {
		t.Fatalf("%v: nodes have %v, want %v", err, got, want)
	}
}

// owners are the DaemonSets of the Pods of each node. On the way it does what a scheduler and a kubelet would: it binds Pods to
// the nodes that the DaemonSet controller made them for, and confirms that deleted ones have ended.
func owners(ctx context.Context) (map[string]string, error) {
	client := plane.Admin.CoreV1().Pods(namespace)
	pods, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, pod := range pods.Items {
		node := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
		if all[node] != "" {
			all[node] += " and "
		}
		all[node] += pod.OwnerReferences[0].Name
		switch {
		case pod.DeletionTimestamp != nil:
			err = client.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
		case pod.Spec.NodeName == "":
			err = client.Bind(ctx, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
			}, metav1.CreateOptions{})
		}
		// The controller may have deleted it meanwhile.
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return nil, err
		}
	}
	return all, nil
}
