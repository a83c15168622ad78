// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/doctor"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// TestDoctor runs the command on a node that is well and on one that is not.
func TestDoctor(t *testing.T) {
	t.Parallel()
	e, hns := emulated(t)
	balance(t, e, "10.96.0.10", dsr, "10.244.1.5", "10.244.2.7")
	args := []string{"doctor", "--network-name=Calico", "--hns-driver=emulator", "--server=" + running(t)}
	out, _, err := execute(t, testHost(hns), args...)
	if err != nil || !strings.Contains(out, "HNS 13.2, Windows 10.0.20348.2700") || !strings.Contains(out, "the API server: there is no cluster") {
		t.Errorf("%v\n%s", err, out)
	}
	remote(t, e, "10.244.2.9")
	out, _, err = execute(t, testHost(hns), append(args, "-o", "json")...)
	var doc examination
	if !errors.Is(err, ErrFound) || json.Unmarshal([]byte(out), &doc) != nil || doc.Findings[0].Name != "leaked-endpoints" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _, err = execute(t, testHost(hns), args...); !strings.Contains(out, "\nWARNING leaked-endpoints: ") || err == nil || err.Error() != "0 errors and 1 warning found" {
		t.Errorf("%v\n%s", err, out)
	}
	for _, bad := range [][]string{{"--service-node-port-range=9-1"}, {"-o", "x"}, {"stray"}} {
		if _, _, err := execute(t, testHost(hns), append(args, bad...)...); err == nil || !strings.Contains(err.Error(), "invalid command line") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestAskAPI asks an API server for the node, rights and the time.
func TestAskAPI(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().Add(-time.Minute).Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		var answer any
		switch r.URL.Path {
		case "/api/v1/nodes/win-node-1":
			answer = corev1.Node{TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "win-node-1"},
				Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.5"}}}}
		case "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
			var in authorizationv1.SelfSubjectAccessReview
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				t.Error(err)
				return
			}
			in.Status.Allowed = in.Spec.ResourceAttributes.Resource != "endpointslices"
			in.TypeMeta = metav1.TypeMeta{Kind: "SelfSubjectAccessReview", APIVersion: "authorization.k8s.io/v1"}
			answer = in
		default:
			w.WriteHeader(http.StatusNotFound)
			answer = metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: 404}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	config := &rest.Config{Host: s.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	f := &doctor.Facts{Node: "win-node-1"}
	got := askAPI(t.Context(), config, f, now)
	if got.Error != nil || got.NodeMissing || got.Skew != time.Minute || strings.Join(got.Denied, ",") != "list endpointslices,watch endpointslices" ||
		len(f.NodeIPs) != 1 || f.NodeIPs[0] != ip("10.0.0.5") || len(f.Unknown) > 0 {
		t.Errorf("got %+v, facts %+v", got, f)
	}
	if got := askAPI(t.Context(), config, &doctor.Facts{Node: "gone"}, now); !got.NodeMissing {
		t.Errorf("got %+v", got)
	}
	if got := askAPI(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, f, now); got.Error == nil {
		t.Errorf("got %+v", got)
	}
}

// TestDump makes a bundle, and looks at it.
func TestDump(t *testing.T) {
	t.Parallel()
	e, hns := emulated(t)
	balance(t, e, "10.96.0.10", dsr, "10.244.1.5", "10.244.2.7")
	path := filepath.Join(t.TempDir(), "node.zip")
	out, left, err := execute(t, testHost(hns), "dump", "--hns-driver=emulator", "--anonymize", "--output-file="+path, "--server="+running(t))
	if err != nil || !strings.Contains(out, "Wrote 7 parts to ") || !strings.Contains(left, "Left out is configuration.json") {
		t.Fatalf("%v\n%s%s", err, out, left)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"hns.json": `"Name": "network-1"`, "status.json": `"service": "namespace-1/service-1"`,
		"metrics.txt": "hnsproxy_pending 0", "flags.txt": "hostname-override=node-1", "doctor.json": `"node": "node-1"`, "version.txt": "hnsproxy/test", "missing.txt": "configuration"} {
		part, err := inBundle(body, name)
		if err != nil || !strings.Contains(string(part), want) || strings.Contains(string(part), "Calico") || strings.Contains(string(part), "win-node-1") {
			t.Errorf("%s: %v\n%s", name, err, part)
		}
	}
	if out, _, err := execute(t, testHost(HNS{}), "trace", "10.244.1.9", "10.96.0.10:80", "--file="+path); err != nil || !strings.Contains(out, "10.244.1.5:8080") {
		t.Errorf("trace: %v\n%s", err, out)
	}
	if out, _, err := execute(t, testHost(HNS{}), "doctor", "--file="+path); err != nil || !strings.Contains(out, "HNS 13.2") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	// A node on which nothing answers still gives what there is.
	broken := testHost(HNS{Driver: hns.Driver, Names: hns.Names})
	e.Stop()
	if out, left, err := execute(t, broken, "dump", "--hns-driver=emulator", "--output-file="+path, "--server=http://127.0.0.1:1"); err != nil ||
		!strings.Contains(out, "Wrote 3 parts") || !strings.Contains(left, "hns.json: read HNS") {
		t.Errorf("%v\n%s%s", err, out, left)
	}
}
