// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/hnsproxy/hnsproxy/e2e/process"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const monitoring = "../../deploy/monitoring/"

// rule is an alert or a recording rule.
type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T, name string) []rule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	readMonitoring(t, name, &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func readMonitoring(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(monitoring + name)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	installPrometheus(t)
	command := exec.CommandContext(t.Context(), "promtool", args...)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, output)
	}
}

// TestRules has promtool test the rules, and wants each alert to say what to do and to have a history on which it fires and one on
// which it does not.
func TestRules(t *testing.T) {
	promtool(t, monitoring, "check", "rules", "rules.yaml", "alerts.yaml")
	promtool(t, monitoring, "test", "rules", "alerts_test.yaml")
	var tests struct {
		Tests []struct {
			Name     string
			ExprTest []struct {
				Expr    string
				Samples []any `json:"exp_samples"`
			} `json:"promql_expr_test"`
		}
	}
	readMonitoring(t, "alerts_test.yaml", &tests)
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, group := range tests.Tests {
		name, what, _ := strings.Cut(group.Name, " ")
		for _, e := range group.ExprTest {
			if !strings.Contains(e.Expr, `"`+name+`"`) {
				continue
			}
			fires[name] = fires[name] || len(e.Samples) > 0
			rests[name] = rests[name] || len(e.Samples) == 0 && strings.HasPrefix(what, "does not fire")
		}
	}
	for _, r := range readRules(t, "alerts.yaml") {
		if !fires[r.Alert] || !rests[r.Alert] {
			t.Errorf("%s: tested that it fires: %v, that it does not: %v", r.Alert, fires[r.Alert], rests[r.Alert])
		}
		for _, name := range []string{"summary", "description", "remedy"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has severity %q", r.Alert, r.Labels["severity"])
		}
	}
}

// TestScrapeConfig has promtool check the configuration, without what Debian's Prometheus lacks: it cannot ask Kubernetes.
func TestScrapeConfig(t *testing.T) {
	var config map[string]any
	readMonitoring(t, "scrape-config.yaml", &config)
	for _, job := range config["scrape_configs"].([]any) {
		delete(job.(map[string]any), "kubernetes_sd_configs")
	}
	dir := t.TempDir()
	text, err := json.Marshal(config) // which is YAML, too
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "prometheus.yml"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "config", "--syntax-only", "prometheus.yml")
}

