// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// service makes the entry of a Service with a label app and a cluster IP.
func service(name, app, clusterIP string) entry {
	s := &corev1.Service{}
	s.Namespace, s.Name = "shop", name
	s.Labels = map[string]string{"app": app}
	s.Spec.ClusterIP = clusterIP
	return entry{key: keyOf(Services, s), object: s}
}

func servicesOf(s *store) *listerWatcher { return &listerWatcher{store: s, resource: Services} }

func say(e watch.Event) string {
	m, err := meta.Accessor(e.Object)
	if err != nil {
		return string(e.Type) + " " + apierrors.FromObject(e.Object).Error()
	}
	text := fmt.Sprint(e.Type, " ", m.GetName(), " ", m.GetResourceVersion())
	for k, v := range m.GetAnnotations() {
		text += " " + k + "=" + v
	}
	return text
}

// collect returns what a watch sends until it waits or ends. Call it within a bubble.
func collect(w watch.Interface) []string {
	var out []string
	for {
		synctest.Wait()
		select {
		case e, ok := <-w.ResultChan():
			if !ok {
				return append(out, "end")
			}
			out = append(out, say(e))
		default:
			return out
		}
	}
}

func mustWatch(t *testing.T, l *listerWatcher, o metav1.ListOptions) watch.Interface {
	t.Helper()
	w, err := l.WatchWithContext(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWatch(t *testing.T) {
	initial := metav1.ListOptions{
		SendInitialEvents: new(true), AllowWatchBookmarks: true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}
	with := func(o metav1.ListOptions, change func(*metav1.ListOptions)) metav1.ListOptions {
		change(&o)
		return o
	}
	from := func(v string) metav1.ListOptions { return metav1.ListOptions{ResourceVersion: v} }
	const end = "BOOKMARK  4 k8s.io/initial-events-end=true"
	// Revisions: 2 adds a, 3 adds b, 4 changes a; after the watch began 5 changes b, 6
	// deletes a.
	later := []string{"MODIFIED b 5", "DELETED a 6"}
	for _, tt := range []struct {
		name    string
		options metav1.ListOptions
		want    []string
	}{
		{"initial events", initial, []string{"ADDED a 4", "ADDED b 3", end}},
		{"initial events at least as new", with(initial, func(o *metav1.ListOptions) { o.ResourceVersion = "3" }), []string{"ADDED a 4", "ADDED b 3", end}},
		{"initial events without bookmark", with(initial, func(o *metav1.ListOptions) { o.AllowWatchBookmarks = false }), []string{"ADDED a 4", "ADDED b 3"}},
		{"from anything", from(""), []string{"ADDED a 4", "ADDED b 3"}},
		{"from anything, as version 0", from("0"), []string{"ADDED a 4", "ADDED b 3"}},
		{"from anything, but no initial events", metav1.ListOptions{SendInitialEvents: new(false)}, nil},
		{"from the first change", from("1"), []string{"ADDED a 2", "ADDED b 3", "MODIFIED a 4"}},
		{"from a change", from("3"), []string{"MODIFIED a 4"}},
		{"from now", from("4"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(100)
				s.apply([]entry{service("a", "x", "1"), service("b", "x", "2")}, nil)
				s.apply([]entry{service("a", "x", "3")}, nil)
				first, second := mustWatch(t, servicesOf(s), tt.options), mustWatch(t, servicesOf(s), tt.options)
				got := collect(first)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("at first (-want +got):\n%s", diff)
				}
				s.apply([]entry{service("b", "x", "9")}, nil)
				s.apply(nil, []key{service("a", "", "").key})
				if diff := cmp.Diff(later, collect(first)); diff != "" {
					t.Errorf("later (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(append(tt.want, later...), collect(second)); diff != "" {
					t.Errorf("a second watch (-want +got):\n%s", diff)
				}
				first.Stop()
				second.Stop()
				if got := collect(first); len(got) != 1 || got[0] != "end" {
					t.Errorf("after Stop: %q", got)
				}
			})
		})
	}
}

// TestWatchFilter: an object that starts or ceases to match is added or deleted for the
// watch, with the version of the change.
func TestWatchFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(100)
		s.apply([]entry{service("a", "x", "1"), service("b", "x", "None"), service("c", "y", "3")}, nil)
		l := &listerWatcher{store: s, resource: Services, tweak: func(o *metav1.ListOptions) {
			o.LabelSelector, o.FieldSelector = "app=x", "spec.clusterIP!=None"
		}}
		w := mustWatch(t, l, metav1.ListOptions{})
		s.apply([]entry{service("c", "x", "3")}, nil)    // 5: matches now
		s.apply([]entry{service("b", "x", "2")}, nil)    // 6: matches now
		s.apply([]entry{service("a", "y", "1")}, nil)    // 7: no longer
		s.apply([]entry{service("a", "y", "2")}, nil)    // 8: neither before nor after
		s.apply([]entry{service("b", "x", "None")}, nil) // 9: no longer
		s.apply([]entry{service("c", "x", "4")}, nil)    // 10
		want := []string{"ADDED a 2", "ADDED c 5", "ADDED b 6", "DELETED a 7", "DELETED b 9", "MODIFIED c 10"}
		if diff := cmp.Diff(want, collect(w)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.Stop()
	})
}

