// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"
)

// Package mgr reads and writes a configuration whole, and fails on a system that lacks a part
// of it, as Wine does. What is here leaves that part out.

// known is err, but for what the system does not know about services.
func known(err error) error {
	if errors.Is(err, windows.ERROR_INVALID_LEVEL) || errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED) {
		return nil
	}
	return err
}

// configuration reads that of a service.
func configuration(s *mgr.Service) (mgr.Config, error) {
	body, err := grown(func(b []byte, needed *uint32) error {
		return windows.QueryServiceConfig(s.Handle, (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&b[0])), uint32(len(b)), needed) //nolint:gosec // small
	})
	if err != nil {
		return mgr.Config{}, err
	}
	q := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&body[0]))
	c := mgr.Config{StartType: q.StartType, BinaryPathName: windows.UTF16PtrToString(q.BinaryPathName), Dependencies: block(q.Dependencies),
		ServiceStartName: windows.UTF16PtrToString(q.ServiceStartName), DisplayName: windows.UTF16PtrToString(q.DisplayName)}
	text, err := part(s, windows.SERVICE_CONFIG_DESCRIPTION)
	if err != nil {
		return c, err
	}
	if text != nil {
		c.Description = windows.UTF16PtrToString((*windows.SERVICE_DESCRIPTION)(unsafe.Pointer(&text[0])).Description)
	}
	delayed, err := part(s, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO)
	if err != nil {
		return c, err
	}
	if delayed != nil {
		c.DelayedAutoStart = (*windows.SERVICE_DELAYED_AUTO_START_INFO)(unsafe.Pointer(&delayed[0])).IsDelayedAutoStartUp != 0
	}
	return c, nil
}

// part reads a part of a configuration; nil if the system does not have it.
func part(s *mgr.Service, level uint32) ([]byte, error) {
	body, err := grown(func(b []byte, needed *uint32) error {
		return windows.QueryServiceConfig2(s.Handle, level, &b[0], uint32(len(b)), needed) //nolint:gosec // small
	})
	if err != nil {
		return nil, known(err)
	}
	return body, nil
}

// grown calls read with as many bytes as it needs.
func grown(read func(b []byte, needed *uint32) error) ([]byte, error) {
	size := uint32(1024)
	for {
		body := make([]byte, size)
		err := read(body, &size)
		if err == nil {
			return body, nil
		}
		if !errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) || int(size) <= len(body) {
			return nil, err
		}
	}
}

// block reads texts that stand one after the other, until an empty one.
func block(p *uint16) []string {
	var texts []string
	for p != nil && *p != 0 {
		text := windows.UTF16PtrToString(p)
		texts = append(texts, text)
		for *p != 0 {
			p = (*uint16)(unsafe.Add(unsafe.Pointer(p), unsafe.Sizeof(*p)))
		}
		p = (*uint16)(unsafe.Add(unsafe.Pointer(p), unsafe.Sizeof(*p)))
	}
	return texts
}

// reconfigure writes the configuration of a service.
func reconfigure(s *mgr.Service, c mgr.Config) error {
	var pointers []*uint16
	for _, text := range []string{c.BinaryPathName, c.ServiceStartName, c.DisplayName, c.Description} {
		p, err := windows.UTF16PtrFromString(text)
		if err != nil {
			return err
		}
		pointers = append(pointers, p)
	}
	// An empty block removes what was there.
	dependencies := utf16.Encode([]rune(strings.Join(append(slices.Clone(c.Dependencies), "", ""), "\x00")))
	err := windows.ChangeServiceConfig(s.Handle, c.ServiceType, c.StartType, c.ErrorControl, pointers[0], nil, nil, &dependencies[0],
		pointers[1], nil, pointers[2])
	if err != nil {
		return err
	}
	delayed := windows.SERVICE_DELAYED_AUTO_START_INFO{}
	if c.DelayedAutoStart {
		delayed.IsDelayedAutoStartUp = 1
	}
	if err := known(windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, (*byte)(unsafe.Pointer(&delayed)))); err != nil {
		return err
	}
	text := windows.SERVICE_DESCRIPTION{Description: pointers[3]}
	return known(windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_DESCRIPTION, (*byte)(unsafe.Pointer(&text))))
}
