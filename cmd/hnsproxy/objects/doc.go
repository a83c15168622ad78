// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package objects takes Services, EndpointSlices and Nodes from files instead of an API
// server: YAML or JSON, one document or many, as kubectl get -o yaml prints them.
//
//	bytes --document.go--> documents --parse.go, defaults.go--> objects and errors
//	      --merge.go--> one set --source.go--> store.go --watch.go--> informers
//
// The rest of the program does not notice the difference: ListerWatcher feeds the same
// shared informers, with the same selectors and the same watch protocol.
//
// The laws, in the order of weight:
//   - A mistake never takes a Service away. An object that cannot be used keeps its last
//     good version, and a file that cannot be read keeps all that it gave.
//   - An object goes only when two looks, a moment apart, both miss it: editors truncate,
//     rename and rewrite, and nothing says when they are done.
//   - A mistake belongs to one object and is said once: where, what, why, and what to do.
//   - What counts depends on the files alone, not on the order in which they changed: of
//     two objects of one name the first counts, by the order of the paths given, of the
//     file names in a directory, and of the documents in a file.
package objects
