// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Problem is one thing that is wrong with the command line or the configuration file.
type Problem struct {
	// File and Field name the value in a configuration file. They are empty when a flag
	// gave it; Field is empty when the file as a whole is meant.
	File, Field string
	// Flag without dashes, and the value that it was given.
	Flag, Value string
	// Why it cannot be used, and what to do.
	Why, Remedy string
}

// String prints the problem in one line.
func (p Problem) String() string {
	var text string
	switch {
	case p.File != "" && p.Field == "":
		text = fmt.Sprintf("%s: %s", p.File, p.Why)
	case p.File != "":
		text = fmt.Sprintf("%s: %s: %q: %s", p.File, p.Field, p.Value, p.Why)
	case p.Flag == "":
		text = p.Why
	default:
		text = fmt.Sprintf("--%s=%s: %s", p.Flag, p.Value, p.Why)
	}
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// InvalidError is a command line or a configuration file that cannot be used, with
// everything that is wrong. Starting again changes nothing.
type InvalidError struct{ Problems []Problem }

// Error lists the problems, one in a line.
func (e *InvalidError) Error() string {
	what := "invalid command line:"
	for _, p := range e.Problems {
		if p.File != "" {
			what = "invalid configuration:"
		}
	}
	lines := []string{what}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// Warning is something in the command line or the file that has no effect, or another one
// than its writer may expect.
type Warning struct {
	Text   string
	Values []any
}

// FlagError says what is wrong with a command line that cannot be parsed.
func FlagError(fs *pflag.FlagSet, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var p Problem
	switch e := err.(type) { //nolint:errorlint // pflag returns these as they are
	case *pflag.NotExistError:
		p = unknownFlag(fs, e)
	case *pflag.ValueRequiredError:
		p = Problem{Flag: e.GetFlag().Name, Why: "no value given", Remedy: remedyFor(e.GetFlag().Value.Type())}
	case *pflag.InvalidValueError:
		p = Problem{Flag: e.GetFlag().Name, Value: e.GetValue(), Why: why(e), Remedy: remedyFor(e.GetFlag().Value.Type())}
	case *pflag.InvalidSyntaxError:
		p = Problem{Why: fmt.Sprintf("%s is not a flag", e.GetSpecifiedFlag()), Remedy: "use --NAME=VALUE"}
	default:
		p = Problem{Why: err.Error(), Remedy: "see hnsproxy --help"}
	}
	return &InvalidError{Problems: []Problem{p}}
}

// why is the cause without the words of the libraries about how they parse.
func why(e *pflag.InvalidValueError) string {
	switch e.GetFlag().Value.Type() {
	case "bool":
		return "is not a boolean"
	case "duration":
		return "is not a duration"
	case "int32", "int", "uint64", "Level":
		return "is not an integer, or is out of range"
	case "float32":
		return "is not a number"
	case "mapStringBool":
		return "is not a list of NAME=BOOL pairs"
	}
	return errors.Unwrap(e).Error()
}

func unknownFlag(fs *pflag.FlagSet, e *pflag.NotExistError) Problem {
	p := Problem{Why: "unknown flag --" + e.GetSpecifiedName(), Remedy: "see hnsproxy --help"}
	if short, _, _ := strings.Cut(e.GetSpecifiedShortnames(), "="); short != "" {
		p.Why = fmt.Sprintf("unknown flag -%s in -%s", e.GetSpecifiedName(), short)
		if long := fs.Lookup(short); long != nil && len(short) > 1 {
			p.Remedy = fmt.Sprintf("use --%s, with two dashes", long.Name)
		}
		return p
	}
	if near := nearest(fs, e.GetSpecifiedName()); near != "" {
		p.Remedy = fmt.Sprintf("did you mean --%s?", near)
	}
	return p
}

// nearest is the flag whose name takes the fewest edits of one letter to become name, empty
// when none is near.
func nearest(fs *pflag.FlagSet, name string) string {
	best, bestName := max(2, len(name)/3)+1, ""
	fs.VisitAll(func(f *pflag.Flag) {
		if d := distance(strings.ToLower(name), f.Name); d < best && !f.Hidden {
			best, bestName = d, f.Name
		}
	})
	return bestName
}

// distance is how many letters must be put in, taken out or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
