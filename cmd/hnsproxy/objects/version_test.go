// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	order "cmp"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// looks is a source that looks at a tree when it is told to, on virtual time.
type looks struct {
	tree
	source *Source
	said   []string
	// changes is how many it told of.
	changes int
}

func newLooks(t *testing.T, files map[string]string) *looks {
	t.Helper()
	l := &looks{tree: newTree(t, files)}
	l.source = newSource(Options{
		Paths: []string{l.dir}, Validate: services.Validate, Grace: time.Second,
		OnError: func(err error) {
			l.said = append(l.said, strings.ReplaceAll(err.Error(), l.dir+string(os.PathSeparator), ""))
		},
		OnChange: func(Resource, metav1.Object, metav1.Object) { l.changes++ },
	})
	l.source.look(t.Context())
	return l
}

// after looks once the time has passed.
func (l *looks) after(d time.Duration) bool {
	<-time.After(d)
	return l.source.look(l.t.Context())
}

// objects prints all that the source gives, in full.
func (l *looks) objects() string {
	l.t.Helper()
	var out strings.Builder
	for _, k := range l.keys() {
		text, err := json.Marshal(l.source.objects[k])
		l.do(err)
		out.Write(append(text, '\n'))
	}
	return out.String()
}

// keys are in the order Service, EndpointSlice, Node, which is not that of their words.
func (l *looks) keys() []key {
	return slices.SortedFunc(maps.Keys(l.source.objects), func(a, b key) int {
		return order.Or(slices.Index(allResources(), a.resource)-slices.Index(allResources(), b.resource), a.compare(b))
	})
}

func (l *looks) names() string {
	var out []string
	for _, k := range l.keys() {
		out = append(out, k.name)
	}
	return strings.Join(out, " ")
}

// TestGrace: what is missing goes when its file has not changed for a while, and not before.
func TestGrace(t *testing.T) {
	type step struct {
		name  string // what is done to web.yaml
		text  string // written; "-" removes the file, "=" leaves it
		after time.Duration
		want  string
		again bool
	}
	const soon, almost, tick = time.Millisecond, 999 * time.Millisecond, time.Millisecond
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"removed", []step{
			{"it goes", "-", soon, "web web-1 win-1", true},
			{"the time is not over", "=", almost, "web web-1 win-1", true},
			{"it is over", "=", tick, "win-1", false},
		}},
		{"removed and made again", []step{
			{"it goes", "-", soon, "web web-1 win-1", true},
			{"it comes back, shorter", web, almost, "web web-1 win-1", true},
			{"that was its last word", "=", time.Second, "web win-1", false},
		}},
		{"written slowly", []step{
			{"truncated", "", soon, "web web-1 win-1", true},
			{"the first object", web, almost, "web web-1 win-1", true},
			{"the separator", web + "---\n", almost, "web web-1 win-1", true},
			{"half the second", web + "---\n" + webSlice[:strings.Index(webSlice, "endpoints:")], almost, "web web-1 win-1", true},
			{"all of it", web + "---\n" + webSlice, almost, "web web-1 win-1", false},
			{"for ever", "=", time.Hour, "web web-1 win-1", false},
		}},
		{"deleted within the file", []step{
			{"one document less", web, soon, "web web-1 win-1", true},
			{"a moment later", "=", almost, "web web-1 win-1", true},
			{"it is meant", "=", tick, "web win-1", false},
			{"the other", "# nothing\n", soon, "web win-1", true},
			{"it is meant as well", "=", time.Second, "win-1", false},
		}},
		{"emptied", []step{
			{"truncated", "\n", soon, "web web-1 win-1", true},
			{"for ever", "=", time.Hour, "web web-1 win-1", false},
			{"a comment", "# nothing\n", soon, "web web-1 win-1", true},
			{"is an answer", "=", time.Second, "win-1", false},
		}},
		{"moved to another file", []step{
			{"a longer file", "# " + strings.Repeat("x", 999) + "\n" + webSlice, soon, "web web-1 win-1", true},
			{"which does not change", "=", time.Second, "web-1 win-1", false},
		}},
		{"broken, then emptied", []step{
			{"broken", "{{{ " + web, soon, "web web-1 win-1", true},
			{"for ever", "=", time.Hour, "web web-1 win-1", false},
			{"emptied", "", soon, "web web-1 win-1", true},
			{"for ever", "=", time.Hour, "web web-1 win-1", false},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLooks(t, files)
				for _, s := range tc.steps {
					switch s.text {
					case "=":
					case "-":
						l.do(os.Remove(l.path("web.yaml")))
					default:
						l.write("web.yaml", s.text)
					}
					if again := l.after(s.after); again != s.again || l.names() != s.want {
						t.Errorf("%s: %q, want %q; another look is due: %v, want %v", s.name, l.names(), s.want, again, s.again)
					}
				}
			})
		})
	}
}

// TestHalfSaved saves each part of a file, from nothing to all but the last byte: nothing
// may change before the time is over, and nothing ever when the part cannot be a whole file.
func TestHalfSaved(t *testing.T) {
	list := "apiVersion: v1\nitems:\n"
	for _, text := range []string{web, webSlice, node} {
		list += "- " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
	}
	list += "kind: List\n"
	documents := web + "---\n" + webSlice + "---\n" + node
	inJSON := `{"items":[{"apiVersion":"v1","kind":"Service","metadata":{"name":"api"},"spec":{"clusterIP":"10.96.0.8","ports":[{"port":81}]}},` +
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"win-1"}}],"apiVersion":"v1","kind":"List"}`
	for _, tc := range []struct {
		name, before, saved string
		stride              int
	}{
		{"documents", documents, documents, 1},
		{"documents, edited at the top", documents, "# edited\n" + documents, 7},
		{"documents, edited within", documents, edit(documents, "port: 80\n", "port: 443\n"), 7},
		{"a List", list, list, 3},
		{"JSON", inJSON, inJSON, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLooks(t, map[string]string{"a.yaml": tc.before})
				want, changes := l.objects(), l.changes
				unchanged := func(part string, errors int) {
					t.Helper()
					if l.changes != changes || len(l.said) != errors {
						t.Fatalf("saved %q: errors %q (-want +got):\n%s", part, l.said, cmp.Diff(want, l.objects()))
					}
				}
				for n := 0; n < len(tc.saved); n += tc.stride {
					part := tc.saved[:n]
					l.write("a.yaml", part)
					l.after(0)
					l.after(999 * time.Millisecond)
					unchanged(part, 0)
					if strings.HasSuffix(part, "\n") {
						continue // which may be all of it, once the time is over
					}
					l.after(time.Hour)
					unchanged(part, 1)
					l.said = nil
				}
			})
		})
	}
}

// TestHalfSavedIsTold: who meant it learns how to say so.
func TestHalfSavedIsTold(t *testing.T) {
	for text, want := range map[string]string{
		"": "web.yaml: is empty, possibly because it is being written; until it is saved completely, its last valid contents stay in effect; " +
			"to delete its objects, remove the file or leave only a comment in it",
		strings.TrimSpace(web): "web.yaml: does not end with a newline, possibly because it is being written; until it is saved completely, its last valid contents stay in effect; " +
			"if the file is complete, end its last line",
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLooks(t, files)
			l.write("web.yaml", text)
			l.after(0)
			l.after(time.Second)
			l.after(time.Hour)
			if diff := cmp.Diff([]string{want}, l.said); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
