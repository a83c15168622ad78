// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Group keeps a number of like Pods, as a Deployment does: spread over nodes in turn, each under a new name. It is for one
// goroutine at a time.
type Group struct {
	// Kubelet runs the Pods.
	Kubelet *Kubelet
	// Template is the Pod to run, with Name as prefix; its Node and IPs are not used. A change counts for Pods run after it.
	Template Pod
	// Nodes are the names of the nodes to spread over.
	Nodes []string
	// Grace is what a Pod's grace period is for: ReplaceOldest calls it between the beginning of the Pod's termination and
	// its end, during which proxies stop sending there. It may be nil.
	Grace func(ctx context.Context, pod *corev1.Pod) error

	pods []*corev1.Pod // oldest first
	made int
}

// Pods returns the Pods that run now, oldest first, as they were when they started.
func (g *Group) Pods() []*corev1.Pod { return slices.Clone(g.pods) }

// Scale brings the group to count Pods. What is too much is removed at once, newest first.
func (g *Group) Scale(ctx context.Context, count int) error {
	for len(g.pods) < count {
		if err := g.add(ctx); err != nil {
			return err
		}
	}
	for len(g.pods) > max(count, 0) {
		if err := g.remove(ctx, len(g.pods)-1); err != nil {
			return err
		}
	}
	return nil
}

// ReplaceOldest is one step of a rolling update without loss of capacity: a new Pod runs and is ready before the oldest one
// terminates and is removed.
func (g *Group) ReplaceOldest(ctx context.Context) error {
	if len(g.pods) == 0 {
		return errors.New("replace the oldest Pod: the group has none")
	}
	if err := g.add(ctx); err != nil {
		return err
	}
	oldest := g.pods[0]
	if err := g.Kubelet.TerminatePod(ctx, oldest.Namespace, oldest.Name); err != nil {
		return err
	}
	if g.Grace != nil {
		if err := g.Grace(ctx, oldest); err != nil {
			return err
		}
	}
	return g.remove(ctx, 0)
}

// RollingUpdate replaces every Pod, one after the other, by one of the present Template.
func (g *Group) RollingUpdate(ctx context.Context) error {
	for range len(g.pods) {
		if err := g.ReplaceOldest(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) add(ctx context.Context) error {
	if len(g.Nodes) == 0 {
		return fmt.Errorf("run a Pod of group %s: it has no nodes", g.Template.Name)
	}
	pod := g.Template
	pod.Name = fmt.Sprintf("%s-%d", g.Template.Name, g.made)
	pod.Node = g.Nodes[g.made%len(g.Nodes)]
	pod.IPs = nil
	g.made++
	object, err := g.Kubelet.RunPod(ctx, pod)
	if err == nil {
		g.pods = append(g.pods, object)
	}
	return err
}

func (g *Group) remove(ctx context.Context, i int) error {
	if err := g.Kubelet.RemovePod(ctx, g.pods[i].Namespace, g.pods[i].Name); err != nil {
		return err
	}
	g.pods = slices.Delete(g.pods, i, i+1)
	return nil
}
