// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Read reads a scenario from a file. Fields that the file does not name have their defaults. The scenario is not validated yet,
// since flags may change it.
func Read(path string) (Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario: %w; 'hnsproxy-bench list' shows those that there are", err)
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

// List reads all scenarios of a directory.
func List(dir string) ([]Scenario, error) {
	var all []Scenario
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		s, err := Read(path)
		if err == nil {
			err = s.Validate()
		}
		all = append(all, s)
		return err
	})
	return all, err
}

// Find returns the file that an argument of the command line names: a path, or a name in a directory of scenarios.
func Find(dir, argument string) string {
	if strings.ContainsAny(argument, `/\`) || filepath.Ext(argument) != "" {
		return argument
	}
	return filepath.Join(dir, argument+".yaml")
}
