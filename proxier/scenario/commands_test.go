// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// command is one word of the script language.
type command struct {
	run func(w *world, args []string) error
	// check tells that it looks and changes nothing; the proxy finishes before.
	check bool
	// plainOnly skips it in all ways but the plain one.
	plainOnly bool
}

// commands is the whole language. README.md says what each does.
func commands() map[string]command {
	all := map[string]command{
		// The node, before the proxy starts or while it runs.
		"option": {run: option},
		"node":   {run: setNode},
		"load":   {run: EachArg(load)},

		// The cluster.
		"apply":  {run: together(apply)},
		"delete": {run: together(remove)},

		// Time and the proxy.
		"sync":    {run: finish, check: true},
		"advance": {run: advance, check: true},
		"start":   {run: func(w *world, _ []string) error { w.start(); return nil }},
		"stop":    {run: func(w *world, _ []string) error { w.halt(); return nil }},
		"restart": {run: restart},

		// What goes wrong with HNS.
		"hns-delete":  {run: EachArg(hnsDelete)},
		"fault":       {run: fault},
		"fail":        {run: fail},
		"lose-answer": {run: loseAnswer},
		"hang":        {run: hang},
		"release":     {run: func(w *world, _ []string) error { w.hns.ReleaseHung(); return nil }},

		// Checks.
		"hns":    {run: EachArg(checkHNS), check: true},
		"status": {run: EachArg(checkStatus), check: true},
		"trace":  {run: checkTrace, check: true},
		"health": {run: checkHealth, check: true},
		"flow":   {run: checkFlow, check: true, plainOnly: true},
		"calls":  {run: checkCalls, check: true, plainOnly: true},
		"dark":   {run: checkDark, check: true, plainOnly: true},
		"events": {run: EachArg(checkEvents), check: true, plainOnly: true},
		"reset":  {run: reset, check: true},
	}
	for name, do := range HNSCommands() {
		all[name] = command{run: func(w *world, args []string) error { return do(w.hns, args) }}
	}
	all["now"] = command{run: now(all), check: true, plainOnly: true}
	return all
}

// now runs a check without letting the proxy finish before.
func now(all map[string]command) func(*world, []string) error {
	return func(w *world, args []string) error {
		if len(args) == 0 || !all[args[0]].check {
			return fmt.Errorf("want a check")
		}
		w.impatient = true
		defer func() { w.impatient = false }()
		return all[args[0]].run(w, args[1:])
	}
}

// option sets what flags set on a real node. It takes effect at the next start.
func option(w *world, args []string) error {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch name {
		case "dsr":
			w.options.DSR = value == "on"
		case "source-vip":
			w.options.SourceVIP = netip.Addr{}
			if value != "none" {
				w.options.SourceVIP, err = netip.ParseAddr(value)
			}
		case "root-endpoint":
			w.options.RootEndpoint = strings.TrimPrefix(value, "none")
		case "healthz-port":
			port, bad := strconv.ParseUint(value, 10, 16)
			w.options.HealthzPort, err = uint16(port), bad
		case "source-ranges":
			w.options.SkipSourceRanges = value == "skip"
		case "nodeport-addresses":
			w.options.NodePortAddresses, err = desired.ParseNodePortAddresses(strings.Split(value, ","))
		case "deny-endpoints":
			w.options.DenyEndpoints, err = desired.ParseAddressRanges(strings.Split(value, ","))
		case "bind-address":
			w.bind, err = parseAddrs(value)
		case "timeout":
			w.timeout, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown option %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setNode changes what the Node object says.
func setNode(w *world, args []string) error {
	if err := ChangeNode(&w.node, args); err != nil {
		return err
	}
	if w.proxy != nil {
		w.proxy.SetNode(w.node)
		w.ports.SetNode(w.node)
	}
	return nil
}

// together makes all that a command changes one change, except where a run splits it.
func together(do func(*world, []string) error) func(*world, []string) error {
	return func(w *world, args []string) error {
		if !w.way.Variant.Split {
			defer w.clock.Pause()()
		}
		return do(w, args)
	}
}

// apply hands a section of YAML to the proxy; "invalid" after it says that the proxy
// cannot understand all of it.
func apply(w *world, args []string) error {
	wantInvalid := len(args) > 1 && args[len(args)-1] == "invalid"
	if wantInvalid {
		args = args[:len(args)-1]
	}
	for _, section := range args {
		err := w.apply(section)
		if wantInvalid && err == nil {
			return fmt.Errorf("section %s is valid", section)
		}
		if !wantInvalid && err != nil {
			return err
		}
	}
	return nil
}

// remove takes objects away: those of a section, or one named as Service/web.
func remove(w *world, args []string) error {
	for _, arg := range args {
		objects := []object{{Object: Object{Name: arg}}}
		if !strings.Contains(arg, "/") {
			var err error
			if objects, err = w.objectsOf(arg); err != nil {
				return err
			}
		}
		if err := w.remove(objects); err != nil {
			return err
		}
	}
	return nil
}

// finish lets the proxy do what it has to. Squashed runs do without.
func finish(w *world, _ []string) error {
	if !w.way.Variant.Squash {
		w.settle()
	}
	return nil
}

func advance(w *world, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one duration")
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	w.begin()
	w.pass(d)
	return nil
}

// restart is a new process on the HNS that the old one left.
func restart(w *world, _ []string) error {
	w.halt()
	w.start()
	return nil
}
