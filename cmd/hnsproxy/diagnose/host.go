// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
)

// ErrFound is part of the error of a command that was carried out and found something that is
// not as it should be. Scripts tell it from a failure by its exit code.
var ErrFound = errors.New("not as it should be")

// found is an error that says what was found.
type found string

// Error is part of error.
func (f found) Error() string { return string(f) }

// Found returns an ErrFound that says what was found.
func Found(text string) error { return found(text) }

// Is makes it an ErrFound.
func (found) Is(target error) bool { return target == ErrFound }

// HNS is an HNS to look at.
type HNS struct {
	Driver hnslb.Driver
	// Names lists the names of all networks.
	Names func(context.Context) ([]string, error)
	// Build of Windows, such as 10.0.20348.2700; empty for an emulated HNS.
	Build string
	// Save keeps what was changed, nil where HNS does so itself.
	Save func() error
}

// Host is what the commands take from the program that they are part of.
type Host struct {
	// Environment is where options come from that no flag gives.
	Environment options.Host
	// Help makes --help show the flags of a command in their groups.
	Help func(*cobra.Command, *options.FlagSets)
	// Write prints a document as json or yaml, or the text for people.
	Write func(w io.Writer, format string, document any, text func() string) error
	// Confirm asks whether to do what the text announces, and returns an error for no.
	Confirm func(in io.Reader, out io.Writer, text string) error
	// Terminal tells whether somebody looks at what is written, and its width.
	Terminal func(io.Writer) (width int, ok bool)
	// HNS opens the HNS that options name.
	HNS func(ctx context.Context, o *options.Options) (HNS, error)
	// API says how to reach the API server.
	API func(o *options.Options) (*rest.Config, error)
	// Version of hnsproxy.
	Version func() string
	Now     func() time.Time
}

// Commands returns the commands.
func Commands(h Host) []*cobra.Command {
	return []*cobra.Command{newStatus(h), newTrace(h), newCleanup(h), newDoctor(h), newDump(h)}
}

// finish puts flags and help on a command.
func (h Host) finish(cmd *cobra.Command, sets *options.FlagSets) {
	sets.FlagSet("other").BoolP("help", "h", false, "Print this help and exit.")
	sets.AddTo(cmd.Flags())
	h.Help(cmd, sets)
}

// AcceptAll lets a command take all flags that hnsproxy itself takes, so that the command line of
// a node can be used as it is. Help shows the flags that the command had before.
func AcceptAll(cmd *cobra.Command, c *options.CommandLine) {
	all := options.NewFlagSets()
	c.AddAll(all)
	for _, name := range all.Order {
		all.FlagSets[name].VisitAll(func(f *pflag.Flag) { f.Hidden = true })
	}
	all.AddTo(cmd.Flags()) // a flag that the command has stays as it is
}

// Complete makes the shell complete a flag with values.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	// The only error is that there is no such flag, which a test would show.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// CompleteCommandLine makes the shell complete the flags of hnsproxy's own command line that
// have few values.
func CompleteCommandLine(cmd *cobra.Command) {
	names := make([]string, 0, len(profiles.All()))
	for _, p := range profiles.All() {
		names = append(names, p.Name)
	}
	Complete(cmd, "hns-driver", options.HCN, options.Emulator)
	Complete(cmd, "hns-emulator-profile", names...)
	Complete(cmd, "hns-emulator-network-type", options.NetworkTypes()...)
}

// checkOneOf refuses a value that a flag does not have.
func checkOneOf(flag, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return options.Invalid(flag, value, "there is no such value", "use one of "+strings.Join(known, ", "))
}

// plural prints a number of things.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "s") {
		return fmt.Sprintf("%d %ses", n, one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// noArguments refuses arguments that are not empty, which scripts produce.
func noArguments(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		if arg != "" {
			return options.Usage(fmt.Sprintf("%s takes no argument %q", cmd.CommandPath(), arg), "flags begin with --")
		}
	}
	return nil
}
