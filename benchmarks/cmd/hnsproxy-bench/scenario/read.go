// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/hnsproxy/hnsproxy/benchmarks/scenarios"
)

// Read reads a scenario: that of a file when the argument looks like a path, else the one of that name among those that come with
// hnsproxy-bench. Fields that the file does not name have their defaults. The scenario is not validated yet, since flags may change
// it.
func Read(argument string) (Scenario, error) {
	var text []byte
	var err error
	path := argument
	if strings.ContainsAny(argument, `/\`) || filepath.Ext(argument) != "" {
		text, err = os.ReadFile(argument)
	} else {
		path += ".yaml"
		text, err = scenarios.Files.ReadFile(path)
	}
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario: %w; give a file, or a name that 'hnsproxy-bench list' shows", err)
	}
	s, err := decode(text)
	if err != nil {
		return Scenario{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	return s, nil
}

func decode(text []byte) (Scenario, error) {
	s := Default()
	// A list in the file must replace the default, not be merged into it.
	families := s.Cluster.IPFamilies
	s.Cluster.IPFamilies = nil
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		return Scenario{}, explained(err)
	}
	if s.Cluster.IPFamilies == nil {
		s.Cluster.IPFamilies = families
	}
	return s, nil
}

// explained adds to an error of the decoder what to do.
func explained(err error) error {
	text := strings.TrimPrefix(err.Error(), "error unmarshaling JSON: while decoding JSON: ")
	text = strings.TrimPrefix(text, "json: ")
	field := regexp.MustCompile(`unknown field "([^"]+)"`).FindStringSubmatch(text)
	switch {
	case field != nil:
		return fmt.Errorf("there is no field %q: correct its name or remove it; the files in benchmarks/scenarios explain all fields", field[1])
	case strings.Contains(text, "cannot unmarshal"), strings.Contains(text, "invalid duration"), strings.Contains(text, "missing unit"):
		return fmt.Errorf("%s: give the field a value as in benchmarks/scenarios, e.g. 30s for a time", text)
	}
	return fmt.Errorf("%s: correct the YAML", text)
}

// List reads the scenarios that come with hnsproxy-bench.
func List() ([]Scenario, error) {
	entries, err := scenarios.Files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, entry := range entries {
		s, err := Read(strings.TrimSuffix(entry.Name(), ".yaml"))
		if err == nil {
			err = s.Validate()
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
