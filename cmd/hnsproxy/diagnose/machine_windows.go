// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"unsafe"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/doctor"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// gatherMachine finds out what runs on this machine and how it is set up.
func gatherMachine(ctx context.Context, f *doctor.Facts) {
	unknown := func(what string, err error) {
		if err != nil {
			f.Unknown = append(f.Unknown, what+": "+err.Error())
		}
	}
	var err error
	f.Processes, err = processes()
	unknown("running programs", err)
	f.Dynamic, err = netsh(ctx, "dynamicport", doctor.ParseDynamic)
	unknown("dynamic ports", err)
	f.Excluded, err = netsh(ctx, "excludedportrange", doctor.ParseExcluded)
	unknown("excluded ports", err)
	unknown("settings of HNS", setting(f, doctor.CiliumOnWindows, `SYSTEM\CurrentControlSet\Services\HNS\State`, "CiliumOnWindows"))
	unknown("feature overrides", setting(f, doctor.StaleBackends, `SYSTEM\CurrentControlSet\Policies\Microsoft\FeatureManagement\Overrides`, "140377743"))
}

// processes lists the names of the programs that run.
func processes() ([]string, error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = windows.CloseHandle(snapshot) }() // it was only read
	var names []string
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		names = append(names, windows.UTF16ToString(entry.ExeFile[:]))
	}
	if errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		err = nil
	}
	return names, err
}

// netsh asks for ranges of ports of both protocols.
func netsh(ctx context.Context, what string, parse func(string) []doctor.Ports) (map[hnslb.Protocol][]doctor.Ports, error) {
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, askPeriod)
	defer stop()
	out := map[hnslb.Protocol][]doctor.Ports{}
	for protocol, name := range map[hnslb.Protocol]string{hnslb.TCP: "tcp", hnslb.UDP: "udp"} {
		text, err := exec.CommandContext(ctx, filepath.Join(dir, "netsh.exe"), "int", "ipv4", "show", what, name).Output()
		if err != nil {
			return nil, err
		}
		out[protocol] = parse(string(text))
	}
	return out, nil
}

// setting reads a number from the registry; that it is not there is no error.
func setting(f *doctor.Facts, name, path, value string) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if err == nil {
		defer func() { _ = key.Close() }() // it was only read
		var n uint64
		if n, _, err = key.GetIntegerValue(value); err == nil {
			f.Settings[name] = n
		}
	}
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return err
}
