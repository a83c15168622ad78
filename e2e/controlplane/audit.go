// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
)

// auditPolicy makes the API server note what ServiceAccounts ask for. Those of the controllers are left out: they write more
// than all others together.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    users:
      - system:serviceaccount:kube-system:endpointslice-controller
      - system:serviceaccount:kube-system:generic-garbage-collector
      - system:serviceaccount:kube-system:daemon-set-controller
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: None
`

// Request is a request that a ServiceAccount made and that the API server answered. A watch counts when it begins, and once
// more if it was refused.
type Request struct {
	Verb, Resource string
	// Code is the status of the answer.
	Code int
	// UserAgent is what the client called itself.
	UserAgent string
}

func (c *ControlPlane) auditPolicyPath() string { return filepath.Join(c.dir, "audit-policy.yaml") }
func (c *ControlPlane) auditLogPath() string    { return filepath.Join(c.dir, "audit.log") }

func (c *ControlPlane) writeAuditPolicy() error {
	if err := os.WriteFile(c.auditPolicyPath(), []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("write the audit policy: %w", err)
	}
	return nil
}

// Requests returns what a ServiceAccount (a name as ServiceAccount returns it) has asked since the control plane started, in
// the order of the answers. The API server writes them down before it answers.
func (c *ControlPlane) Requests(user string) ([]Request, error) {
	log, err := os.ReadFile(c.auditLogPath())
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	var requests []Request
	for line := range bytes.Lines(log) {
		var event struct {
			Stage, Verb, UserAgent string
			User                   struct{ Username string }
			ObjectRef              struct{ Resource string }
			ResponseStatus         struct{ Code int }
		}
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("read the audit log: %w: %s", err, line)
		}
		ended := event.Stage == "ResponseComplete" && event.Verb == "watch" && event.ResponseStatus.Code < 400
		if event.User.Username != user || ended {
			continue
		}
		requests = append(requests, Request{Verb: event.Verb, Resource: event.ObjectRef.Resource,
			Code: event.ResponseStatus.Code, UserAgent: event.UserAgent})
	}
	return requests, nil
}

// Refused returns those requests that the client should not have made: the API server answered 400 or above, but for the 504 of
// a client that was killed before it had its answer.
func Refused(requests []Request) []Request {
	return slices.DeleteFunc(slices.Clone(requests), func(r Request) bool { return r.Code < 400 || r.Code == http.StatusGatewayTimeout })
}
