// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import "syscall"

// dieWithParent makes the kernel kill the child when the parent dies, also when a test is killed or times out.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
