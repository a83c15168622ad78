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

// maxPendingReads is how many questions for the network may be without an answer. Each holds a
// thread, and HNS that answers none of them will not answer one more.
const maxPendingReads = 16

// networkReader asks for the features of HNS and its network, and bounds what has no answer.
type networkReader struct {
	hns     hnslb.Driver
	network string

	mu sync.Mutex
	// features are asked for once: the version does not change under a running process.
	features *hnslb.Features
	// pending counts the questions without an answer; asking: one of them is for the features.
	pending         int
	readingFeatures bool
	// generation counts the ends of HNS. Questions of a former life get no answer.
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

// acquire counts a question, or says why there can be no more of them.
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

// setFeatures takes the answer to the question for the features.
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

// reset says that HNS ended: what it was asked before it will not answer.
func (q *networkReader) reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.generation++
	q.pending, q.readingFeatures = 0, false
}
