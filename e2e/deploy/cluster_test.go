// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
)

// helm is Helm with the rights of an administrator.
func helm(t *testing.T) *action.Configuration {
	t.Helper()
	kubeconfig, err := plane.Kubeconfig(t.Context(), controlplane.Admin)
	must(t, err)
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig = &kubeconfig
	config := action.NewConfiguration()
	must(t, config.Init(flags, namespace, "secret"))
	return config
}

func install(t *testing.T, values string, dryRun action.DryRunStrategy) {
	t.Helper()
	do := action.NewInstall(helm(t))
	// Nothing runs here that one could wait for.
	do.ReleaseName, do.Namespace, do.WaitStrategy, do.DryRunStrategy = "hnsproxy", namespace, kube.HookOnlyStrategy, dryRun
	_, err := do.RunWithContext(t.Context(), loadChart(t), parse(t, values))
	must(t, err)
}

func uninstall(t *testing.T) {
	t.Helper()
	do := action.NewUninstall(helm(t))
	do.WaitStrategy = kube.HookOnlyStrategy
	_, err := do.Run("hnsproxy")
	must(t, err)
}

// installed names all that is there of hnsproxy, and of Helm.
func installed(t *testing.T) []string {
	t.Helper()
	ctx, all := t.Context(), metav1.ListOptions{}
	own := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=hnsproxy"}
	var names []string
	add := func(kind string, objects []metav1.ObjectMeta, err error) {
		must(t, err)
		for _, o := range objects {
			names = append(names, kind+" "+o.Name)
		}
	}
	daemonSets, err := plane.Admin.AppsV1().DaemonSets(namespace).List(ctx, all)
	add("DaemonSet", metas(daemonSets.Items, func(o appsv1.DaemonSet) metav1.ObjectMeta { return o.ObjectMeta }), err)
	accounts, err := plane.Admin.CoreV1().ServiceAccounts(namespace).List(ctx, own)
	for _, o := range accounts.Items {
		add("ServiceAccount", []metav1.ObjectMeta{o.ObjectMeta}, err)
	}
	configMaps, err := plane.Admin.CoreV1().ConfigMaps(namespace).List(ctx, own)
	for _, o := range configMaps.Items {
		add("ConfigMap", []metav1.ObjectMeta{o.ObjectMeta}, err)
	}
	secrets, err := plane.Admin.CoreV1().Secrets(namespace).List(ctx, all)
	for _, o := range secrets.Items {
		add("Secret", []metav1.ObjectMeta{o.ObjectMeta}, err)
	}
	roles, err := plane.Admin.RbacV1().ClusterRoles().List(ctx, own)
	for _, o := range roles.Items {
		add("ClusterRole", []metav1.ObjectMeta{o.ObjectMeta}, err)
	}
	bindings, err := plane.Admin.RbacV1().ClusterRoleBindings().List(ctx, own)
	for _, o := range bindings.Items {
		add("ClusterRoleBinding", []metav1.ObjectMeta{o.ObjectMeta}, err)
	}
	return names
}

func metas[T any](items []T, meta func(T) metav1.ObjectMeta) []metav1.ObjectMeta {
	var all []metav1.ObjectMeta
	for _, item := range items {
		all = append(all, meta(item))
	}
	return all
}

// TestInstall installs, changes and removes with Helm on a real API server, whose dry run comes first.
func TestInstall(t *testing.T) {
	install(t, everything, action.DryRunServer)
	if left := installed(t); len(left) > 0 {
		t.Fatalf("a dry run made %v", left)
	}

	install(t, "", action.DryRunNone)
	t.Cleanup(func() { removeAll(t) })
	want := []string{"DaemonSet hnsproxy", "ServiceAccount hnsproxy", "Secret sh.helm.release.v1.hnsproxy.v1", "ClusterRole hnsproxy",
		"ClusterRoleBinding hnsproxy"}
	if got := installed(t); !slices.Equal(got, want) {
		t.Fatalf("installed %v, want %v", got, want)
	}

	upgrade := action.NewUpgrade(helm(t))
	upgrade.Namespace, upgrade.WaitStrategy = namespace, kube.HookOnlyStrategy
	_, err := upgrade.RunWithContext(t.Context(), "hnsproxy", loadChart(t), parse(t, everything))
	must(t, err)
	ds, err := plane.Admin.AppsV1().DaemonSets(namespace).Get(t.Context(), "hnsproxy", metav1.GetOptions{})
	must(t, err)
	if ds.Generation != 2 || ds.Spec.Template.Spec.NodeSelector["hnsproxy.io/proxy"] != "" {
		t.Errorf("after the upgrade, generation %d selects %v", ds.Generation, ds.Spec.Template.Spec.NodeSelector)
	}

	uninstall(t)
	if left := installed(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestPlainInstall applies the plain manifests as `kubectl apply --server-side` does: strictly, twice, and to no other effect
// than Helm.
func TestPlainInstall(t *testing.T) {
	t.Cleanup(func() { removeAll(t) })
	for range 2 {
		must(t, plane.ApplyFile(t.Context(), deployDir+"/hnsproxy.yaml"))
	}
	want := []string{"DaemonSet hnsproxy", "ServiceAccount hnsproxy", "ClusterRole hnsproxy", "ClusterRoleBinding hnsproxy"}
	if got := installed(t); !slices.Equal(got, want) {
		t.Errorf("installed %v, want %v", got, want)
	}
	ds, err := plane.Admin.AppsV1().DaemonSets(namespace).Get(t.Context(), "hnsproxy", metav1.GetOptions{})
	must(t, err)
	if ds.Generation != 1 {
		t.Errorf("generation %d: to apply again what is there changed it", ds.Generation)
	}
}

// removeAll leaves the control plane without hnsproxy, also when a test failed half way.
func removeAll(t *testing.T) {
	t.Helper()
	ctx, now, own := context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=hnsproxy"}
	core, apps, rbac := plane.Admin.CoreV1(), plane.Admin.AppsV1(), plane.Admin.RbacV1()
	for _, err := range []error{
		apps.DaemonSets(namespace).DeleteCollection(ctx, now, metav1.ListOptions{}),
		core.ServiceAccounts(namespace).DeleteCollection(ctx, now, own),
		core.ConfigMaps(namespace).DeleteCollection(ctx, now, own),
		core.Secrets(namespace).DeleteCollection(ctx, now, metav1.ListOptions{LabelSelector: "owner=helm"}),
		rbac.ClusterRoles().DeleteCollection(ctx, now, own),
		rbac.ClusterRoleBindings().DeleteCollection(ctx, now, own),
		core.Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}),
	} {
		if err != nil {
			t.Error(fmt.Errorf("clean up: %w", err))
		}
	}
}
