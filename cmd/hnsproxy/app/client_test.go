// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// apiServer answers lists in protobuf, refuses to stream them, takes Events, and notes what
// it was asked.
type apiServer struct {
	lists map[string]runtime.Object
	mu    sync.Mutex
	asked map[string]url.Values
	heads []http.Header
	// events are "<type> <reason> on <kind> <name> <uid> by <controller> on <instance>: <note>".
	events []string
}

// ServeHTTP implements http.Handler.
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.heads = append(s.heads, r.Header)
	s.mu.Unlock()
	if r.Method == http.MethodPost {
		s.create(w, r)
		return
	}
	query := r.URL.Query()
	s.mu.Lock()
	s.asked[r.URL.Path] = query
	s.mu.Unlock()
	switch {
	case query.Get("sendInitialEvents") != "":
		s.answer(w, http.StatusUnprocessableEntity, &metav1.Status{
			Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity,
		})
	case query.Get("watch") != "":
		w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		s.answer(w, http.StatusOK, s.lists[r.URL.Path])
	}
}

// create takes an Event.
func (s *apiServer) create(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a client that hung up
	obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	e, ok := obj.(*eventsv1.Event)
	if err != nil || !ok || r.URL.Path != "/apis/events.k8s.io/v1/namespaces/"+e.Namespace+"/events" {
		http.Error(w, "no Event", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.events = append(s.events, fmt.Sprintf("%s %s on %s %s %s by %s on %s: %s", e.Type, e.Reason,
		e.Regarding.Kind, e.Regarding.Name, e.Regarding.UID, e.ReportingController, e.ReportingInstance, e.Note))
	s.mu.Unlock()
	s.answer(w, http.StatusCreated, e)
}

func (s *apiServer) answer(w http.ResponseWriter, code int, obj runtime.Object) {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	gv := corev1.SchemeGroupVersion
	switch obj.(type) {
	case *discoveryv1.EndpointSliceList:
		gv = discoveryv1.SchemeGroupVersion
	case *eventsv1.Event:
		gv = eventsv1.SchemeGroupVersion
	}
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	w.WriteHeader(code)
	_ = scheme.Codecs.EncoderForVersion(info.Serializer, gv).Encode(obj, w) // a client that hung up
}

// newAPIServer serves one Service, its slice and the Node "me" until the test ends.
func newAPIServer(t *testing.T, svc *corev1.Service) (s *apiServer, address string) {
	t.Helper()
	meta := metav1.ListMeta{ResourceVersion: "1"}
	s = &apiServer{asked: map[string]url.Values{}, lists: map[string]runtime.Object{
		"/api/v1/services": &corev1.ServiceList{ListMeta: meta, Items: []corev1.Service{*svc}},
		"/apis/discovery.k8s.io/v1/endpointslices": &discoveryv1.EndpointSliceList{
			ListMeta: meta, Items: []discoveryv1.EndpointSlice{*fatSlice()},
		},
		"/api/v1/nodes": &corev1.NodeList{ListMeta: meta, Items: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "me", UID: "n-1"}}}},
	}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

// TestAPIServer: objects come by protobuf, with kube-proxy's selectors, and reach HNS.
func TestAPIServer(t *testing.T) {
	t.Parallel()
	s, address := newAPIServer(t, fatService())
	r := start(t, func(o *Options, _ *Deps) { o.Hostname, o.Master = "me", address })
	r.eventually("program what the API server says", func() bool {
		return slices.Contains(r.frontends(), "shop/web ingressip 203.0.113.1:80/TCP programmed 10.244.1.5* :8080")
	})
	r.stop()

	s.mu.Lock()
	defer s.mu.Unlock()
	got := map[string][2]string{}
	for path, query := range s.asked {
		got[path] = [2]string{query.Get("labelSelector"), query.Get("fieldSelector")}
	}
	want := map[string][2]string{
		"/api/v1/services":                         {"!service.kubernetes.io/service-proxy-name", "spec.clusterIP!=None"},
		"/apis/discovery.k8s.io/v1/endpointslices": {"!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name", ""},
		"/api/v1/nodes":                            {"", "metadata.name=me"},
	}
	for path, selectors := range got {
		labels := strings.Split(selectors[0], ",")
		slices.Sort(labels)
		got[path] = [2]string{strings.Join(labels, ","), selectors[1]}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("selectors (-want +got):\n%s", diff)
	}
	for _, h := range s.heads {
		if !strings.HasPrefix(h.Get("Accept"), runtime.ContentTypeProtobuf) || !strings.HasPrefix(h.Get("User-Agent"), "hnsproxy/") {
			t.Errorf("request with Accept %q, User-Agent %q", h.Get("Accept"), h.Get("User-Agent"))
		}
	}
}

// TestRestConfig: --master outranks the kubeconfig, limits are those of the flags.
func TestRestConfig(t *testing.T) {
	t.Parallel()
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"c",
		"contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],
		"clusters":[{"name":"k","cluster":{"server":"https://from-file:6443"}}],
		"users":[{"name":"u","user":{"token":"t"}}]}`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := NewOptions()
	o.Kubeconfig, o.QPS, o.Burst = kubeconfig, 7, 8
	for master, want := range map[string]string{"": "https://from-file:6443", "https://from-flag": "https://from-flag"} {
		o.Master = master
		c, err := restConfig(o)
		if err != nil {
			t.Fatal(err)
		}
		if c.Host != want || c.QPS != 7 || c.Burst != 8 || c.ContentType != runtime.ContentTypeProtobuf || c.BearerToken != "t" {
			t.Errorf("--master=%q: host %s, QPS %v, burst %d, content type %s", master, c.Host, c.QPS, c.Burst, c.ContentType)
		}
	}
}

// TestOwnClusterIP: a Windows node does not reach the API server by the cluster IP that this
// program has yet to make work.
func TestOwnClusterIP(t *testing.T) {
	for _, tc := range []struct {
		name, hns, host string
		refused         bool
	}{
		{"as the kubelet sets it", HCN, "10.96.0.1", true},
		{"the Pod says another address", HCN, "10.0.0.2", false},
		{"the emulator runs anywhere", Emulator, "10.96.0.1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", tc.host)
			t.Setenv("KUBERNETES_SERVICE_PORT", "443")
			t.Setenv("KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1")
			_, err := restConfig(&Options{HNS: tc.hns})
			if errors.Is(err, errClusterIP) != tc.refused {
				t.Errorf("%v, want refused %v", err, tc.refused)
			}
		})
	}
}
