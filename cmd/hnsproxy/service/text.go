// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"strings"
)

// Text prints what Install did for people.
func (i *Installed) Text() string {
	var b strings.Builder
	would := ""
	if i.DryRun {
		would = "would be "
	}
	fmt.Fprintf(&b, "Service %s %s%s", i.Service.Name, would, i.Change)
	if i.From != "" {
		fmt.Fprintf(&b, ", from service %s", i.From)
	}
	b.WriteString("\n")
	line(&b, "command", Join(i.Service.Command))
	line(&b, "before", i.Before)
	line(&b, "start", i.Service.Start)
	line(&b, "recovery", i.Service.Recovery.String())
	for _, t := range i.Taken {
		line(&b, "taken", t)
	}
	for _, h := range i.Hints {
		line(&b, "next", h)
	}
	return b.String()
}

// Text prints the status for people.
func (r *Report) Text() string {
	if !r.Installed {
		return fmt.Sprintf("Service %s is not installed: hnsproxy service install\n", r.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Service %s is %s", r.Name, r.State)
	switch {
	case r.ProcessID != 0:
		fmt.Fprintf(&b, ", process %d", r.ProcessID)
	case r.State == Stopped:
		b.WriteString(", " + exitText(*r.Condition))
	}
	b.WriteString("\n")
	line(&b, "command", Join(r.Service.Command))
	line(&b, "start", r.Service.Start)
	line(&b, "account", r.Service.Account)
	line(&b, "depends on", strings.Join(r.Service.Dependencies, ", "))
	line(&b, "environment", strings.Join(r.Service.Environment, " "))
	line(&b, "recovery", r.Service.Recovery.String())
	line(&b, "events", fmt.Sprintf("Get-EventLog Application -Source %s -Newest 5", Source))
	return b.String()
}

func line(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "  %-12s %s\n", name+":", value)
	}
}

// String says what is done on a failure.
func (r *Recovery) String() string {
	if r == nil {
		return "not reported by this system"
	}
	if len(r.Restarts) == 0 {
		return "none: the service is not restarted after a failure"
	}
	delays := make([]string, len(r.Restarts))
	for i, d := range r.Restarts {
		delays[i] = fmt.Sprintf("%d s", d)
	}
	what := "a crash"
	if r.OnExitCode {
		what = "a crash or an exit code other than 0"
	}
	return fmt.Sprintf("restart after %s, on %s", strings.Join(delays, ", then "), what)
}

// Codes of Windows for a service that is stopped.
const (
	neverStarted     = 1077 // ERROR_SERVICE_NEVER_STARTED
	serviceSpecific  = 1066 // ERROR_SERVICE_SPECIFIC_ERROR
	processAborted   = 1067 // ERROR_PROCESS_ABORTED
	startTimedOut    = 1053 // ERROR_SERVICE_REQUEST_TIMEOUT
	dependencyFailed = 1068 // ERROR_SERVICE_DEPENDENCY_FAIL
)

// exitText says how a service ended.
func exitText(c Condition) string {
	switch c.ExitCode {
	case 0:
		return "exit code 0"
	case serviceSpecific:
		return fmt.Sprintf("exit code %d of hnsproxy", c.ServiceExitCode)
	case neverStarted:
		return "not started since the system booted"
	case processAborted:
		return "terminated unexpectedly (Windows error 1067)"
	case startTimedOut:
		return "did not respond to the service control manager (Windows error 1053)"
	case dependencyFailed:
		return "depends on a service that is not running (Windows error 1068)"
	}
	return fmt.Sprintf("Windows error %d", c.ExitCode)
}
