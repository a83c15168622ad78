// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// certificatePeriod is how long a certificate is used before its files are read again.
const certificatePeriod = 10 * time.Second

// Certificate is a certificate of two files, which may change while the program runs.
type Certificate struct {
	cert, key string
	clock     clock.PassiveClock
	logger    klog.Logger

	mu   sync.Mutex
	pair *tls.Certificate
	read time.Time
}

// LoadCertificate reads the files, or says why they cannot be used.
func LoadCertificate(cert, key string, c clock.PassiveClock, logger klog.Logger) (*Certificate, error) {
	out := &Certificate{cert: cert, key: key, clock: c, logger: logger}
	if err := out.load(); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read the certificate of the metrics port: %w", err)
	}
	c.pair, c.read = &pair, c.clock.Now()
	return nil
}

// get returns the certificate. When the files have become unusable, the one before it stays.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.clock.Now(); now.Sub(c.read) >= certificatePeriod {
		c.read = now
		if err := c.load(); err != nil {
			c.logger.Error(err, "Cannot load the changed certificate; keeping the current one")
		}
	}
	return c.pair, nil
}

// Config is how a server uses the certificate. It offers HTTP/1.1 only: the limits of a port
// are about connections, and one of HTTP/2 carries any number of requests at once.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}
