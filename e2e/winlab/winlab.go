// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package winlab runs Windows programs on an HNS emulator, on Linux: under Wine, with stand-ins for the two DLLs through which
// programs reach HNS (dll/). What is below those DLLs is emulated; hcsshim and all above it is the real thing.
//
// hack/winlab.sh makes the lab, hack/wine-exec.sh runs programs in it. A Go test serves an emulator with Serve and keeps it in
// hand; program hnsemu serves one for everything else. Package control drives a served emulator from another process, package
// conformance is the suite of drivers through hcsshim.
package winlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hnsproxy/hnsproxy/e2e/winlab/control"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator/hcnserver"
)

// Names of the environment variables that tell Windows programs where the emulator is: the DLLs (host and port), and what
// uses package control (a URL).
const (
	EnvEmulator = "HNS_EMULATOR"
	EnvControl  = "HNS_CONTROL"
)

// Service is an emulator that Windows programs reach.
type Service struct {
	*emulator.Emulator
	// Calls and handles of the programs.
	Server *hcnserver.Server
	// HCN is the address of the DLLs' calls, Control the URL of package control's.
	HCN, Control string

	cancel context.CancelFunc
	ended  chan error
}

// Serve serves e on two loopback ports of the system's choice until Close.
func Serve(e *emulator.Emulator) (*Service, error) {
	return ServeAt(e, "127.0.0.1:0", "127.0.0.1:0")
}

// ServeAt is Serve on chosen addresses, of the DLLs' calls and of package control's.
func ServeAt(e *emulator.Emulator, hcnAddress, controlAddress string) (*Service, error) {
	hcn, err := net.Listen("tcp", hcnAddress)
	if err != nil {
		return nil, fmt.Errorf("serve the emulator: %w", err)
	}
	web, err := net.Listen("tcp", controlAddress)
	if err != nil {
		_ = hcn.Close() // nobody knows it yet
		return nil, fmt.Errorf("serve the emulator's controls: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{
		Emulator: e, Server: hcnserver.New(e),
		HCN: hcn.Addr().String(), Control: "http://" + web.Addr().String(),
		cancel: cancel, ended: make(chan error, 2),
	}
	controls := &http.Server{Handler: control.Handler(e, s.Server)}
	context.AfterFunc(ctx, func() { _ = controls.Close() }) // Serve tells
	go func() { s.ended <- s.Server.Serve(ctx, hcn) }()
	go func() {
		err := controls.Serve(web)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		s.ended <- err
	}()
	return s, nil
}

// Close ends the service as a crash would: connections break, and so do the calls that are on their way.
func (s *Service) Close() error {
	s.cancel()
	return errors.Join(<-s.ended, <-s.ended)
}

// Command returns a Windows program that reaches the emulator, ready to be started.
func (s *Service) Command(ctx context.Context, program string, args ...string) (*exec.Cmd, error) {
	return Command(ctx, []string{EnvEmulator + "=" + s.HCN, EnvControl + "=" + s.Control}, program, args...)
}

// Command returns a Windows program, ready to be started, with additions to this process's environment.
func Command(ctx context.Context, env []string, program string, args ...string) (*exec.Cmd, error) {
	wine, err := script("wine-exec.sh")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, wine, append([]string{program}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	return cmd, nil
}

// Prepare makes the lab, or finds it made.
func Prepare(ctx context.Context) error {
	path, err := script("winlab.sh")
	if err != nil {
		return err
	}
	if output, err := exec.CommandContext(ctx, path).CombinedOutput(); err != nil {
		return fmt.Errorf("hack/winlab.sh: %w\n%s", err, output)
	}
	return nil
}

// script returns the path of a script in hack/.
func script(name string) (string, error) {
	_, source, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(source), "..", "..", "hack", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find hack/%s (programs that run the lab must not be built with -trimpath): %w", name, err)
	}
	return path, nil
}

// Network describes a pod network of this node as Windows programs under Wine can work with it: its management IP is an
// address of this machine, since programs look for the MAC of the interface that carries it.
func Network(name, networkType string) (emulator.NetworkSpec, error) {
	ip, mac, err := hostAddress()
	if err != nil {
		return emulator.NetworkSpec{}, err
	}
	return emulator.NetworkSpec{
		Name: name, Type: networkType,
		ManagementIP:   ip,
		ManagementIPv6: netip.MustParseAddr("fd00:10::5"),
		HostMAC:        strings.ToUpper(strings.ReplaceAll(mac.String(), ":", "-")),
		Subnets:        []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:244:1::/64")},
	}, nil
}

// hostAddress returns an IPv4 address of this machine that is not loopback, and the MAC of its interface.
func hostAddress() (netip.Addr, net.HardwareAddr, error) {
	all, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, nil, fmt.Errorf("list the interfaces of this machine: %w", err)
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || len(i.HardwareAddr) == 0 || i.Flags&net.FlagUp == 0 {
			continue // an interface that is not of use, or has just gone
		}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err == nil && prefix.Addr().Is4() {
				return prefix.Addr(), i.HardwareAddr, nil
			}
		}
	}
	return netip.Addr{}, nil, errors.New("no interface of this machine has both a MAC and an IPv4 address")
}
