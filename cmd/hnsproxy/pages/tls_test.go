// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
	testingclock "k8s.io/utils/clock/testing"
)

// TestCertificate: a renewed certificate is taken over, and a broken one is not.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func(name string) {
		t.Helper()
		chain, key, err := cert.GenerateSelfSignedCertKey(name, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string][]byte{certFile: chain, keyFile: key} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	clock := testingclock.NewFakeClock(time.Now())
	if _, err := LoadCertificate(certFile, keyFile, clock, klog.Background()); err == nil {
		t.Error("a certificate of no file was loaded")
	}
	write("one")
	c, err := LoadCertificate(certFile, keyFile, clock, klog.Background())
	if err != nil {
		t.Fatal(err)
	}
	shown := func() []byte {
		t.Helper()
		pair, err := c.Config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Certificate[0]
	}
	one := shown()
	write("two")
	if !bytes.Equal(one, shown()) {
		t.Error("the files are read for each connection")
	}
	clock.Step(certificatePeriod)
	two := shown()
	if bytes.Equal(one, two) {
		t.Error("the new certificate is not taken over")
	}
	if err := os.WriteFile(keyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock.Step(certificatePeriod)
	if !bytes.Equal(two, shown()) {
		t.Error("a broken certificate is taken over")
	}
}
