// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"strings"
	"testing"
)

const self = `C:\Program Files\hnsproxy\hnsproxy.exe`

// ofNSSM is a service that nssm is.
func ofNSSM(n NSSM) Definition {
	return Definition{Name: "kubeproxy", Command: []string{`C:\k\nssm.exe`}, Start: StartAuto, NSSM: &n}
}

// TestTakeOver takes over services as scripts of distributions make them.
func TestTakeOver(t *testing.T) {
	command := func(line string) Definition {
		return Definition{Name: "kube-proxy", Command: Split(line), Start: StartAuto}
	}
	for _, tt := range []struct {
		name string
		from Definition
		// want is the command line, notes are texts among the notes.
		want  string
		notes []string
	}{
		{"sc.exe", command(`C:\k\kube-proxy.exe --windows-service --kubeconfig=C:\k\config --cluster-cidr=`),
			`"C:\Program Files\hnsproxy\hnsproxy.exe" --windows-service --kubeconfig=C:\k\config --cluster-cidr=`,
			[]string{`arguments: --windows-service --kubeconfig=C:\k\config --cluster-cidr=`}},
		{"GCE, with kube-log-runner", command(`C:\etc\kubernetes\node\bin\kube-log-runner.exe -log-file=C:\etc\kubernetes\logs\kube-proxy.log ` +
			`C:\etc\kubernetes\node\bin\kube-proxy.exe --v=2 --windows-service=true`),
			`C:\etc\kubernetes\node\bin\kube-log-runner.exe -log-file=C:\etc\kubernetes\logs\kube-proxy.log "C:\Program Files\hnsproxy\hnsproxy.exe" --v=2 --windows-service=true`,
			[]string{"started by: ", "as before"}},
		{"EKS, with its host", command(`"C:\Program Files\Amazon\EKS\bin\EKS-WindowsServiceHost.exe" kube-proxy "C:\Program Files\kubernetes\kube-proxy.exe" --v=1 --resource-container=""`),
			`"C:\Program Files\Amazon\EKS\bin\EKS-WindowsServiceHost.exe" kube-proxy "C:\Program Files\hnsproxy\hnsproxy.exe" --v=1 --resource-container=`,
			[]string{"EKS-WindowsServiceHost.exe\" kube-proxy, as before"}},
		{"no quotes around blanks", command(`C:\Program Files\k\kube-proxy.exe --v=1 --windows-service`),
			`"C:\Program Files\hnsproxy\hnsproxy.exe" --v=1 --windows-service`, nil},
		{"no .exe", command(`C:\k\KUBE-PROXY --windows-service`), `"C:\Program Files\hnsproxy\hnsproxy.exe" --windows-service`, nil},
		{"no flag for a service", command(`C:\k\kube-proxy.exe --config=C:\k\x`), `"C:\Program Files\hnsproxy\hnsproxy.exe" --windows-service --config=C:\k\x`, nil},
		{"hnsproxy already", command(`C:\old\hnsproxy.exe --windows-service --v=3`), `"C:\Program Files\hnsproxy\hnsproxy.exe" --windows-service --v=3`, nil},
		{"nssm", ofNSSM(NSSM{Application: `C:\k\kube-proxy.exe`, Parameters: `--v=3 --kubeconfig="C:\k k\config"`, Directory: `C:\k`,
			Environment: []string{"KUBE_NETWORK=azure"}, Stdout: `C:\k\out.log`, Stderr: `C:\k\err.log`}),
			`"C:\Program Files\hnsproxy\hnsproxy.exe" --windows-service --v=3 "--kubeconfig=C:\k k\config" --logtostderr=false --log-file=C:\k\err.log`,
			[]string{"without nssm", "environment: KUBE_NETWORK=azure", `log: hnsproxy writes C:\k\err.log itself`, `not copied: C:\k\out.log`, `not copied: the working directory C:\k`}},
	} {
		got, err := takeOver(tt.from, "hnsproxy", self)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if line := Join(got.Command); line != tt.want {
			t.Errorf("%s: the command line is\n%s, want\n%s", tt.name, line, tt.want)
		}
		for _, note := range tt.notes {
			if !strings.Contains(strings.Join(got.notes, "\n"), note) {
				t.Errorf("%s: no %q in the notes %q", tt.name, note, got.notes)
			}
		}
		if args, ok := Arguments(got.Command, self); !ok || !strings.HasSuffix(tt.want, Join(args)) {
			t.Errorf("%s: the arguments are %q, found %v", tt.name, args, ok)
		}
	}
}

// TestTakeOverRest: what else a service has is taken and noted.
func TestTakeOverRest(t *testing.T) {
	from := Definition{Name: "kube-proxy", Command: []string{`C:\k\kube-proxy.exe`}, Start: StartDelayed, Account: `NT AUTHORITY\LocalService`,
		Dependencies: []string{"hns", "vfpext"}, Environment: []string{"KUBE_NETWORK=l2"}}
	got, err := takeOver(from, "p", self)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "p" || got.Start != StartDelayed || got.Account != from.Account || len(got.Dependencies) != 2 || len(got.Environment) != 1 || !got.Recovery.OnExitCode {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{"dependencies: hns, vfpext", "environment: KUBE_NETWORK=l2", `account: NT AUTHORITY\LocalService`} {
		if !strings.Contains(strings.Join(got.notes, "\n"), want) {
			t.Errorf("no %q in the notes %q", want, got.notes)
		}
	}
	from.Start = StartDisabled
	if got, err = takeOver(from, "p", self); err != nil || got.Start != StartAuto {
		t.Errorf("of a disabled service: %+v, error %v", got, err)
	}
}

func TestTakeOverRefused(t *testing.T) {
	for want, from := range map[string]Definition{
		"which does not contain kube-proxy.exe":                    {Command: Split(`C:\k\kubelet.exe --node=kube-proxy`)},
		"powershell.exe":                                           ofNSSM(NSSM{Application: `C:\WINDOWS\powershell.exe`, Parameters: `-File C:\k\kubeproxystart.ps1`}),
		"runs as corp\\proxy, whose password cannot be read":       {Command: Split(`C:\k\kube-proxy.exe`), Account: `corp\proxy`},
		"pass the flags of hnsproxy after --, without --from-serv": {Command: nil},
	} {
		if got, err := takeOver(from, "hnsproxy", self); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gives %+v, error %v, want one with %q", from, got, err, want)
		}
	}
}
