// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// maxPendingReads limits the reads without an answer. Each occupies a thread, and an HNS that
// answers none of them will not answer another one.
const maxPendingReads = 16

// networkReader reads the features of HNS and its network, and limits the reads without an answer.
type networkReader struct {
	hns     hnslb.Driver
	network string

	mu sync.Mutex
	// features are read once, since the HNS version does not change while the process runs.
	features *hnslb.Features
	// pending counts the reads without an answer. readingFeatures is true if one of them reads the
	// features.
	pending         int
	readingFeatures bool
	// generation counts the restarts of HNS. Reads of an earlier generation get no answer.
	generation int
}

// read returns the features of HNS and the network.
func (q *networkReader) read(ctx context.Context) (f hnslb.Features, n hnslb.Network, err error) {
	known, generation, err := q.acquire()
	if err != nil {
		return f, n, err
	}
	defer q.release(generation)
	if known == nil {
		f, err = q.hns.Features(ctx)
		q.setFeatures(generation, f, err)
		if err != nil {
			return f, n, err
		}
		known = &f
	}
	n, err = q.hns.Network(ctx, q.network)
	return *known, n, err
}

// acquire counts a read, or returns an error if there are too many.
func (q *networkReader) acquire() (known *hnslb.Features, generation int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.readingFeatures:
		return nil, 0, &hnslb.Error{Verb: hnslb.VerbFeatures, Object: "HNS", Class: hnslb.Timeout,
			Err: errors.New("an earlier query has not returned")}
	case q.pending >= maxPendingReads:
		return nil, 0, &hnslb.Error{Verb: hnslb.VerbNetwork, Object: q.network, Class: hnslb.Timeout,
			Err: fmt.Errorf("%d earlier queries have not returned", q.pending)}
	}
	q.pending++
	q.readingFeatures = q.features == nil
	return q.features, q.generation, nil
}

// setFeatures records the result of reading the features.
func (q *networkReader) setFeatures(generation int, f hnslb.Features, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.features = &f
	}
	if generation == q.generation {
		q.readingFeatures = false
	}
}

func (q *networkReader) release(generation int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if generation == q.generation {
		q.pending--
	}
}

// reset discards the pending reads after the HNS service has ended, since they get no answer.
func (q *networkReader) reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.generation++
	q.pending, q.readingFeatures = 0, false
}
