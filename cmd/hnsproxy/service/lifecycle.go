// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import "time"

// Control is what the service control manager wants of a service.
type Control int

// Controls. All others are answered as Interrogate is.
const (
	// Interrogate asks for the status.
	Interrogate Control = iota
	// Stop is asked for by somebody; Shutdown and PreShutdown come with the end of the system.
	Stop
	Shutdown
	PreShutdown
)

// String says who wants the program to end: whoever sent it a signal, if no control says more.
func (c Control) String() string {
	switch c {
	case Stop:
		return "requested by the service control manager"
	case Shutdown, PreShutdown:
		return "the system is shutting down"
	}
	return "requested by a console event"
}

// Status is what a service tells the service control manager.
type Status struct {
	State State
	// CheckPoint grows while the state is a pending one. WaitHint is how long the manager
	// should wait for the next.
	CheckPoint uint32
	WaitHint   time.Duration
}

// How often a service that starts or stops says that it is alive, and how long the manager is
// to wait for that.
const (
	checkEvery = time.Second
	waitHint   = 20 * time.Second
)

// lifecycle is a service from its start to its end.
type lifecycle struct {
	// ready is closed when the configuration is known to be usable, ended when the program
	// has done its work.
	ready, ended <-chan struct{}
	// stopped is closed when the program is to end, whoever asked for it.
	stopped <-chan struct{}
	// stop makes the program end. It is called once.
	stop func(why Control)
	// report tells the service control manager.
	report func(Status)

	status   Status
	stopping bool
}

// run is the life of the service. The caller reports that it is stopped, with its exit code.
//
// A service is Running when its configuration is usable: the network, the API server and HNS
// may take as long as they like, and scripts do not wait for them.
func (l *lifecycle) run(controls <-chan Control) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	l.enter(StartPending)
	ready, stopped := l.ready, l.stopped
	for {
		select {
		case <-l.ended:
			return
		case <-ready:
			ready = nil
			if !l.stopping {
				l.enter(Running)
			}
		case <-stopped:
			stopped = nil
			if !l.stopping {
				l.stopping = true
				l.enter(StopPending)
			}
		case c := <-controls:
			l.control(c)
		case <-tick.C:
			l.alive()
		}
	}
}

func (l *lifecycle) control(c Control) {
	switch c {
	case Stop, Shutdown, PreShutdown:
		if !l.stopping {
			l.stopping = true
			l.enter(StopPending)
			l.stop(c)
			return
		}
	}
	l.report(l.status)
}

// enter reports another state.
func (l *lifecycle) enter(state State) {
	l.status = Status{State: state}
	if state == StartPending || state == StopPending {
		l.status.CheckPoint, l.status.WaitHint = 1, waitHint
	}
	l.report(l.status)
}

// alive says that a pending state is going on: a call of HNS that is in progress may take long,
// and the manager gives up on a service that says nothing.
func (l *lifecycle) alive() {
	if l.status.CheckPoint > 0 {
		l.status.CheckPoint++
		l.report(l.status)
	}
}
