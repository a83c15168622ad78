// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// childURL is set in the process that TestProcessMemory measures: this test program again,
// as a hnsproxy that watches the API server at that address.
const childURL = "HNSPROXY_MEMORY_CHILD"

// TestProcessMemory holds the memory of the whole process, informers and HTTP client
// included, at 10,000 Services of 15 endpoints with GOGC at its default. HNS is a driver
// that keeps nothing, as on Windows HNS is another process.
func TestProcessMemory(t *testing.T) {
	if url := os.Getenv(childURL); url != "" {
		beTheProcess(t, url)
		return
	}
	const bar = 300 << 10 // KiB
	c := newCluster(10000, 15)
	server := httptest.NewServer(apiServer(c))
	defer server.Close()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessMemory$", "-test.v")
	child.Env = append(os.Environ(), childURL+"="+server.URL, "GOGC=100")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("the measured process failed: %v\n%s", err, out)
	}
	found := regexp.MustCompile(`resident (\d+) KiB, peak (\d+) KiB`).FindStringSubmatch(string(out))
	if found == nil {
		t.Fatalf("the measured process said nothing:\n%s", out)
	}
	resident, _ := strconv.Atoi(found[1])
	peak, _ := strconv.Atoi(found[2])
	t.Logf("process: resident %d MiB, peak %d MiB, bar %d MiB", resident>>10, peak>>10, bar>>10)
	if peak > bar {
		t.Errorf("the process took %d MiB at its peak, bar %d MiB", peak>>10, bar>>10)
	}
}

// beTheProcess is a hnsproxy until it has programmed everything, and prints what it took.
func beTheProcess(t *testing.T, url string) {
	t.Helper()
	o := app.NewOptions()
	o.Master, o.Hostname, o.Network, o.ContentType = url, "this", "pods", "application/json"
	o.HealthzBindAddress, o.MetricsBindAddress = "", "127.0.0.1:0"
	o.SyncPeriod = 24 * time.Hour // the driver keeps nothing that an audit could find
	if err := o.Complete(app.Host{Getenv: os.Getenv, Hostname: os.Hostname}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	started := make(chan *proxier.Proxier, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, *o, app.Deps{Driver: forgetful(), OnStart: func(s app.Started) { started <- s.Proxier }})
	}()
	p := <-started
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) {
		return p.Table().Counts()[proxier.Programmed] == 10000, nil
	})
	if err != nil {
		t.Fatalf("not programmed in time: %v, %v", err, p.Table().Counts())
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident %s KiB, peak %s KiB", kib(status, "VmRSS"), kib(status, "VmHWM"))
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func kib(status []byte, field string) string {
	found := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		return "?"
	}
	return string(found[1])
}

// apiServer answers watch lists of a cluster as API servers do since Kubernetes 1.34:
// every object as an event, then a bookmark, then nothing new.
func apiServer(c *cluster) http.Handler {
	mux := http.NewServeMux()
	serve := func(path, apiVersion, kind string, n int, object func(i int) any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("sendInitialEvents") != "true" {
				http.Error(w, "only watch lists are served", http.StatusNotImplemented)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			enc := json.NewEncoder(w)
			for i := range n {
				_ = enc.Encode(map[string]any{"type": "ADDED", "object": object(i)})
			}
			_ = enc.Encode(map[string]any{"type": "BOOKMARK", "object": metav1.PartialObjectMetadata{
				TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
				ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1",
					Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}},
			}})
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
	}
	serve("/api/v1/services", "v1", "Service", c.services, func(i int) any { return full(c.service(i)) })
	serve("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice", c.services, func(i int) any {
		return fullSlice(c.slice(i))
	})
	serve("/api/v1/nodes", "v1", "Node", 1, func(int) any {
		return &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "this", ResourceVersion: "1"}}
	})
	return mux
}

// full adds what objects of a real cluster carry and a proxy does not need.
func full(s *corev1.Service) *corev1.Service {
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}
	s.UID, s.ResourceVersion = "9a4f2e6c-0000-4000-8000-000000000000", "1"
	s.Labels = map[string]string{"app": s.Name, "team": "payments", "helm.sh/chart": "web-1.2.3"}
	s.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": strings.Repeat("x", 600)}
	s.ManagedFields = managed()
	return s
}

func fullSlice(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	s.TypeMeta = metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"}
	s.UID, s.ResourceVersion = "9a4f2e6c-0000-4000-8000-000000000001", "1"
	s.ManagedFields = managed()
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		e.Zone = new("zone-a")
		e.Conditions = discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)}
		e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: s.Namespace, Name: s.Name + "-7d9f8b6c5d-abcde", UID: "9a4f2e6c-0000-4000-8000-000000000002"}
	}
	return s
}

func managed() []metav1.ManagedFieldsEntry {
	return []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:ports":{` + strings.Repeat(`"f:x":{},`, 40) + `"f:y":{}}}}`)}}
}

// forgetful returns an HNS that says yes and keeps nothing.
func forgetful() hnslb.Driver {
	return hnslb.Intercept(nil, func(_ context.Context, c hnslb.Call, _ hnslb.Next) (any, error) {
		switch c.Verb {
		case hnslb.VerbFeatures:
			return hnslb.FeaturesOf(hnslb.Version{Major: 15, Minor: 5}), nil
		case hnslb.VerbNetwork:
			return hnslb.Network{ID: "network", Name: c.Object, Type: "L2Bridge"}, nil
		case hnslb.VerbCreateEndpoint:
			e, _ := c.Argument.(hnslb.Endpoint)
			e.ID = hnslb.ID(uuid.NewString())
			return e, nil
		case hnslb.VerbCreateLoadBalancer:
			lb, _ := c.Argument.(hnslb.LoadBalancer)
			lb.ID = hnslb.ID(uuid.NewString())
			return lb, nil
		case hnslb.VerbUpdateLoadBalancer:
			return c.Argument, nil
		}
		return nil, nil
	})
}