// TestWatchExpires: who falls behind, or asks for what is forgotten or is still to come, is
// told to list again.
func TestWatchExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(2)
		slow := mustWatch(t, servicesOf(s), metav1.ListOptions{ResourceVersion: "1"})
		synctest.Wait() // It waits at revision 1.
		for i := range 9 {
			s.apply([]entry{service("a", "x", fmt.Sprint(i))}, nil)
		}
		got := collect(slow)
		if len(got) < 2 || !strings.Contains(got[len(got)-2], "ERROR changes since resource version") || got[len(got)-1] != "end" {
			t.Errorf("a slow watch got %q", got)
		}
		old := mustWatch(t, servicesOf(s), metav1.ListOptions{ResourceVersion: "2"})
		if got := collect(old); len(got) != 2 || !strings.HasPrefix(got[0], "ERROR ") {
			t.Errorf("a watch from a forgotten version got %q", got)
		}
		if _, err := servicesOf(s).Watch(metav1.ListOptions{ResourceVersion: "99"}); !apierrors.IsResourceExpired(err) {
			t.Errorf("a watch from the future: %v", err)
		}
		// Changes of other resources do not push out those of this one.
		for i := range 20 {
			n := &corev1.Node{}
			n.Name, n.Spec.PodCIDR = "n", fmt.Sprint(i)
			s.apply([]entry{{key: keyOf(Nodes, n), object: n}}, nil)
		}
		recent := mustWatch(t, servicesOf(s), metav1.ListOptions{ResourceVersion: "9"})
		if diff := cmp.Diff([]string{"MODIFIED a 10"}, collect(recent)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		recent.Stop()
	})
}

func TestWatchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := mustWatch(t, servicesOf(newStore(10)), metav1.ListOptions{TimeoutSeconds: ptr.To[int64](30)})
		<-time.After(29 * time.Second)
		if got := collect(w); got != nil {
			t.Errorf("after 29 s: %q", got)
		}
		<-time.After(2 * time.Second)
		if got := collect(w); len(got) != 1 || got[0] != "end" {
			t.Errorf("after 31 s: %q", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w, err := servicesOf(newStore(10)).WatchWithContext(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := collect(w); len(got) != 1 || got[0] != "end" {
			t.Errorf("after the end of the context: %q", got)
		}
	})
}

func TestList(t *testing.T) {
	s := newStore(10)
	s.apply([]entry{service("b", "x", "2"), service("a", "x", "None"), service("c", "y", "3")}, nil)
	names := func(o metav1.ListOptions) string {
		list, err := servicesOf(s).List(o)
		if err != nil {
			return err.Error()
		}
		l, ok := list.(*corev1.ServiceList)
		if !ok {
			return fmt.Sprintf("%T", list)
		}
		out := l.ResourceVersion + ":"
		for i := range l.Items {
			out += " " + l.Items[i].Name + l.Items[i].ResourceVersion
		}
		return out
	}
	for _, tt := range []struct {
		options metav1.ListOptions
		want    string
	}{
		{metav1.ListOptions{}, "4: a3 b2 c4"},
		{metav1.ListOptions{ResourceVersion: "0", Limit: 1}, "4: a3 b2 c4"},
		{metav1.ListOptions{ResourceVersion: "2"}, "4: a3 b2 c4"},
		{metav1.ListOptions{ResourceVersion: "4", ResourceVersionMatch: metav1.ResourceVersionMatchExact}, "4: a3 b2 c4"},
		{metav1.ListOptions{ResourceVersion: "3", ResourceVersionMatch: metav1.ResourceVersionMatchExact}, "resource version 3 is not kept here"},
		{metav1.ListOptions{ResourceVersion: "5"}, "resource version 5 is not kept here"},
		{metav1.ListOptions{ResourceVersion: "x"}, `resource version "x" is not a number`},
		{metav1.ListOptions{Continue: "more"}, "resource version  is not kept here"},
		{metav1.ListOptions{LabelSelector: "!app"}, "4:"},
		{metav1.ListOptions{LabelSelector: "app in (x)"}, "4: a3 b2"},
		{metav1.ListOptions{LabelSelector: "a b"}, `label selector "a b": ...`},
		{metav1.ListOptions{FieldSelector: "spec.clusterIP!=None"}, "4: b2 c4"},
		{metav1.ListOptions{FieldSelector: "metadata.name=c,metadata.namespace=shop"}, "4: c4"},
		{metav1.ListOptions{FieldSelector: "spec.ports=80"}, "field label not supported for services: spec.ports"},
		{metav1.ListOptions{FieldSelector: "a"}, `field selector "a": ...`},
	} {
		got := names(tt.options)
		if head, open := strings.CutSuffix(tt.want, "..."); got != tt.want && (!open || !strings.HasPrefix(got, head)) {
			t.Errorf("%+v: %q, want %q", tt.options, got, tt.want)
		}
	}
}

