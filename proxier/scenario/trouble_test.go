// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// load puts the objects of a section, written as the hns check prints them, into HNS.
// Other IDs are given to all objects, so the proxy must not run.
func load(w *world, section string) error {
	if w.proxy != nil {
		return fmt.Errorf("the proxy runs; stop it first")
	}
	text, err := w.script.Section(section, w.way.Network)
	if err != nil {
		return err
	}
	return w.hns.Load(text)
}

// hnsDelete deletes a load balancer by its frontend, or a remote endpoint by its address,
// behind the proxy's back.
func hnsDelete(w *world, arg string) error {
	w.settle()
	w.changed()
	return w.hns.Lose(arg)
}

// fault sets the faults that are named, and ends all others.
func fault(w *world, args []string) error {
	var f profiles.Faults
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "none":
		case "delete-fails-once":
			f.DeleteFailsOnce = true
		case "endpoint-delete-lies":
			f.EndpointDeleteLies = true
		case "leak-ports":
			f.LeakPorts = true
		case "half-made":
			f.HalfMade = true
		case "modify-lies":
			f.ModifyLies = true
		case "no-data-path":
			f.NoDataPath = true
		case "vanish-during-list":
			n, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			f.VanishDuringList = n
		case "release-leaked-ports":
			w.hns.ReleaseLeakedPorts()
		default:
			return fmt.Errorf("unknown fault %q", name)
		}
	}
	w.hns.SetFaults(f)
	return nil
}

// verbAndCount reads "CreateEndpoint 2"; the count may be missing.
func verbAndCount(args []string) (hnslb.Verb, int, error) {
	if len(args) == 0 || !slices.Contains(hnslb.Verbs(), hnslb.Verb(args[0])) {
		return "", 0, fmt.Errorf("want a verb: %v", hnslb.Verbs())
	}
	if len(args) == 1 {
		return hnslb.Verb(args[0]), 1, nil
	}
	n, err := strconv.Atoi(args[1])
	return hnslb.Verb(args[0]), n, err
}

// fail makes the next calls of a verb fail with an HRESULT.
func fail(w *world, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want verb, count and HRESULT")
	}
	verb, n, err := verbAndCount(args[:2])
	if err != nil {
		return err
	}
	code, err := strconv.ParseUint(args[2], 0, 32)
	if err != nil {
		return err
	}
	w.hns.FailNext(verb, n, hnslb.HRESULT(code))
	return nil
}

// loseAnswer makes the next calls of a verb work and seem to fail.
func loseAnswer(w *world, args []string) error {
	verb, n, err := verbAndCount(args)
	if err == nil {
		w.hns.LoseAnswers(verb, n)
	}
	return err
}

// hang makes the next calls of a verb hang until release.
func hang(w *world, args []string) error {
	verb, n, err := verbAndCount(args)
	if err == nil {
		w.hns.Hang(verb, n)
	}
	return err
}
