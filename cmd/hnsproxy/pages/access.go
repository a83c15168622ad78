// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// reviewPeriod is how long the API server may take to answer.
	reviewPeriod = 10 * time.Second
	// keptPeriod is how long its answers hold, as in programs made with k8s.io/apiserver.
	keptPeriod = 10 * time.Second
	// keptAnswers bounds how many answers are kept.
	keptAnswers = 1024
	// longestToken bounds what the API server is asked. Tokens of Kubernetes have 1 to 2 KiB.
	longestToken = 16 << 10
)

// Access lets a request pass when the API server says who sends it, by its bearer token
// (TokenReview), and that this user may do so (SubjectAccessReview): "get" on the path, as
// ClusterRoles name it in nonResourceURLs.
type Access struct {
	client kubernetes.Interface
	logger klog.Logger
	// users and verdicts are answers of the API server; one that is no answer is not kept.
	users, verdicts *cache.LRUExpireCache
	asking          singleflight.Group
}

// NewAccess makes an Access that asks through client. It needs the rights of ClusterRole
// system:auth-delegator.
func NewAccess(client kubernetes.Interface, c clock.Clock, logger klog.Logger) *Access {
	return &Access{client: client, logger: logger, users: cache.NewLRUExpireCacheWithClock(keptAnswers, c),
		verdicts: cache.NewLRUExpireCacheWithClock(keptAnswers, c)}
}

// open are the paths that anybody may ask for, as those of k8s.io/apiserver's programs: they
// say ok.
func open(path string) bool { return slices.Contains([]string{"/healthz", "/healthz/" + ping}, path) }

// user is who sends a request; nil for nobody that the API server knows.
type user struct {
	authenticationv1.UserInfo
	// id tells users apart, with all their groups.
	id string
}

// errNoAnswer is of an API server that could not be asked.
var errNoAnswer = errors.New("the API server did not respond")

// Guard lets only those requests through to h.
func (a *Access) Guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open(r.URL.Path) {
			h.ServeHTTP(w, r)
			return
		}
		code, why := a.judge(r)
		if code == http.StatusOK {
			h.ServeHTTP(w, r)
			return
		}
		if code == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		http.Error(w, why, code)
	})
}

// judge returns 200 for a request that may pass, else the status to answer with.
func (a *Access) judge(r *http.Request) (code int, why string) {
	token := bearer(r)
	if token == "" || len(token) > longestToken {
		return http.StatusUnauthorized, "Unauthorized"
	}
	ctx, cancel := context.WithTimeout(r.Context(), reviewPeriod)
	defer cancel()
	u, err := a.authenticate(ctx, token)
	switch {
	case err != nil:
		a.logger.Error(err, "Token review failed; denying the metrics request")
		return http.StatusServiceUnavailable, errNoAnswer.Error()
	case u == nil:
		return http.StatusUnauthorized, "Unauthorized"
	}
	verb := strings.ToLower(r.Method)
	allowed, err := a.authorize(ctx, u, verb, r.URL.Path)
	switch {
	case err != nil:
		a.logger.Error(err, "Subject access review failed; denying the metrics request", "user", u.Username)
		return http.StatusServiceUnavailable, errNoAnswer.Error()
	case !allowed:
		return http.StatusForbidden, fmt.Sprintf("Forbidden: user %q cannot %s path %q", u.Username, verb, r.URL.Path)
	}
	return http.StatusOK, ""
}

// bearer is the token of a request, empty for none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// authenticate says whose a token is. Tokens are kept as their sum only.
func (a *Access) authenticate(ctx context.Context, token string) (*user, error) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(token)))
	out, err := a.ask(ctx, a.users, sum, func(ctx context.Context) (any, error) {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		review, err := a.client.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
		switch {
		case err != nil:
			return nil, fmt.Errorf("review a token: %w", err)
		case !review.Status.Authenticated:
			return (*user)(nil), nil
		}
		return &user{review.Status.User, sum}, nil
	})
	u, _ := out.(*user)
	return u, err
}

// authorize says whether a user may do something.
func (a *Access) authorize(ctx context.Context, u *user, verb, path string) (bool, error) {
	key := strings.Join([]string{u.id, verb, path}, " ")
	out, err := a.ask(ctx, a.verdicts, key, func(ctx context.Context) (any, error) {
		extra := map[string]authorizationv1.ExtraValue{}
		for name, values := range u.Extra {
			extra[name] = authorizationv1.ExtraValue(values)
		}
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: u.Username, UID: u.UID, Groups: u.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
		}}
		review, err := a.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("review an access: %w", err)
		}
		return review.Status.Allowed, nil
	})
	allowed, _ := out.(bool)
	return allowed, err
}

// ask returns the answer that is kept, or asks for it, once for all that want it now. What is
// in progress goes on when the one who asked first hangs up.
func (a *Access) ask(ctx context.Context, kept *cache.LRUExpireCache, key string, question func(context.Context) (any, error)) (any, error) {
	if answer, ok := kept.Get(key); ok {
		return answer, nil
	}
	result := a.asking.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewPeriod)
		defer cancel()
		answer, err := question(ctx)
		if err == nil {
			kept.Add(key, answer, keptPeriod)
		}
		return answer, err
	})
	select {
	case r := <-result:
		return r.Val, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