// TestListTypes: each resource has a list of its own type, and its own fields.
func TestListTypes(t *testing.T) {
	s := newStore(10)
	for _, text := range []string{web, webSlice, node} {
		s.apply(parse("f.yaml", []byte(text), nil).entries, nil)
	}
	for r, want := range map[Resource]string{
		Services: "*v1.ServiceList web", EndpointSlices: "*v1.EndpointSliceList web-1", Nodes: "*v1.NodeList win-1",
	} {
		l := &listerWatcher{store: s, resource: r}
		list, err := l.List(metav1.ListOptions{FieldSelector: "metadata.name=" + strings.Fields(want)[1]})
		if err != nil {
			t.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil || len(items) != 1 {
			t.Fatalf("%s: %v, %v", r, items, err)
		}
		m, err := meta.Accessor(items[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%T %s", list, m.GetName()); got != want {
			t.Errorf("%s: %s, want %s", r, got, want)
		}
	}
	if _, err := (&listerWatcher{store: s, resource: Nodes}).List(metav1.ListOptions{FieldSelector: "metadata.namespace=x"}); err == nil {
		t.Error("Nodes have a namespace")
	}
}

// TestCopies: what a client does to its objects is not seen by others.
func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(10)
		s.apply([]entry{service("a", "x", "1")}, nil)
		w := mustWatch(t, servicesOf(s), metav1.ListOptions{})
		e := <-w.ResultChan()
		w.Stop()
		list, err := servicesOf(s).List(metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		spoil := func(o runtime.Object) {
			if svc, ok := o.(*corev1.Service); ok {
				svc.Labels["app"] = "spoilt"
			}
		}
		spoil(e.Object)
		spoil(&list.(*corev1.ServiceList).Items[0])
		again, err := servicesOf(s).List(metav1.ListOptions{LabelSelector: "app=x"})
		if err != nil || meta.LenList(again) != 1 {
			t.Errorf("a client changed the store: %v, %v", again, err)
		}
	})
}

// TestWatchProperty: whatever the changes and the selector, a list plus the events since
// make the list of now, and an unchanged object makes no event.
func TestWatchProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newStore(1000)
		l := &listerWatcher{store: s, resource: Services, tweak: func(o *metav1.ListOptions) {
			o.LabelSelector, o.FieldSelector = "app!=y", "spec.clusterIP!=None"
		}}
		var views []map[string]string // by starting point: name to version
		var starts []string
		f, err := l.filter(&metav1.ListOptions{})
		if err != nil {
			r.Fatal(err)
		}
		now := func() (map[string]string, string) {
			list, err := l.List(metav1.ListOptions{})
			if err != nil {
				r.Fatal(err)
			}
			out := map[string]string{}
			for _, i := range list.(*corev1.ServiceList).Items {
				out[i.Name] = i.ResourceVersion
			}
			return out, list.(*corev1.ServiceList).ResourceVersion
		}
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		app := rapid.SampledFrom([]string{"x", "y"})
		ip := rapid.SampledFrom([]string{"1", "2", "None"})
		for range rapid.IntRange(1, 40).Draw(r, "changes") {
			view, version := now()
			views, starts = append(views, view), append(starts, version)
			n := name.Draw(r, "name")
			if rapid.IntRange(0, 3).Draw(r, "delete") == 0 {
				s.apply(nil, []key{service(n, "", "").key})
				continue
			}
			e := service(n, app.Draw(r, "app"), ip.Draw(r, "ip"))
			s.apply([]entry{e}, nil)
			if again := s.apply([]entry{{key: e.key, object: e.object.DeepCopyObject().(object)}}, nil); again != 0 {
				r.Fatalf("an unchanged object made %d changes", again)
			}
		}
		want, _ := now()
		for i, view := range views {
			from, err := revisionOf(starts[i])
			if err != nil {
				r.Fatal(err)
			}
			changes, _, ok := s.since(Services, from)
			if !ok {
				r.Fatalf("revision %d expired", from)
			}
			for _, c := range changes {
				e, ok := f.event(c)
				if !ok {
					continue
				}
				m, _ := meta.Accessor(e.Object)
				if _, there := view[m.GetName()]; there != (e.Type != watch.Added) {
					r.Fatalf("%s to a client that has %v", say(e), view)
				}
				if m.GetResourceVersion() != versionOf(c.revision) {
					r.Fatalf("%s of revision %d", say(e), c.revision)
				}
				view[m.GetName()] = m.GetResourceVersion()
				if e.Type == watch.Deleted {
					delete(view, m.GetName())
				}
			}
			if diff := cmp.Diff(want, view); diff != "" {
				r.Fatalf("from revision %d (-list +events):\n%s", from, diff)
			}
		}
	})
}
