// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
)

// tree is a directory of the test.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T, files map[string]string) tree {
	t.Helper()
	tr := tree{t: t, dir: t.TempDir()}
	for name, text := range files {
		tr.write(name, text)
	}
	return tr
}

func (tr tree) path(name string) string { return filepath.Join(tr.dir, name) }

func (tr tree) write(name, text string) {
	tr.t.Helper()
	tr.do(os.WriteFile(tr.path(name), []byte(text), 0o644))
}

func (tr tree) do(err error) {
	tr.t.Helper()
	if err != nil {
		tr.t.Fatal(err)
	}
}

// bench is a Source over a tree, with informers of all resources, as hnsproxy has them.
type bench struct {
	tree
	source    *Source
	informers map[Resource]cache.SharedIndexInformer

	mu     sync.Mutex
	said   []string
	events []string
}

// noWatchList makes reflectors list and watch as before KEP-3157.
type noWatchList struct{ cache.ListerWatcher }

func (noWatchList) IsWatchListSemanticsUnSupported() bool { return true }

// newBench follows paths in the tree, "." by default.
func newBench(tr tree, poll time.Duration, paths ...string) *bench {
	tr.t.Helper()
	b := &bench{tree: tr, informers: map[Resource]cache.SharedIndexInformer{}}
	o := Options{Validate: services.Validate, OnError: b.hear, Settle: 10 * time.Millisecond, Grace: 50 * time.Millisecond, Poll: poll}
	for _, path := range paths {
		o.Paths = append(o.Paths, tr.path(path))
	}
	ctx, cancel := context.WithCancel(tr.t.Context())
	var err error
	b.source, err = Open(ctx, o)
	tr.do(err)
	var running sync.WaitGroup
	for _, r := range allResources() {
		b.start(ctx, &running, r)
	}
	tr.t.Cleanup(func() {
		cancel()
		running.Wait()
		<-b.source.Done()
	})
	return b
}

// start runs an informer. That of Nodes uses list and watch, the others watch lists.
func (b *bench) start(ctx context.Context, running *sync.WaitGroup, r Resource) {
	lw := b.source.ListerWatcher(r, func(o *metav1.ListOptions) {
		if r == Services {
			o.FieldSelector = "spec.clusterIP!=None"
		}
	})
	if r == Nodes {
		lw = noWatchList{lw}
	}
	example := r.empty()
	i := cache.NewSharedIndexInformer(lw, example, 0, cache.Indexers{})
	b.informers[r] = i
	note := func(verb string) func(any) {
		return func(o any) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if m, ok := o.(metav1.Object); ok {
				b.events = append(b.events, verb+" "+m.GetName())
			}
		}
	}
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: note("add"), DeleteFunc: note("delete"),
		UpdateFunc: func(_, o any) { note("update")(o) },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	running.Go(func() { i.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), i.HasSynced) {
		b.t.Fatalf("the informer of %s did not sync", r)
	}
}

func (b *bench) hear(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, strings.ReplaceAll(err.Error(), b.dir+string(filepath.Separator), ""))
}

func (b *bench) errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

// state prints what the informers hold: "web 10.96.0.7:80 | web-1 2 | win-1".
func (b *bench) state() string {
	var parts []string
	for _, r := range allResources() {
		var one []string
		for _, o := range b.informers[r].GetStore().List() {
			switch o := o.(type) {
			case *corev1.Service:
				one = append(one, fmt.Sprintf("%s %s:%d", o.Name, o.Spec.ClusterIP, o.Spec.Ports[0].Port))
			case *discoveryv1.EndpointSlice:
				one = append(one, fmt.Sprintf("%s %d", o.Name, len(o.Endpoints)))
			case *corev1.Node:
				one = append(one, o.Name)
			}
		}
		slices.Sort(one)
		parts = append(parts, strings.Join(one, ", "))
	}
	return strings.Join(parts, " | ")
}

// until waits for the informers to hold what state prints.
func (b *bench) until(want string) {
	b.t.Helper()
	b.eventually(func() string { return b.state() }, want)
}

func (b *bench) eventually(got func() string, want string) {
	b.t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(b.t.Context(), time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		last = got()
		return last == want, nil
	})
	if err != nil {
		b.t.Fatalf("got  %s\nwant %s\nerrors %q", last, want, b.errors())
	}
}

// marked adds a Service that shows that everything before it has been seen.
func (b *bench) marked(name string) {
	b.t.Helper()
	b.write(name+".yaml", edit(web, "name: web", "name: "+name, "10.96.0.7", "10.96.1.1"))
	b.eventually(func() string {
		_, there, _ := b.informers[Services].GetStore().GetByKey("shop/" + name)
		return fmt.Sprint(there)
	}, "true")
}

// never is a poll that no test waits for.
const never = time.Hour

const all = "web 10.96.0.7:80 | web-1 2 | win-1"

var files = map[string]string{"web.yaml": web + "---\n" + webSlice, "node.yml": node, "ignored.txt": "{", ".hidden.yaml": "{"}

