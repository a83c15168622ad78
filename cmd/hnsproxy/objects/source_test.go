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
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
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

// bench is a running Source over a tree, and what it told.
type bench struct {
	tree
	source *Source

	mu     sync.Mutex
	has    view
	said   []string
	events []string
}

// view is what somebody has who only hears of changes.
type view map[key]metav1.Object

// change is an Options.OnChange. It returns the change in words.
func (v view) change(r Resource, old, obj metav1.Object) string {
	what, named := "update", obj
	switch {
	case old == nil:
		what = "add"
	case obj == nil:
		what, named = "delete", old
	}
	k := keyOf(r, named)
	if !equality.Semantic.DeepEqual(v[k], old) {
		what = "wrong " + what
	}
	if v[k] = obj; obj == nil {
		delete(v, k)
	}
	return what + " " + k.name
}

// newBench follows paths in the tree.
func newBench(tr tree, poll time.Duration, paths ...string) *bench {
	tr.t.Helper()
	b := &bench{tree: tr, has: view{}}
	o := Options{
		Validate: services.Validate, OnError: b.hear, OnChange: b.change,
		Settle: 10 * time.Millisecond, Grace: 50 * time.Millisecond, Poll: poll,
	}
	for _, path := range paths {
		o.Paths = append(o.Paths, tr.path(path))
	}
	ctx, cancel := context.WithCancel(tr.t.Context())
	var err error
	b.source, err = Open(ctx, o)
	tr.do(err)
	var running sync.WaitGroup
	running.Go(func() { b.source.Run(ctx) })
	tr.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return b
}

func (b *bench) change(r Resource, old, obj metav1.Object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, b.has.change(r, old, obj))
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

// state prints what there is by all that was told: "web 10.96.0.7:80 | web-1 2 | win-1".
func (b *bench) state() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var parts []string
	for _, r := range allResources() {
		var one []string
		for k, o := range b.has {
			if k.resource != r {
				continue
			}
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

// until waits for what state prints.
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
	b.eventually(func() string { return fmt.Sprint(b.source.Get(Services, "shop", name) != nil) }, "true")
}

// never is a poll that no test waits for.
const never = time.Hour

const all = "web 10.96.0.7:80 | web-1 2 | win-1"

var files = map[string]string{"web.yaml": web + "---\n" + webSlice, "node.yml": node, "ignored.txt": "{", ".hidden.yaml": "{"}

// TestFollow takes objects through their life as an editor does.
func TestFollow(t *testing.T) {
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

	b.write("web.yaml", edit(web, "10.96.0.7", "None"))
	b.until("web None:80 |  | win-1")
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
