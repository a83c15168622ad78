// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package engine decides which HNS calls to make, and when. It is a pure state machine, in the style of
// etcd's raft: inputs go in, what to do next and what became of whom comes out. It has no
// context, clock, driver, logger, metrics or goroutine (law 14), so that each of its
// decisions can be tested without any of them. Package proxier runs it.
//
//	Services, Node    -> SetServices, SetNode ----+
//	network, features -> NetworkRead -------------+        +--> Calls: begin these
//	lists             -> Listed ------------------+-> Ready +--> Network, Look: ask for these
//	results of calls  -> Done --------------------+        +--> Transitions: what became of whom
//	time              -> Ready -------------------+        +--> Wake: when to come back
//
// A task is one frontend, or the endpoints of one address. It is planned (package plan) when
// it comes up, its first call is begun, and when that returned it is planned again, until there
// is nothing to do. So a plan is never older than what it rests on.
//
// What is not known is known per object (law 6). A call whose outcome is unknown makes its
// object wait for the next list, which all that wait share; a call that does not return gives
// its place to others and holds up its object alone. A list says nothing about what was
// written while it was made, so that lists and writes need not wait for each other.
//
//	engine.go      inputs, Ready
//	queue.go       which task is next
//	calls.go       calls and units in flight
//	result.go      what came of a call, how far a frontend is
//	doubt.go       calls of which nobody knows what became of them
//	look.go        lists: when
//	merge.go       what a list shows
//	connection.go  whether HNS and its network are there
//	locals.go      pods of this node, whose endpoints the network plugin makes
//	routes.go      routes to other nodes' pods that have not come yet
//	pace.go        how many calls at a time, and how long one may take
//	share.go       pauses that leave HNS to others
//	modify.go      whether load balancers are changed in place
//	latency.go     how long endpoint changes take
//	reserve.go     cluster IPs of critical Services that are re-created
//	stop.go        what must still be done when the proxy is stopped
//	transition.go  what became of whom
//
// How long an object that failed waits is kept by package backoff.
package engine
