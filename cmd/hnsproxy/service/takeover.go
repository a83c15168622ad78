// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"slices"
	"strings"
)

// Programs that a service may run.
const (
	ownProgram   = "hnsproxy.exe"
	kubeProxyExe = "kube-proxy.exe"
	nssmExe      = "nssm.exe"
)

// Display texts of the service.
const (
	displayName = "hnsproxy"
	description = "Implements Kubernetes Services on this node by programming HNS load balancers."
)

// takeover is a service that is to run hnsproxy as another one runs kube-proxy.
type takeover struct {
	Definition
	// notes say what was taken, and what is other than before.
	notes []string
}

func (t *takeover) note(format string, values ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, values...))
}

// takeOver makes the definition of a service of hnsproxy from that of kube-proxy. self is the
// path of hnsproxy.exe. Whatever is not taken as it is, is noted or refused.
func takeOver(from Definition, name, self string) (*takeover, error) {
	t := &takeover{Definition: Definition{Name: name, DisplayName: displayName, Description: description,
		Start: from.Start, Account: from.Account, Dependencies: from.Dependencies, Environment: from.Environment, Recovery: recovery()}}
	if a := strings.ToLower(from.Account); a != "" && a != "localsystem" && !strings.HasPrefix(a, `nt authority\`) {
		return nil, fmt.Errorf("service %s runs as %s, whose password cannot be read: install hnsproxy without --from-service, "+
			"and set the account with \"sc.exe config %s obj= ACCOUNT password= PASSWORD\"", from.Name, from.Account, name)
	}
	if from.Start == StartDisabled {
		t.Start = StartAuto
		t.note("start: %s, since service %s is disabled", StartAuto, from.Name)
	}
	var err error
	if from.NSSM != nil {
		err = t.fromNSSM(from, self)
	} else {
		err = t.fromCommand(from, self)
	}
	if err != nil {
		return nil, err
	}
	if len(t.Dependencies) > 0 {
		t.note("dependencies: %s", strings.Join(t.Dependencies, ", "))
	}
	if len(t.Environment) > 0 {
		t.note("environment: %s", strings.Join(t.Environment, " "))
	}
	if t.Account != "" {
		t.note("account: %s", t.Account)
	}
	return t, nil
}

// fromCommand replaces kube-proxy.exe in a command line, and leaves alone what starts it.
func (t *takeover) fromCommand(from Definition, self string) error {
	words := wholePath(from.Command)
	at := programAt(words, kubeProxyExe, "kube-proxy")
	if at < 0 {
		at = programAt(words, ownProgram)
	}
	if at < 0 {
		return fmt.Errorf("service %s runs %s, which does not contain %s: pass the flags of hnsproxy after --, without --from-service",
			from.Name, Join(from.Command), kubeProxyExe)
	}
	args := words[at+1:]
	t.Command = append(append(slices.Clone(words[:at]), self), args...)
	if at > 0 {
		t.note("started by: %s, as before", Join(words[:at]))
	} else {
		t.Command = asService(t.Command)
	}
	t.note("arguments: %s", Join(args))
	return nil
}

// fromNSSM does without nssm: hnsproxy is a service itself.
func (t *takeover) fromNSSM(from Definition, self string) error {
	n := from.NSSM
	if base(n.Application) != kubeProxyExe {
		return fmt.Errorf("service %s runs %s through nssm, which starts kube-proxy.exe itself: replace it with hnsproxy.exe there, "+
			"or pass the flags of hnsproxy after --, without --from-service", from.Name, Join([]string{n.Application, n.Parameters}))
	}
	args := Split(n.Parameters)
	t.note("arguments: %s", Join(args))
	t.Environment = append(slices.Clone(t.Environment), n.Environment...)
	t.note("without nssm: hnsproxy is a service itself")
	if log := n.Stderr; log != "" && !given(args, "logtostderr") {
		args = append(args, "--logtostderr=false", "--log-file="+log)
		t.note("log: hnsproxy writes %s itself; it is no longer rotated by nssm", log)
	}
	if n.Stdout != "" && !strings.EqualFold(n.Stdout, n.Stderr) {
		t.note("not copied: %s for standard output, which hnsproxy does not use", n.Stdout)
	}
	if n.Directory != "" {
		t.note("not copied: the working directory %s; relative paths are now resolved in System32", n.Directory)
	}
	t.Command = asService(append([]string{self}, args...))
	return nil
}

// asService adds --windows-service, with which hnsproxy is a service also when something else
// starts it for the service control manager.
func asService(command []string) []string {
	if Asked(command[1:]) {
		return command
	}
	return slices.Insert(slices.Clone(command), 1, "--windows-service")
}

// given reports whether a flag is among arguments.
func given(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		name, _, _ := strings.Cut(arg, "=")
		return strings.ReplaceAll(name, "_", "-") == "--"+flag
	})
}

// Arguments returns those of hnsproxy in a command line, and whether it is there.
func Arguments(command []string, self string) (args []string, ok bool) {
	words := wholePath(command)
	at := programAt(words, ownProgram)
	if at < 0 {
		at = slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, self) })
	}
	if at < 0 {
		return nil, false
	}
	return words[at+1:], true
}
