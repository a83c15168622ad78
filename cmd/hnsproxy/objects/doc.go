// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package objects takes Services, EndpointSlices and Nodes from files instead of an API
// server: YAML or JSON, one document or many, as kubectl get -o yaml prints them.
//
//	bytes --document.go--> documents --parse.go, defaults.go--> objects and errors
//	      --merge.go--> one set --source.go--> changes
//
// A Source tells of each object that was added, changed or removed, as informers do.
//
// The laws, in the order of weight:
//   - A mistake never takes a Service away. An object that cannot be used keeps its last
//     good version, and a file that cannot be read keeps all that it gave.
//   - An object goes only when its file has not changed for a second: editors and shells
//     truncate, rename and rewrite, and nothing says when they are done.
//   - A mistake belongs to one object and is said once: where, what, why, and what to do.
//   - What counts depends on the files alone, not on the order in which they changed: of
//     two objects of one name the first counts, by the order of the paths given, of the
//     file names in a directory, and of the documents in a file.
//
// A file that is being saved may be read when a part of it is there, and such a part can be
// valid: an EndpointSlice whose endpoints are still to come says that there are none. What a
// file gave therefore stays in force
//   - until it is whole, when it is empty, when its last line, which had an end, has none any
//     more, or when a document in it cannot be read or does not say what it is. That is told
//     as an error. A file may have no objects on purpose: a comment says so.
//   - until it has not changed for a second, when it became shorter. Who stops for longer
//     between two whole lines of YAML is not told from who deletes the rest.
//
// version.go has these rules. A program that writes such files should write another file
// and rename it.
package objects
