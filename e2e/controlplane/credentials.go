// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// Admin is the user that may do everything.
	Admin = "admin"

	controllerManager    = "system:kube-controller-manager"
	serviceAccountPrefix = "system:serviceaccount:"
)

// ServiceAccount returns the user name of a ServiceAccount, for RESTConfig and Kubeconfig.
func ServiceAccount(namespace, name string) string {
	return serviceAccountPrefix + namespace + ":" + name
}

// secrets are the keys and tokens of one control plane.
type secrets struct {
	ca                    []byte            // PEM, what clients trust
	tokens                map[string]string // user to static token
	certFile, certKeyFile string            // of the API server
	serviceAccountKeyFile string
	tokenFile             string
}

func writeSecrets(dir string) (*secrets, error) {
	// The certificate that comes back is a chain whose second part is the CA made for it.
	loopback := net.IPv4(127, 0, 0, 1)
	chain, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{loopback}, nil)
	if err != nil {
		return nil, fmt.Errorf("make the API server's certificate: %w", err)
	}
	accountKey, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return nil, fmt.Errorf("make the service account key: %w", err)
	}
	s := &secrets{
		ca:                    chain,
		tokens:                map[string]string{Admin: rand.Text(), controllerManager: rand.Text()},
		certFile:              filepath.Join(dir, "apiserver.crt"),
		certKeyFile:           filepath.Join(dir, "apiserver.key"),
		serviceAccountKeyFile: filepath.Join(dir, "service-account.key"),
		tokenFile:             filepath.Join(dir, "tokens.csv"),
	}
	// Columns: token, user, uid, groups.
	tokens := fmt.Sprintf("%s,%s,%s,system:masters\n%s,%s,%s\n", s.tokens[Admin], Admin, Admin,
		s.tokens[controllerManager], controllerManager, controllerManager)
	for path, content := range map[string][]byte{
		s.certFile: chain, s.certKeyFile: key, s.serviceAccountKeyFile: accountKey, s.tokenFile: []byte(tokens),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, fmt.Errorf("write the control plane's secrets: %w", err)
		}
	}
	return s, nil
}

// RESTConfig returns a client configuration, without client-side rate limit, for Admin or for a ServiceAccount (see there) that
// exists. A ServiceAccount's token is a fresh one from the API server, as the kubelet would put it into a Pod; it holds for a
// day and survives a restart of the API server.
func (c *ControlPlane) RESTConfig(ctx context.Context, user string) (*rest.Config, error) {
	token, err := c.token(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("get a token for %q: %w", user, err)
	}
	return &rest.Config{
		Host:            c.ports.apiServerURL(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.secrets.ca},
		QPS:             -1,
		WarningHandler:  rest.NoWarnings{}, // tests use deprecated fields as long as users do
	}, nil
}

func (c *ControlPlane) token(ctx context.Context, user string) (string, error) {
	if token, ok := c.secrets.tokens[user]; ok {
		return token, nil
	}
	account, ok := strings.CutPrefix(user, serviceAccountPrefix)
	if !ok {
		return "", fmt.Errorf("it is neither %q nor a ServiceAccount", Admin)
	}
	namespace, name, _ := strings.Cut(account, ":")
	seconds := int64(24 * 60 * 60)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := c.Admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// Kubeconfig writes a kubeconfig file for user, as RESTConfig takes it, and returns its path. The file refers to no other.
func (c *ControlPlane) Kubeconfig(ctx context.Context, user string) (string, error) {
	token, err := c.token(ctx, user)
	if err != nil {
		return "", fmt.Errorf("get a token for %q: %w", user, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["e2e"] = &clientcmdapi.Cluster{Server: c.ports.apiServerURL(), CertificateAuthorityData: c.secrets.ca}
	config.AuthInfos["e2e"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "e2e"}
	config.CurrentContext = "e2e"
	path := filepath.Join(c.dir, strings.ReplaceAll(user, ":", "-")+".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("write the kubeconfig of %q: %w", user, err)
	}
	return path, nil
}
