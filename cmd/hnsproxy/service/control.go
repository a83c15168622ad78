// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// pollEvery is how often the state of a service is looked at while it is awaited.
const pollEvery = 100 * time.Millisecond

// Controller does what the command "hnsproxy service" is asked for.
type Controller struct {
	Manager Manager
	// Self is the path of hnsproxy.exe.
	Self string
	// Name is the service.
	Name string
	// Wait is how long a service may take to start or to stop.
	Wait time.Duration
}

// Install says what service to install.
type Install struct {
	// From is the service of kube-proxy to take the arguments of, empty for none.
	From string
	// Args are those of hnsproxy: all of them, or what is added to those of From.
	Args []string
	// Start is when the service starts, empty for that of From, or else StartAuto.
	Start string
	// Check refuses arguments that hnsproxy cannot work with in that environment.
	Check func(args, environment []string) error
	// DryRun changes nothing.
	DryRun bool
}

// Changes of Installed.
const (
	Created   = "created"
	Changed   = "changed"
	Unchanged = "unchanged"
)

// Installed is what Install did, or would do.
type Installed struct {
	Change  string     `json:"change"`
	DryRun  bool       `json:"dryRun,omitempty"`
	Service Definition `json:"service"`
	// From and Taken are about the service of kube-proxy.
	From  string   `json:"from,omitempty"`
	Taken []string `json:"taken,omitempty"`
	// Before is the command line of a service that was changed.
	Before string `json:"before,omitempty"`
	// Hints are what is left to do.
	Hints []string `json:"hints,omitempty"`
}

// Install creates the service, or gives it another definition if it is there.
func (c *Controller) Install(i Install) (*Installed, error) {
	d, taken, err := c.define(i)
	if err != nil {
		return nil, err
	}
	args, _ := Arguments(d.Command, c.Self)
	if err := i.Check(args, d.Environment); err != nil {
		return nil, err
	}
	out := &Installed{Change: Created, DryRun: i.DryRun, Service: d, From: i.From, Taken: taken, Hints: c.hints(d, i.From)}
	old, err := c.Manager.Definition(c.Name)
	switch {
	case errors.Is(err, ErrNotInstalled):
	case err != nil:
		return nil, err
	default:
		if _, ours := Arguments(old.Command, c.Self); !ours && !strings.EqualFold(c.Name, i.From) {
			return nil, fmt.Errorf("service %s runs %s, not hnsproxy: choose another --name, or use --from-service=%s to replace it with hnsproxy",
				c.Name, Join(old.Command), c.Name)
		}
		if out.Change = Changed; equal(old, d) {
			out.Change = Unchanged
		} else if before := Join(old.Command); before != Join(d.Command) {
			out.Before = before
		}
	}
	if i.DryRun {
		return out, nil
	}
	return out, c.put(out)
}

// put carries out what Install found.
func (c *Controller) put(i *Installed) error {
	var err error
	switch i.Change {
	case Created:
		err = c.Manager.Create(i.Service)
	case Changed:
		err = c.Manager.Change(i.Service)
	}
	return errors.Join(err, c.Manager.RegisterSource(Source))
}

// equal reports whether the service control manager has what is wanted, as far as it tells.
func equal(has, wanted Definition) bool {
	if has.Recovery == nil {
		has.Recovery = wanted.Recovery
	}
	return has.DisplayName == wanted.DisplayName && has.Description == wanted.Description && has.Start == wanted.Start &&
		strings.EqualFold(has.Account, wanted.Account) && slices.Equal(has.Command, wanted.Command) &&
		slices.Equal(has.Dependencies, wanted.Dependencies) && slices.Equal(has.Environment, wanted.Environment) &&
		reflect.DeepEqual(has.Recovery, wanted.Recovery)
}

// define makes the definition that is asked for.
func (c *Controller) define(i Install) (Definition, []string, error) {
	d := Definition{Name: c.Name, DisplayName: displayName, Description: description, Start: StartAuto, Recovery: recovery(),
		Command: asService(append([]string{c.Self}, i.Args...))}
	var taken []string
	if i.From != "" {
		from, err := c.Manager.Definition(i.From)
		if errors.Is(err, ErrNotInstalled) {
			err = fmt.Errorf("%w; \"sc.exe query type= service state= all\" lists all", err)
		}
		if err != nil {
			return d, nil, fmt.Errorf("--from-service: %w", err)
		}
		t, err := takeOver(from, c.Name, c.Self)
		if err != nil {
			return d, nil, fmt.Errorf("--from-service: %w", err)
		}
		d, taken = t.Definition, t.notes
		d.Command = append(d.Command, i.Args...)
	}
	if i.Start != "" {
		d.Start = i.Start
	}
	return d, taken, nil
}

