// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Release makes what is released of hnsproxy, without Docker and with the same bytes whenever it is made from the same commit
// with the same Go: the container image and the archives for Windows, with bill of materials, licences and checksums.
//
//	go run . image --out FILE       an OCI archive for amd64 and arm64
//	go run . release --out DIR      everything
package main
