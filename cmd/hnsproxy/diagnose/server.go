// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/pages"
	"github.com/spf13/pflag"
)

const (
	// askPeriod is how long the running hnsproxy may take to answer.
	askPeriod = 10 * time.Second
	// longestAnswer of it, in bytes: a hundred times that of a large cluster.
	longestAnswer = 1 << 30
)

// server is the running hnsproxy, by its metrics port.
type server struct {
	url, tokenFile, caFile string
}

func newServer() server { return server{url: "http://127.0.0.1:10249"} }

// addFlags adds the flags that say where it is.
func (s *server) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&s.url, "server", s.url, "`URL` of the metrics port of the hnsproxy that runs on this node, as --metrics-bind-address says.")
	fs.StringVar(&s.tokenFile, "token-file", s.tokenFile, "`FILE` with the bearer token to show, where hnsproxy runs with --hns-metrics-authorization.")
	fs.StringVar(&s.caFile, "certificate-authority", s.caFile, "`FILE` with the certificates that vouch for the one of the metrics port, "+
		"where hnsproxy serves it by HTTPS; those of the system by default.")
}

// client returns an HTTP client, and the page's address on the server.
func (s *server) client() (*http.Client, *url.URL, error) {
	base, err := url.Parse(s.url)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, nil, options.Invalid("server", s.url, "is no URL of a metrics port", "write it like http://127.0.0.1:10249")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--certificate-authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, options.Invalid("certificate-authority", s.caFile, "has no certificate", "give a file in PEM")
		}
	}
	// A proxy of the environment would not reach this machine.
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, base, nil
}

// get returns a page.
func (s *server) get(ctx context.Context, page string, query url.Values) ([]byte, error) {
	client, at, err := s.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	ctx, stop := context.WithTimeout(ctx, askPeriod)
	defer stop()
	at = at.JoinPath(page)
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	if s.tokenFile != "" {
		token, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask hnsproxy: %w; is it running on this node, with this --metrics-bind-address?", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of hnsproxy: %w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s: %s", at, resp.Status, strings.TrimSpace(string(body[:min(len(body), 500)])))
	}
	return body, nil
}

// frontends asks for the frontends that match a query, see pages.Frontends.
func (s *server) frontends(ctx context.Context, query url.Values) (pages.FrontendsDocument, error) {
	var out pages.FrontendsDocument
	body, err := s.get(ctx, "/debug/frontends", query)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, fmt.Errorf("%s is no metrics port of hnsproxy: %w", s.url, err)
	}
	return out, nil
}
