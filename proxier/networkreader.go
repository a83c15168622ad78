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

// mostQuestions is how many questions for the network may be without an answer. Each holds a
// thread, and HNS that answers none of them will not answer one more.
const mostQuestions = 16

// questions asks for the features of HNS and its network, and bounds what has no answer.
type questions struct {
	hns     hnslb.Driver
	network string

	mu sync.Mutex
	// features are asked for once: the version does not change under a running process.
	features *hnslb.Features
	// open counts the questions without an answer; asking: one of them is for the features.
	open   int
	asking bool
	// life counts the ends of HNS. Questions of a former life get no answer.
	life int
}

// ask returns the features of HNS and the network.
func (q *questions) ask(ctx context.Context) (f hnslb.Features, n hnslb.Network, err error) {
	known, life, err := q.begin()
	if err != nil {
		return f, n, err
	}
	defer q.end(life)
	if known == nil {
		f, err = q.hns.Features(ctx)
		q.learn(life, f, err)
		if err != nil {
			return f, n, err
		}
		known = &f
	}
	n, err = q.hns.Network(ctx, q.network)
	return *known, n, err
}

// begin counts a question, or says why there can be no more of them.
func (q *questions) begin() (known *hnslb.Features, life int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.asking:
		return nil, 0, &hnslb.Error{Verb: hnslb.VerbFeatures, Object: "HNS", Class: hnslb.Timeout,
			Err: errors.New("an earlier query has not returned")}
	case q.open >= mostQuestions:
		return nil, 0, &hnslb.Error{Verb: hnslb.VerbNetwork, Object: q.network, Class: hnslb.Timeout,
			Err: fmt.Errorf("%d earlier queries have not returned", q.open)}
	}
	q.open++
	q.asking = q.features == nil
	return q.features, q.life, nil
}

// learn takes the answer to the question for the features.
func (q *questions) learn(life int, f hnslb.Features, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.features = &f
	}
	if life == q.life {
		q.asking = false
	}
}

func (q *questions) end(life int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if life == q.life {
		q.open--
	}
}

// forget says that HNS ended: what it was asked before it will not answer.
func (q *questions) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.life++
	q.open, q.asking = 0, false
}
