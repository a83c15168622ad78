// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package process

import "syscall"

// dieWithParent is empty where the kernel has no such thing: there a killed test leaves its programs behind.
func dieWithParent() *syscall.SysProcAttr {
	return nil
}
