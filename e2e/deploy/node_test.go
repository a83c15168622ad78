// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// network is the HNS network of the pods.
const network = "pods"

// node is a Windows node: an emulated HNS, and a kubelet that runs the Pods of one DaemonSet, each as a program under Wine.
type node struct {
	name string
	// ip is where the node's programs listen in place of all addresses, since all nodes are on this machine.
	ip netip.Addr
	// pod is the address of a Pod that runs on the node.
	pod     netip.Addr
	hns     *winlab.Service
	tracker *bulk.Tracker
	exe     program.Program
	dir     string

	// running is the process of the Pod with that UID, nil for none.
	running *program.Running
	uid     string
	ready   bool
	// failed is how often the probe has failed since it last did not.
	failed  int
	started int
}

func newNode(t *testing.T, number int, exe program.Program) *node {
	t.Helper()
	n := &node{
		name: fmt.Sprintf("win-%d", number), ip: netip.AddrFrom4([4]byte{127, 0, 1, byte(number)}),
		pod: netip.AddrFrom4([4]byte{10, 244, byte(number), 5}), tracker: bulk.NewTracker(), exe: exe, dir: t.TempDir(),
	}
	e := emulator.New(emulator.Config{Profile: profiles.WS2022(), Watch: n.tracker.Hear})
	spec, err := winlab.Network(network, "L2Bridge")
	must(t, err)
	spec.Subnets, spec.ManagementIPv6 = []netip.Prefix{netip.PrefixFrom(n.pod, 24).Masked()}, netip.Addr{}
	_, err = e.AddNetwork(spec)
	must(t, err)
	_, err = e.AddLocalEndpoint(network, n.pod)
	must(t, err)
	n.hns, err = winlab.Serve(e)
	must(t, err)
	nodes := kubelet.New(plane.Admin)
	_, err = nodes.AddNode(t.Context(), kubelet.Node{Name: n.name, OS: "windows", InternalIPs: []netip.Addr{spec.ManagementIP}, PodCIDRs: spec.Subnets})
	must(t, err)
	t.Cleanup(func() {
		if n.running != nil {
			n.running.Kill()
		}
		for _, err := range []error{n.hns.Close(), nodes.RemoveNode(context.Background(), n.name)} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return n
}

// step does what scheduler and kubelet have to do now for the Pods of this node.
func (n *node) step(ctx context.Context) error {
	client := plane.Admin.CoreV1().Pods(namespace)
	pods, err := client.List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=hnsproxy"})
	if err != nil {
		return err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if assigned(pod) != n.name {
			continue
		}
		switch {
		case pod.DeletionTimestamp != nil:
			err = n.end(ctx, pod)
		case pod.Spec.NodeName == "":
			err = client.Bind(ctx, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: n.name},
			}, metav1.CreateOptions{})
		default:
			err = n.run(ctx, pod)
		}
		// The controller may have deleted it meanwhile.
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("%s, Pod %s: %w", n.name, pod.Name, err)
		}
	}
	return nil
}

// assigned is the node that the DaemonSet controller made a Pod for.
func assigned(pod *corev1.Pod) string {
	return pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
}

// end stops the process of a Pod within its grace period, and then confirms that it is gone.
func (n *node) end(ctx context.Context, pod *corev1.Pod) error {
	if n.running != nil && n.uid == string(pod.UID) {
		n.running.Interrupt(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
		n.hns.Server.DropHandles()
		n.running, n.ready, n.failed = nil, false, 0
	}
	return plane.Admin.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
}

// run starts the process of a Pod, if it does not run yet, and writes down whether it is ready.
func (n *node) run(ctx context.Context, pod *corev1.Pod) error {
	if n.running == nil {
		if err := n.start(ctx, pod); err != nil {
			return err
		}
	}
	select {
	case <-n.running.Done():
		return fmt.Errorf("hnsproxy has ended: %w", n.running.Err())
	default:
	}
	if n.uid != string(pod.UID) {
		return fmt.Errorf("it is to run beside Pod %s", n.uid)
	}
	ready := n.probe(ctx, pod.Spec.Containers[0])
	if n.failed++; ready {
		n.failed = 0
	}
	// As a kubelet, it takes more than one failure for a sign.
	ready = ready || n.ready && n.failed < int(pod.Spec.Containers[0].ReadinessProbe.FailureThreshold)
	if ready == n.ready && pod.Status.Phase == corev1.PodRunning {
		return nil
	}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}}
	_, err := plane.Admin.CoreV1().Pods(namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err == nil {
		n.ready = ready
	}
	return err
}

// start starts hnsproxy.exe with the arguments of the Pod and the ConfigMap that it mounts.
func (n *node) start(ctx context.Context, pod *corev1.Pod) error {
	c := pod.Spec.Containers[0]
	source, err := plane.Admin.CoreV1().ConfigMaps(namespace).Get(ctx, pod.Spec.Volumes[0].ConfigMap.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	mount := filepath.Join(n.dir, string(pod.UID))
	if err := os.Mkdir(mount, 0o700); err != nil {
		return err
	}
	for name, text := range source.Data {
		text = strings.ReplaceAll(text, "0.0.0.0", n.ip.String())
		if err := os.WriteFile(filepath.Join(mount, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	var args []string
	replace := strings.NewReplacer("$(NODE_NAME)", pod.Spec.NodeName, c.VolumeMounts[0].MountPath, mount)
	for _, arg := range c.Args {
		args = append(args, replace.Replace(arg))
	}
	n.running, err = n.exe.Launch(context.WithoutCancel(ctx), n.hns, n.dir, args...)
	n.uid = string(pod.UID)
	n.started++
	return err
}

// probe is the readiness probe of a container.
func (n *node) probe(ctx context.Context, c corev1.Container) bool {
	get := c.ReadinessProbe.HTTPGet
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.ReadinessProbe.TimeoutSeconds)*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d%s", n.ip, c.Ports[0].ContainerPort, get.Path), nil)
	if err != nil {
		return false
	}
	request.Close = true // each process gets connections of its own
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close() //nolint:errcheck // only its status matters
	return response.StatusCode == http.StatusOK
}

func (n *node) tail() string {
	if n.running == nil {
		return "runs nothing"
	}
	return n.running.Tail(20)
}