// TestInformers takes objects through their life as an editor does.
func TestInformers(t *testing.T) {
	b := newBench(newTree(t, files), never, ".")
	b.until(all)

	b.write("api.json", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"api","namespace":"shop"},"spec":{"clusterIP":"10.96.0.8","ports":[{"port":81}]}}`)
	b.until("api 10.96.0.8:81, web 10.96.0.7:80 | web-1 2 | win-1")

	b.write("web.yaml", edit(web, "port: 80\n", "port: 8080\n")+"---\n"+webSlice)
	b.until("api 10.96.0.8:81, web 10.96.0.7:8080 | web-1 2 | win-1")

	// Deleted within the file, and then the file.
	b.write("web.yaml", edit(web, "port: 80\n", "port: 8080\n"))
	b.until("api 10.96.0.8:81, web 10.96.0.7:8080 |  | win-1")
	b.do(os.Remove(b.path("api.json")))
	b.until("web 10.96.0.7:8080 |  | win-1")

	// A Service that becomes headless leaves the informer, whose selector says so.
	b.write("web.yaml", edit(web, "10.96.0.7", "None"))
	b.until(" |  | win-1")
	if errs := b.errors(); len(errs) > 0 {
		t.Errorf("errors: %q", errs)
	}
}

// TestMistakes: what is broken keeps its last good version, and is said once.
func TestMistakes(t *testing.T) {
	b := newBench(newTree(t, files), never, ".")
	b.until(all)

	// One object is wrong, the other changes.
	b.write("web.yaml", edit(web, "port: 80\n", "port: eighty\n")+"---\n"+edit(webSlice, "- addresses: [10.244.1.5]\n", ""))
	b.until("web 10.96.0.7:80 | web-1 1 | win-1")
	// The file is no YAML at all.
	b.write("web.yaml", "{{{ "+web)
	b.eventually(func() string { return fmt.Sprint(len(b.errors())) }, "2")
	// Much else happens: nothing goes, nothing is said again.
	b.marked("one")
	b.marked("two")
	b.until("one 10.96.1.1:80, two 10.96.1.1:80, web 10.96.0.7:80 | web-1 1 | win-1")
	want := []string{
		"web.yaml, document 1: Service shop/web: spec.ports.port: is a JSON string, but must be of type int32; " + remedyInvalid,
		"web.yaml, document 1: cannot be read: line 1: did not find expected ',' or '}'; fix it; until then the last valid contents of the file stay in effect",
	}
	if diff := cmp.Diff(want, b.errors()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	// Repaired, and broken again: said again.
	b.write("web.yaml", edit(web, "port: 80\n", "port: 8080\n"))
	b.until("one 10.96.1.1:80, two 10.96.1.1:80, web 10.96.0.7:8080 |  | win-1")
	b.write("web.yaml", "{{{ "+web)
	b.eventually(func() string { return fmt.Sprint(len(b.errors())) }, "3")
}

// TestRename: what moves between files neither goes nor comes.
func TestRename(t *testing.T) {
	b := newBench(newTree(t, files), never, ".")
	b.until(all)
	b.mu.Lock()
	b.events = nil
	b.mu.Unlock()
	b.do(os.Rename(b.path("web.yaml"), b.path("a.yaml")))
	b.marked("one")
	// As editors do: the old file aside, the new one into place, the old one away.
	b.do(os.Rename(b.path("a.yaml"), b.path("a.yaml~")))
	b.write("a.yaml.tmp", edit(web, "port: 80\n", "port: 8080\n")+"---\n"+webSlice)
	b.do(os.Rename(b.path("a.yaml.tmp"), b.path("a.yaml")))
	b.do(os.Remove(b.path("a.yaml~")))
	b.marked("two")
	b.until("one 10.96.1.1:80, two 10.96.1.1:80, web 10.96.0.7:8080 | web-1 2 | win-1")
	b.eventually(func() string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return strings.Join(b.events, ", ")
	}, "add one, update web, add two")
	if errs := b.errors(); len(errs) > 0 {
		t.Errorf("errors: %q", errs)
	}
}

// TestFile: a file that was named is not expected to go. When it does, what it gave stays;
// when it comes back, it is read.
func TestFile(t *testing.T) {
	b := newBench(newTree(t, files), never, "web.yaml")
	b.until("web 10.96.0.7:80 | web-1 2 | ")
	b.do(os.Remove(b.path("web.yaml")))
	b.eventually(func() string { return fmt.Sprint(len(b.errors())) }, "1")
	if err := b.errors()[0]; !strings.HasPrefix(err, "web.yaml: cannot be read: ") || !strings.HasSuffix(err, "; "+remedyUnread) {
		t.Errorf("error %q", err)
	}
	b.until("web 10.96.0.7:80 | web-1 2 | ")
	b.write("web.yaml", edit(web, "port: 80\n", "port: 8080\n"))
	b.until("web 10.96.0.7:8080 |  | ")
}

func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		fired := func(q *quiet) time.Duration { return (<-q.timer.C).Sub(begin) }
		q := newQuiet(time.Second)
		q.heard(time.Now())
		<-time.After(900 * time.Millisecond)
		q.heard(time.Now())
		if got := fired(q); got != 1900*time.Millisecond {
			t.Errorf("fired after %v, want 1 s after the last word", got)
		}
		if !q.waiting() {
			t.Error("not waiting before done")
		}
		q.done()
		if q.waiting() {
			t.Error("waiting after done")
		}
		begin = time.Now()
		talk, stop := context.WithCancel(t.Context())
		var talking sync.WaitGroup
		talking.Go(func() {
			for talk.Err() == nil {
				q.heard(time.Now())
				<-time.After(500 * time.Millisecond)
			}
		})
		if got := fired(q); got != patience*time.Second {
			t.Errorf("fired after %v of endless talk, want %d s", got, patience)
		}
		stop()
		talking.Wait()
	})
}
