// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import "context"

// Change is how HNS itself has changed. It is a hint: receivers have to read HNS to find out the
// current state.
type Change string

// The changes.
const (
	// ServiceGone: the service has stopped, crashed or does not answer.
	ServiceGone Change = "ServiceGone"
	// ServiceCame: the service answers again, or runs in a different process. It may have lost any
	// object meanwhile.
	ServiceCame Change = "ServiceCame"
	// NetworksChanged: a network was created or deleted.
	NetworksChanged Change = "NetworksChanged"
)

// Watcher is implemented by drivers that can report when HNS itself changes. It is optional, and
// decorators of Driver do not pass it on: package watch uses the undecorated driver.
type Watcher interface {
	// Watch subscribes to changes of HNS. A value on the channel means that networks were created
	// or deleted since the last value, or since Watch; several changes may share one value. The
	// channel is closed when the service has stopped, after which Watch has to be called again, and
	// when ctx has ended. HNS may lose notifications, including that of its stop, and may send
	// notifications without a change.
	//
	// Errors are those of Driver: Unavailable while the service is stopped, Unsupported if HNS
	// cannot report changes, Timeout if ctx ended first.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// ServiceQuerier is implemented by drivers that know the process of the HNS service. It is
// optional, like Watcher.
type ServiceQuerier interface {
	// ServiceProcess returns the process ID of the HNS service, 0 while the service is not running.
	// It asks Windows and not HNS. The error is Unsupported if that is not possible on
	// this system.
	ServiceProcess(ctx context.Context) (uint32, error)
}

// The verbs of Watcher and ServiceQuerier in errors. Verbs does not contain them, since they are
// not methods of Driver.
const (
	VerbWatch          Verb = "Watch"
	VerbServiceProcess Verb = "ServiceProcess"
)
