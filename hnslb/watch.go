// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import "context"

// Change says in which way HNS itself changed. It is a hint: receivers look at HNS for what
// is really there.
type Change string

// The changes.
const (
	// ServiceGone: the service stopped, crashed or does not answer.
	ServiceGone Change = "ServiceGone"
	// ServiceCame: the service answers again, or runs in another process than before. It
	// may have lost any object while it was away.
	ServiceCame Change = "ServiceCame"
	// NetworksChanged: some network was created or deleted.
	NetworksChanged Change = "NetworksChanged"
)

// Watcher is implemented by drivers that can tell when HNS itself changed. It is optional,
// and decorators of Driver do not pass it on: package watch takes it from the bare driver.
type Watcher interface {
	// Watch asks HNS to tell of its changes. A value on the channel says that networks were
	// created or deleted since the last value, or since Watch; several changes may share
	// one. The channel is closed when the service went away, after which Watch has to be
	// called again, and when ctx ended. HNS is free to lose changes, the end of the service
	// included, and to tell of changes that are none.
	//
	// Errors are as those of Driver: Unavailable while the service is away, Unsupported
	// where HNS cannot tell, Timeout when ctx ended first.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// ServiceQuerier is implemented by drivers that know the process HNS runs in. It is
// optional as Watcher is.
type ServiceQuerier interface {
	// ServiceProcess returns the ID of the process of HNS's service, 0 while the service
	// does not run. It costs HNS nothing, since the machine is asked and not HNS. The error
	// is Unsupported where that is not known and never will be.
	ServiceProcess(ctx context.Context) (uint32, error)
}

// The verbs of Watcher and ServiceQuerier, as errors name them. They are not among Verbs,
// which are those of Driver.
const (
	VerbWatch          Verb = "Watch"
	VerbServiceProcess Verb = "ServiceProcess"
)
