// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/scenario"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// checkPatience is how long a check of a scenario may take to become right.
const checkPatience = 20 * time.Second

// scenarioRun is one scenario on its way. Its hnsproxy runs in this process, on the node that every scenario begins with.
type scenarioRun struct {
	*World
	cluster *ScenarioCluster
	script  *scenario.Script
	way     scenario.Way
	hns     *scenario.HNS
	node    services.Node
	options []func(*app.Options)
	// objects are those of the script that the API server holds, by name.
	objects map[string]scenario.Object
	// running is nil while hnsproxy is stopped; it starts with the first check.
	running *Proxy
	started bool
	// loaded tells that HNS was given objects that nobody will take away.
	loaded bool
	checks int
	// at is the line of the script that runs, for errors.
	at string
}

// Run carries a script out and fails the test where a check does. When it is done the API server holds nothing of the script.
func (c *ScenarioCluster) Run(tb testing.TB, script *scenario.Script, way scenario.Way) {
	tb.Helper()
	hns, err := scenario.NewHNS(way.Network, emulator.Config{Profile: way.Profile})
	if err != nil {
		tb.Fatal(err)
	}
	r := &scenarioRun{cluster: c, script: script, way: way, hns: hns, node: scenario.Node(), objects: map[string]scenario.Object{}}
	r.World = &World{
		Plane: c.plane, Namespace: "default", Kubelet: kubelet.New(c.plane.Admin), HNS: hns.Emulator, Node: r.node.Name, tb: tb,
		// HNS is compared often, since time is real and scripts are written for hours of it.
		setup: Setup{Profile: way.Profile, DSR: true, SyncPeriod: time.Second, Options: r.flags},
	}
	r.AddNode(kubelet.Node{
		Name: r.node.Name, Zone: r.node.Zone, OS: "windows", InternalIPs: r.node.IPs, PodCIDRs: prefixes("10.244.1.0/24"),
	})
	tb.Cleanup(func() {
		if err := r.removeAll(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	for _, line := range script.Lines {
		if !line.Holds(way) || slices.Contains(passedOver(), line.Words[0]) {
			continue
		}
		r.at = script.At(line)
		if err := r.do(line.Words[0], line.Words[1:]); err != nil {
			tb.Fatalf("%s: %v", r.at, err)
		}
	}
	r.at = script.File + ": clean up"
	if r.checks == 0 {
		tb.Error("the script checks nothing here")
	}
	r.wipe()
}

// passedOver are commands about virtual time, or about what took how many calls: checks here wait until they are right.
func passedOver() []string {
	return []string{"advance", "calls", "dark", "events", "flow", "now", "reset"}
}

func (r *scenarioRun) do(name string, args []string) error {
	r.tb.Helper()
	if change := scenario.HNSCommands()[name]; change != nil {
		return change(r.hns, args)
	}
	commands := map[string]func(*scenarioRun, []string) error{
		"option":     scenario.EachArg((*scenarioRun).option),
		"node":       (*scenarioRun).changeNode,
		"load":       scenario.EachArg((*scenarioRun).load),
		"apply":      scenario.EachArg((*scenarioRun).apply),
		"delete":     scenario.EachArg((*scenarioRun).remove),
		"sync":       func(r *scenarioRun, _ []string) error { r.settle(); return nil },
		"start":      func(r *scenarioRun, _ []string) error { r.start(); return nil },
		"stop":       func(r *scenarioRun, _ []string) error { r.stop(); return nil },
		"restart":    func(r *scenarioRun, _ []string) error { r.stop(); r.start(); return nil },
		"hns-delete": scenario.EachArg((*scenarioRun).lose),
		"hns":        scenario.EachArg((*scenarioRun).checkHNS),
		"status":     scenario.EachArg((*scenarioRun).checkStatus),
		"trace":      (*scenarioRun).checkTrace,
	}
	if commands[name] == nil {
		return errors.New("the command does not exist here")
	}
	return commands[name](r, args)
}

// option sets a flag of the next start.
func (r *scenarioRun) option(arg string) error {
	name, value, _ := strings.Cut(arg, "=")
	set, ok := map[string]func(*app.Options){
		"dsr":                func(o *app.Options) { o.EnableDSR = value == "on" },
		"source-vip":         func(o *app.Options) { o.SourceVIP = strings.TrimPrefix(value, "none") },
		"source-ranges":      func(o *app.Options) { o.UnenforcedSourceRanges = value },
		"bind-address":       func(o *app.Options) { o.BindAddress = value },
		"deny-endpoints":     func(o *app.Options) { o.DenyEndpoints = strings.Split(value, ",") },
		"nodeport-addresses": func(o *app.Options) { o.NodePortAddresses = strings.Split(value, ",") },
	}[name]
	if !ok {
		return fmt.Errorf("option %q does not exist here", name)
	}
	r.options = append(r.options, set)
	return nil
}

// flags sets the options of the script.
func (r *scenarioRun) flags(o *app.Options) {
	o.MinSyncPeriod = time.Millisecond
	if r.way.Network == "overlay" {
		o.SourceVIP = scenario.SourceVIP
	}
	for _, set := range r.options {
		set(o)
	}
}

func (r *scenarioRun) load(section string) error {
	if r.running != nil {
		return errors.New("hnsproxy runs; stop it first")
	}
	text, err := r.script.Section(section, r.way.Network)
	if err != nil {
		return err
	}
	r.loaded = true
	return r.hns.Load(text)
}

func (r *scenarioRun) lose(what string) error {
	r.settle()
	return r.hns.Lose(what)
}

func (r *scenarioRun) start() {
	if r.running == nil {
		r.running, r.started = r.StartProxy(), true
	}
}

func (r *scenarioRun) stop() {
	if r.running != nil {
		r.running.Stop()
		r.running = nil
	}
}

// settle waits until hnsproxy has seen all changes of Services and EndpointSlices, and has nothing left to do.
func (r *scenarioRun) settle() {
	r.tb.Helper()
	if !r.started {
		r.start()
	}
	if r.running == nil {
		return
	}
	seen, err := r.cluster.fence(r.tb.Context())
	r.Must(err)
	r.awaitFor(checkPatience, r.at, func(context.Context) error {
		if !seen(r.HNS.State()) || !r.running.idle() {
			return errors.New("hnsproxy has not seen all changes and come to rest")
		}
		return nil
	})
}

func (r *scenarioRun) checkHNS(section string) error {
	return r.checkSection(section, func() string {
		return keepLines(r.hns.Text(), func(line string) bool { return !ofFence(line) })
	})
}

func (r *scenarioRun) checkStatus(section string) error {
	return r.checkSection(section, func() string {
		h, ok := r.proxy.instance.(*here)
		if !ok || h.running() == nil {
			return "hnsproxy has not begun"
		}
		rows := slices.DeleteFunc(h.running().Table().Rows(), func(s proxier.FrontendStatus) bool {
			return s.Frontend.Service.Namespace == r.cluster.namespace
		})
		return scenario.StatusText(rows)
	})
}

func (r *scenarioRun) checkSection(section string, now func() string) error {
	want, err := r.script.Section(section, r.way.Network)
	if err != nil {
		return err
	}
	r.check(func() (string, string, error) { return want, now(), nil })
	return nil
}

func (r *scenarioRun) checkTrace(args []string) error {
	r.check(func() (string, string, error) { return r.hns.Trace(r.script, args) })
	return nil
}

// check waits until what is wanted is so.
func (r *scenarioRun) check(compare func() (want, got string, err error)) {
	r.tb.Helper()
	r.settle()
	r.checks++
	r.awaitFor(checkPatience, r.at, func(context.Context) error {
		want, got, err := compare()
		if err != nil {
			return err
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// wipe deletes all objects of the script, and holds that hnsproxy takes all that it made out of HNS.
func (r *scenarioRun) wipe() {
	r.tb.Helper()
	r.Must(r.removeAll(r.tb.Context()))
	if r.running == nil || r.loaded {
		return
	}
	r.check(func() (string, string, error) {
		return "", keepLines(r.hns.Text(), func(line string) bool {
			return !ofFence(line) && (strings.HasPrefix(line, "loadbalancer ") || strings.Contains(line, " remote"))
		}), nil
	})
}

func keepLines(text string, wanted func(line string) bool) string {
	return strings.Join(keep(strings.SplitAfter(text, "\n"), wanted), "")
}
