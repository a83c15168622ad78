// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/harness"
)

// TestAccess serves metrics by HTTPS and has the API server decide who reads them, with the
// rights that the shipped manifests give, to hnsproxy and to the reader.
func TestAccess(t *testing.T) {
	l := newLab(t)
	l.user = harness.User()
	l.must(l.plane.ApplyFile(t.Context(), "../../deploy/rbac.yaml"))
	l.must(l.plane.ApplyFile(t.Context(), "../../deploy/rbac-metrics.yaml"))
	reader, stranger := l.account("prometheus", "hnsproxy-metrics-reader"), l.account("stranger", "")

	chain, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	l.must(err)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	l.must(os.WriteFile(certFile, chain, 0o600))
	l.must(os.WriteFile(keyFile, key, 0o600))
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(chain) {
		t.Fatal("the certificate is none")
	}
	secure := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	get := func(ctx context.Context, path, token string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+l.addresses["metrics"]+path, nil)
		if err != nil {
			return nil, err
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := secure.Do(r)
		if err != nil {
			return nil, err
		}
		return response, response.Body.Close()
	}
	running := l.launch(l.hnsproxy, l.host, "--hns-metrics-tls-cert-file="+certFile, "--hns-metrics-tls-private-key-file="+keyFile, "--hns-metrics-authorization")
	l.await("metrics to be served", running, func(ctx context.Context) bool {
		_, err := get(ctx, "/healthz", "")
		return err == nil
	})
	for _, tt := range []struct {
		who, token, path string
		want             int
	}{
		{"nobody", "", "/healthz", http.StatusOK},
		{"nobody", "", "/healthz/ping", http.StatusOK},
		{"nobody", "", "/metrics", http.StatusUnauthorized},
		{"nobody", "", "/debug/frontends", http.StatusUnauthorized},
		{"nobody", "", "/configz", http.StatusUnauthorized},
		{"a liar", "made-up", "/metrics", http.StatusUnauthorized},
		{"a stranger", stranger, "/metrics", http.StatusForbidden},
		{"a reader", reader, "/metrics", http.StatusOK},
		{"a reader", reader, "/metrics", http.StatusOK},
		{"a reader", reader, "/metrics/slis", http.StatusOK},
		{"a reader", reader, "/debug/frontends", http.StatusForbidden},
		{"a reader", reader, "/configz", http.StatusForbidden},
	} {
		response, err := get(t.Context(), tt.path, tt.token)
		l.must(err)
		if response.StatusCode != tt.want || response.ProtoMajor != 1 {
			t.Errorf("%s gets %s: %s of %s, want %d", tt.who, tt.path, response.Status, response.Proto, tt.want)
		}
	}
	requests, err := l.plane.Requests(harness.User())
	l.must(err)
	asked := map[string]int{}
	for _, r := range requests {
		if strings.HasSuffix(r.Resource, "reviews") {
			asked[r.Resource]++
		}
	}
	// Three tokens, and five pairs of user and path, each asked for once.
	if asked["tokenreviews"] != 3 || asked["subjectaccessreviews"] != 5 {
		t.Errorf("the API server was asked %v", asked)
	}
	plain, err := ask(t.Context(), l.addresses, request{port: "metrics", method: http.MethodGet, path: "/healthz"})
	if err == nil && plain.status != http.StatusBadRequest {
		t.Errorf("without TLS: %d %s", plain.status, plain.body)
	}
	running.Stop()
}

// account makes a ServiceAccount, bound to a ClusterRole unless that is empty, and returns a
// token of it.
func (l *lab) account(name, role string) string {
	l.Helper()
	ctx, namespace := l.Context(), "default"
	_, err := l.plane.Admin.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	l.must(err)
	if role != "" {
		_, err = l.plane.Admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: namespace}},
		}, metav1.CreateOptions{})
		l.must(err)
	}
	config, err := l.plane.RESTConfig(ctx, controlplane.ServiceAccount(namespace, name))
	l.must(err)
	return config.BearerToken
}
