// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
)

// TestTopology follows the hints that the real controller writes for each trafficDistribution, while Pods and the node's own
// zone change.
func TestTopology(t *testing.T) {
	for _, setup := range harness.Setups()[1:3] {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			group := w.Group("web", 3)
			here, far, near := at(group.Pods()[0], 8080), at(group.Pods()[1], 8080), at(group.Pods()[2], 8080)
			vips := map[string]string{}
			for name, distribution := range map[string]string{
				"zone": corev1.ServiceTrafficDistributionPreferSameZone, "node": corev1.ServiceTrafficDistributionPreferSameNode,
				"close": corev1.ServiceTrafficDistributionPreferClose,
			} {
				vips[name] = w.Service(name, func(s *corev1.Service) {
					s.Spec.Selector, s.Spec.TrafficDistribution = map[string]string{"app": "web"}, &distribution
				}).Spec.ClusterIP
			}
			w.StartProxy()
			reaches := func(name string, backends ...string) {
				t.Helper()
				w.Reaches(harness.TCP(harness.FromMaster(), vips[name], 80), backends...)
			}
			w.Converge()
			reaches("zone", here, near)
			reaches("close", here, near)
			reaches("node", here)

			t.Log("no Pod on the node is ready, then none in the zone")
			ready(t, w, group.Pods()[0], false)
			reaches("zone", near)
			reaches("node", near)
			ready(t, w, group.Pods()[2], false)
			reaches("zone", far)
			reaches("node", far)
			ready(t, w, group.Pods()[0], true)
			ready(t, w, group.Pods()[2], true)
			reaches("zone", here, near)
			reaches("node", here)

			t.Log("the node moves to the other zone, to one without Pods, to none")
			setZone(t, w, `"`+harness.FarZone+`"`)
			reaches("node", here)
			if reached := w.HNS.Reachable(harness.TCP(harness.FromMaster(), vips["zone"], 80)); len(reached) == 3 {
				t.Errorf("a node in %s reaches all of %v", harness.FarZone, reached)
			}
			setZone(t, w, `"zone-c"`)
			setZone(t, w, "null")
			setZone(t, w, `"`+harness.NearZone+`"`)
			reaches("zone", here, near)
		})
	}
}

// ready makes a Pod ready or not, and waits until that is in force.
func ready(t *testing.T, w *harness.World, pod *corev1.Pod, is bool) {
	t.Helper()
	w.Must(w.Kubelet.SetReady(t.Context(), pod.Namespace, pod.Name, is))
	w.Converge()
}

// setZone changes the zone label of hnsproxy's node to a JSON value, and waits until that is in force.
func setZone(t *testing.T, w *harness.World, zone string) {
	t.Helper()
	patch := []byte(`{"metadata":{"labels":{"` + corev1.LabelTopologyZone + `":` + zone + `}}}`)
	_, err := plane.Admin.CoreV1().Nodes().Patch(t.Context(), w.Node, types.MergePatchType, patch, metav1.PatchOptions{})
	w.Must(err)
	w.Converge()
}