// hints say what is left to do after Install.
func (c *Controller) hints(d Definition, from string) []string {
	var out []string
	if direct := d.Command[0] == c.Self; direct && !given(d.Command[1:], "logtostderr") && !given(d.Command[1:], "config") {
		out = append(out, `a service has no standard error, so logs are lost: add --logtostderr=false --log-file=C:\var\log\hnsproxy.log`)
	}
	if from != "" && !strings.EqualFold(from, c.Name) {
		out = append(out, fmt.Sprintf("service %s was not changed; only one of the two may run: sc.exe stop %s, and sc.exe config %s start= disabled", from, from, from))
	}
	return append(out, "start it: hnsproxy service start"+c.nameFlag())
}

func (c *Controller) nameFlag() string {
	if c.Name == Source {
		return ""
	}
	return " --name=" + c.Name
}

// ours makes sure that the service runs hnsproxy.
func (c *Controller) ours() error {
	d, err := c.Manager.Definition(c.Name)
	if err != nil {
		return err
	}
	if _, ok := Arguments(d.Command, c.Self); !ok {
		return fmt.Errorf("service %s runs %s, not hnsproxy: nothing was changed", c.Name, Join(d.Command))
	}
	return nil
}

// Uninstall stops the service and removes it. It reports whether there was one.
func (c *Controller) Uninstall(ctx context.Context) (bool, error) {
	err := c.ours()
	if errors.Is(err, ErrNotInstalled) {
		return false, c.Manager.RemoveSource(Source)
	}
	if err != nil {
		return false, err
	}
	if err := c.Stop(ctx); err != nil {
		return true, err
	}
	return true, errors.Join(c.Manager.Delete(c.Name), c.Manager.RemoveSource(Source))
}

// Stop stops the service, and waits until HNS is no longer called.
func (c *Controller) Stop(ctx context.Context) error {
	if err := c.ours(); err != nil {
		return err
	}
	now, err := c.Manager.Condition(c.Name)
	if err != nil || now.State == Stopped {
		return err
	}
	if now.State != StopPending {
		if err := c.Manager.Stop(c.Name); err != nil {
			return err
		}
	}
	_, err = c.await(ctx, Stopped)
	return err
}

// Start starts the service, and waits until it runs. It refuses to run beside kube-proxy.
func (c *Controller) Start(ctx context.Context) error {
	if err := c.ours(); err != nil {
		return err
	}
	if err := c.alone(); err != nil {
		return err
	}
	now, err := c.Manager.Condition(c.Name)
	if err != nil || now.State == Running {
		return err
	}
	if now.State != StartPending {
		if err := c.Manager.Start(c.Name); err != nil {
			return err
		}
	}
	if now, err = c.await(ctx, Running, Stopped); err != nil || now.State == Running {
		return err
	}
	return fmt.Errorf("service %s stopped immediately, %s: see the event log for the reason "+
		"(Get-EventLog Application -Source %s -Newest 5)", c.Name, exitText(now), Source)
}

// alone makes sure that no service of kube-proxy runs: two would undo what the other does.
func (c *Controller) alone() error {
	for _, name := range []string{"kube-proxy", "kubeproxy"} {
		if strings.EqualFold(name, c.Name) {
			continue
		}
		d, err := c.Manager.Definition(name)
		if err != nil {
			continue // mostly there is none
		}
		if _, ours := Arguments(d.Command, c.Self); ours {
			continue
		}
		if now, err := c.Manager.Condition(name); err == nil && now.State != Stopped {
			return fmt.Errorf("service %s is %s; the two would conflict with each other: sc.exe stop %s, and sc.exe config %s start= disabled",
				name, now.State, name, name)
		}
	}
	return nil
}

// await waits for one of some states.
func (c *Controller) await(ctx context.Context, states ...State) (Condition, error) {
	var now Condition
	err := wait.PollUntilContextTimeout(ctx, pollEvery, c.Wait, true, func(context.Context) (bool, error) {
		var err error
		now, err = c.Manager.Condition(c.Name)
		return slices.Contains(states, now.State), err
	})
	if wait.Interrupted(err) {
		return now, fmt.Errorf("service %s is still %s after %v (--wait); the operation continues", c.Name, now.State, c.Wait)
	}
	return now, err
}

// Report is what is known about a service.
type Report struct {
	Name      string `json:"name"`
	Installed bool   `json:"installed"`
	*Condition
	Service *Definition `json:"service,omitempty"`
}

// Status tells how the service is doing.
func (c *Controller) Status() (*Report, error) {
	d, err := c.Manager.Definition(c.Name)
	if errors.Is(err, ErrNotInstalled) {
		return &Report{Name: c.Name}, nil
	}
	if err != nil {
		return nil, err
	}
	now, err := c.Manager.Condition(c.Name)
	if err != nil {
		return nil, err
	}
	return &Report{Name: c.Name, Installed: true, Condition: &now, Service: &d}, nil
}