// words are what an expression consists of.
var (
	quoted   = regexp.MustCompile(`"(\\.|[^"\\])*"|'[^']*'`)
	matchers = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]`)
	grouping = regexp.MustCompile(`\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)`)
	called   = regexp.MustCompile(`\b[a-z_]+\s*\(`)
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
)

// metricsOf names the metrics of an expression: all that is no label, function or operator.
func metricsOf(expr string) []string {
	for _, r := range []*regexp.Regexp{quoted, matchers, grouping} {
		expr = r.ReplaceAllString(expr, " ")
	}
	// Aggregations may have their labels before the parenthesis, where only the word is left now.
	expr = regexp.MustCompile(`\b(sum|count|max|min|quantile)\s`).ReplaceAllString(expr, " ")
	expr = called.ReplaceAllString(expr, "(")
	all := word.FindAllString(expr, -1)
	return slices.DeleteFunc(all, func(w string) bool { return slices.Contains([]string{"and", "or", "unless", "e"}, w) })
}

func TestMetricsOf(t *testing.T) {
	const expr = `sum by (a, b) (rate(x_total{c="y", d=~"z{}"}[5m])) / on (a) group_left (e) (0 * c:d:e) > 3 and absent(up) or time() - quantile by (q) (0.5, h) unless i`
	if got, want := metricsOf(expr), []string{"x_total", "c:d:e", "up", "h", "i"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// dashboardQueries are all queries of the dashboard, with the values that Grafana gives variables when all is chosen.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	text, err := os.ReadFile(monitoring + "dashboard.json")
	if err == nil {
		err = json.Unmarshal(text, &dashboard)
	}
	if err != nil {
		t.Fatal(err)
	}
	variables := []string{"$__rate_interval", "30s"}
	for _, v := range dashboard.Templating.List {
		variables = append(variables, "$"+v.Name, ".*")
	}
	all := map[string]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all[p.Title+" "+target.RefID] = strings.NewReplacer(variables...).Replace(target.Expr)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s asks nothing", p.Title)
		}
	}
	for name, query := range all {
		if strings.Contains(query, "$") {
			t.Errorf("%s has a variable that the dashboard lacks: %s", name, query)
		}
	}
	return all
}

// troubled are alerts whose condition holds after what TestMonitoring does to a node, their time left aside.
var troubled = []string{unavailable, "HnsproxyPortExhaustion", "HnsproxyServiceNotSupported"}

const unavailable = "HnsproxyHNSUnavailable"

// TestMonitoring has a real Prometheus with the rules scrape hnsproxy.exe on a node with troubles, and wants an answer to each query
// of the dashboard, to each recording rule, and to those alerts that the troubles are for.
func TestMonitoring(t *testing.T) {
	l := newLab(t)
	other := l.newHost()
	other.hns.Reserve(30080, hnslb.TCP)
	hnsproxy := l.start(l.hnsproxy, other)
	p := l.startMonitoring(other.addresses["metrics"])
	l.must(l.addService())
	l.must(l.addUnusual())
	all := dashboardQueries(t)
	for _, r := range slices.Concat(readRules(t, "rules.yaml"), readRules(t, "alerts.yaml")) {
		switch {
		case r.Record != "":
			all[r.Record] = r.Expr
			all[r.Record+", recorded"] = r.Record
		case slices.Contains(troubled, r.Alert):
			all[r.Alert] = r.Expr
		}
	}
	await := func(name string) {
		l.await(fmt.Sprintf("Prometheus to have %s: %s", name, all[name]), hnsproxy, func(ctx context.Context) bool {
			n, err := p.values(ctx, all[name], false)
			// Something happens, so that rates have something to show.
			return l.probe(ctx, other) == nil && l.touchService(ctx) == nil && err == nil && n > 0
		})
	}
	await("Programmed A")
	other.hns.Stop()
	await(unavailable)
	other.hns.Start(emulator.RestartOptions{LoseLoadBalancers: true})
	for name := range all {
		await(name)
	}
	metrics := map[string]bool{}
	for _, r := range readRules(t, "alerts.yaml") {
		for _, name := range metricsOf(r.Expr) {
			if n, err := p.values(t.Context(), `count({__name__="`+name+`"})`, true); err != nil || n == 0 {
				t.Errorf("%s: there is no metric %s (%v)", r.Alert, name, err)
			}
			metrics[name] = true
		}
	}
	t.Logf("%d queries have data; alerts use %d metrics", len(all), len(metrics))
}

// startMonitoring starts a Prometheus that has the rules and scrapes one target, each second.
func (l *lab) startMonitoring(target string) *prometheus {
	l.Helper()
	dir := l.TempDir()
	rules, err := filepath.Abs(monitoring)
	l.must(err)
	file := filepath.Join(dir, "prometheus.yml")
	l.must(os.WriteFile(file, fmt.Appendf(nil, "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s/rules.yaml, %s/alerts.yaml]\n"+
		"scrape_configs:\n- job_name: hnsproxy\n  static_configs:\n  - targets: [%s]\n", rules, rules, target), 0o600))
	installPrometheus(l.T)
	program, err := exec.LookPath("prometheus")
	l.must(err)
	address := freeAddress(l.T)
	running, err := process.Start(program, dir, []string{"--config.file=" + file, "--storage.tsdb.path=" + dir, "--web.listen-address=" + address})
	l.must(err)
	l.Cleanup(running.Kill)
	return &prometheus{l, "http://" + address}
}

// addUnusual makes a Service that Windows cannot serve, and one whose node port is taken.
func (l *lab) addUnusual() error {
	services := l.plane.Admin.CoreV1().Services("default")
	for name, spec := range map[string]corev1.ServiceSpec{
		"sctp":  {Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolSCTP}}},
		"taken": {Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: 30080, Protocol: corev1.ProtocolTCP}}},
	} {
		if _, err := services.Create(l.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
			return err
		}
		port := int32(8080)
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Port: &port, Protocol: &spec.Ports[0].Protocol}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.8.1"}}},
		}
		if _, err := l.plane.Admin.DiscoveryV1().EndpointSlices("default").Create(l.Context(), slice, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// probe asks what a kubelet asks.
func (l *lab) probe(ctx context.Context, h host) error {
	for _, path := range []string{"/livez", "/healthz"} {
		if _, err := ask(ctx, h.addresses, request{port: "healthz", method: http.MethodGet, path: path}); err != nil {
			return err
		}
	}
	return nil
}
