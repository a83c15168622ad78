// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/preview"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// programmed runs hnsproxy on the example until everything is programmed, and returns the
// objects and the state of its HNS.
func programmed(t *testing.T) (dir, state string) {
	t.Helper()
	dir, state = example(t), filepath.Join(t.TempDir(), "hns.json")
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.Emulated.State = []string{dir}, state })
	r.settled()
	r.stop()
	return dir, state
}

// TestPlanDiff: nothing for an unchanged cluster; for edits, each object of HNS once, with the
// reason. HNS stays as it is, whether it is read by the driver or from a file.
func TestPlanDiff(t *testing.T) {
	dir, state := programmed(t)
	before, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	sources := [][]string{{"--hns-emulator-state=" + state}, {"--file=" + state}}
	for _, source := range sources {
		out, _, err := execute(t, append([]string{"plan", "--diff", "--objects", dir, "--hostname-override=win-node-1"}, source...)...)
		if err != nil || !strings.Contains(out, "No changes: HNS holds what the Services need.\n") {
			t.Errorf("%v: %v\n%s", source, err, out)
		}
	}
	edit(t, dir, "kube-dns.yaml", "10.244.0.6", "10.244.0.9")
	edit(t, dir, "windows-exporter.yaml", "10.244.1.40", "10.244.1.41")
	for _, source := range sources {
		// A node's own flags may be given, with or without meaning here.
		out, _, err := execute(t, append([]string{"plan", "--diff", "--objects", dir, "--hostname-override=win-node-1", "--v=2", "--metrics-bind-address=0.0.0.0:10249"}, source...)...)
		if ExitCode(err) != ExitFound {
			t.Errorf("%v: %v", source, err)
		}
		_, changes, _ := strings.Cut(out, "\n\n")
		golden(t, "plan-diff.txt", changes)
		out, _, _ = execute(t, append([]string{"plan", "--diff", "--objects", dir, "--hostname-override=win-node-1", "-o", "json"}, source...)...)
		var doc struct{ Changes []preview.Change }
		if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Changes) != 5 || doc.Changes[1].Action != preview.Replace ||
			doc.Changes[1].ID == "" || doc.Changes[1].Services[0] != "kube-system/kube-dns" {
			t.Errorf("%v\n%s", err, out)
		}
		if out, _, _ = execute(t, append([]string{"plan", "--diff", "--objects", dir, "--hostname-override=win-node-1", "-o", "wide"}, source...)...); !strings.Contains(out, "10.244.0.5,10.244.0.9") {
			t.Errorf("wide:\n%s", out)
		}
	}
	if after, err := os.ReadFile(state); err != nil || string(after) != string(before) {
		t.Errorf("the plan changed the state file, %v", err)
	}
	for _, args := range [][]string{{"--file=" + state}, {"--diff", "-o", "x"}} {
		if _, _, err := execute(t, append([]string{"plan", "--objects", dir}, args...)...); ExitCode(err) != ExitInvalid {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, _, err := execute(t, "plan", "--diff", "--objects", dir, "--file="+state, "--network-name=other"); ExitCode(err) != ExitFailed {
		t.Errorf("another network: %v", err)
	}
}

// TestPlanDiffAPI: without files, the Services are those of the API server, selected as hnsproxy
// selects them.
func TestPlanDiffAPI(t *testing.T) {
	dir, state := programmed(t)
	all, problems := objects.Read(t.Context(), objects.Options{Paths: []string{dir}, Validate: services.Validate})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	selectors := map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		selectors[r.URL.Path] = q.Get("labelSelector") + "|" + q.Get("fieldSelector")
		var list any
		switch r.URL.Path {
		case "/api/v1/services":
			l := corev1.ServiceList{TypeMeta: metav1.TypeMeta{Kind: "ServiceList", APIVersion: "v1"}}
			for _, o := range all.Services {
				l.Items = append(l.Items, *o)
			}
			list = l
		case "/apis/discovery.k8s.io/v1/endpointslices":
			l := discoveryv1.EndpointSliceList{TypeMeta: metav1.TypeMeta{Kind: "EndpointSliceList", APIVersion: "discovery.k8s.io/v1"}}
			for _, o := range all.EndpointSlices {
				l.Items = append(l.Items, *o)
			}
			list = l
		case "/api/v1/nodes":
			l := corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}}
			for _, o := range all.Nodes {
				l.Items = append(l.Items, *o)
			}
			list = l
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	}))
	t.Cleanup(s.Close)
	args := []string{"plan", "--diff", "--master=" + s.URL, "--kube-api-content-type=application/json", "--hostname-override=win-node-1", "--file=" + state}
	if out, _, err := execute(t, args...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	want := map[string]string{
		"/api/v1/services":                         services.ServiceSelector + "|spec.clusterIP!=None",
		"/apis/discovery.k8s.io/v1/endpointslices": services.SliceSelector + "|",
		"/api/v1/nodes":                            "|metadata.name=win-node-1",
	}
	if diff := cmp.Diff(want, selectors); diff != "" {
		t.Errorf("selectors (-want +got):\n%s", diff)
	}
	s.Close()
	if _, _, err := execute(t, args...); ExitCode(err) != ExitFailed {
		t.Errorf("API server away: %v", err)
	}
}
