// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// judge is an API server that knows the tokens "NAME-token" and lets the user reader get
// /metrics.
type judge struct {
	mu     sync.Mutex
	asked  map[string]int
	broken bool
	takes  time.Duration
}

func (j *judge) note(what string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	<-time.After(j.takes)
	j.asked[what]++
	if j.broken {
		return errors.New("away")
	}
	return nil
}

func (j *judge) client() *fake.Clientset {
	c := fake.NewClientset()
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		name, known := strings.CutSuffix(review.Spec.Token, "-token")
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: known, User: authenticationv1.UserInfo{Username: name,
			Groups: []string{"people"}, Extra: map[string]authenticationv1.ExtraValue{"scope": {"a"}}}}
		return true, review, j.note("who")
	})
	c.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		s := review.Spec
		review.Status.Allowed = s.User == "reader" && s.NonResourceAttributes.Path == "/metrics" && s.NonResourceAttributes.Verb == "get" &&
			len(s.Groups) == 1 && len(s.Extra["scope"]) == 1
		return true, review, j.note("may " + s.NonResourceAttributes.Verb)
	})
	return c
}

// TestAccess: who gets what, and how often the API server is asked.
func TestAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &judge{asked: map[string]int{}}
		h := NewAccess(j.client(), clock.RealClock{}, klog.Background()).Guard(text("page"))
		ask := func(method, path, authorization string) (int, http.Header) {
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Authorization", authorization)
			code, header, _ := serve(t, h, r)
			return code, header
		}
		for _, tt := range []struct {
			method, path, authorization string
			want                        int
		}{
			{"GET", "/healthz", "", 200},
			{"GET", "/healthz/ping", "", 200},
			{"GET", "/metrics", "", 401},
			{"GET", "/healthz/", "", 401},
			{"GET", "/metrics", "Basic cmVhZGVyOnRva2Vu", 401},
			{"GET", "/metrics", "Bearer", 401},
			{"GET", "/metrics", "Bearer " + strings.Repeat("x", longestToken+1), 401},
			{"GET", "/metrics", "Bearer made-up", 401},
			{"GET", "/metrics", "Bearer stranger-token", 403},
			{"GET", "/metrics", "bearer  reader-token", 200},
			{"GET", "/metrics", "Bearer reader-token", 200},
			{"PUT", "/metrics", "Bearer reader-token", 403},
			{"GET", "/debug/frontends", "Bearer reader-token", 403},
		} {
			code, header := ask(tt.method, tt.path, tt.authorization)
			if code != tt.want {
				t.Errorf("%s %s %q: %d, want %d", tt.method, tt.path, tt.authorization, code, tt.want)
			}
			if challenged := header.Get("WWW-Authenticate") != ""; challenged != (code == 401) {
				t.Errorf("%s %s: challenge %q", tt.method, tt.path, header.Get("WWW-Authenticate"))
			}
		}
		if got, want := fmt.Sprint(j.asked), "map[may get:3 may put:1 who:3]"; got != want {
			t.Errorf("the API server was asked %v, want %v", got, want)
		}

		t.Log("answers hold for a while, and an API server that is away lets nobody in after that")
		j.broken = true
		<-time.After(keptPeriod - time.Second)
		if code, _ := ask("GET", "/metrics", "Bearer reader-token"); code != 200 {
			t.Errorf("kept: %d", code)
		}
		<-time.After(2 * time.Second)
		if code, _ := ask("GET", "/metrics", "Bearer reader-token"); code != 503 {
			t.Errorf("without an API server: %d", code)
		}
		j.broken = false
		if code, _ := ask("GET", "/metrics", "Bearer reader-token"); code != 200 {
			t.Errorf("with it again: %d", code)
		}
	})
}

// TestAccessAsksOnce: many requests at once are one question.
func TestAccessAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &judge{asked: map[string]int{}, takes: time.Second}
		h := NewAccess(j.client(), clock.RealClock{}, klog.Background()).Guard(text("page"))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				r := get("/metrics", "")
				r.Header.Set("Authorization", "Bearer reader-token")
				if code, _, body := serve(t, h, r); code != http.StatusOK {
					t.Errorf("%d %s", code, body)
				}
			})
		}
		all.Wait()
		if got, want := fmt.Sprint(j.asked), "map[may get:1 who:1]"; got != want {
			t.Errorf("the API server was asked %v, want %v", got, want)
		}
	})
}
