// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package engine decides which HNS calls to make, and when. It is a pure state machine, in the
// style of etcd's raft: inputs go in, and Ready returns the calls to start, the reads to make and
// the state transitions since the last time. It uses no context, clock, driver, logger, metrics or
// goroutine (law 14), so that each decision can be tested without them. Package proxier runs it.
//
//	Services, Node    -> SetServices, SetNode ----+
//	network, features -> NetworkRead -------------+        +--> Calls: calls to start
//	lists             -> Listed ------------------+-> Ready +--> Network, List: reads to start
//	results of calls  -> Done --------------------+        +--> Transitions: changes of state
//	time              -> Ready -------------------+        +--> Wake: when to call Ready again
//
// A task is one frontend, or the endpoints at one address. Package plan computes its steps when it
// is taken from the queue. The engine starts the first call, and plans the task again when that
// call has returned, until no steps are left. A plan is therefore never older than the state it is
// based on.
//
// Uncertainty is tracked per object (law 6). An object whose call has an unknown outcome waits for
// the next list, which all such objects share. A call that does not return gives up its slot and
// blocks its own object only. A list says nothing about objects that were written while it was
// made, so lists and writes can run at the same time.
//
//	engine.go      inputs, Ready
//	queue.go       order of the tasks
//	calls.go       calls and units in flight
//	result.go      results of calls, status of frontends
//	unknown.go     calls with an unknown outcome
//	listing.go     when to list HNS
//	merge.go       merging a list into the view
//	connection.go  availability of HNS and its network
//	locals.go      pods of this node, whose endpoints the network plugin creates
//	routes.go      missing routes to pods on other nodes
//	pace.go        concurrency and time limits of calls
//	share.go       pauses that leave HNS to other clients
//	modify.go      whether load balancers are updated in place
//	latency.go     latency of endpoint changes
//	reserve.go     cluster IPs of critical Services that are being re-created
//	stop.go        what must still be done when the proxy stops
//	transition.go  types of transitions
//
// Package backoff decides how long a failed object waits before it is retried.
package engine
