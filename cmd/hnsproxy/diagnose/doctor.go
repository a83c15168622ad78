// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/doctor"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/spf13/cobra"
)

const doctorHelp = `hnsproxy doctor looks for what is wrong with this node: the version of HNS and the build of Windows,
the network of the pods, its management IP, MAC and source VIP, several adapters, other proxies and
Cilium, dynamic and excluded ports among the node ports, DSR, leaked, half-made and degraded objects,
settings of VFP, the API server, hnsproxy's rights there, the clock, and hnsproxy itself. Each
finding comes with what to do.

Give it the flags that hnsproxy runs with. It changes nothing. The exit code is 0 when nothing is
wrong, 4 when something is, whether an error or a warning, and 1 when it could not look.`

const doctorExamples = `  # On a node, with hnsproxy's own flags:
  hnsproxy doctor --kubeconfig=C:\k\config --network-name=Calico --enable-dsr

  # In a script:
  hnsproxy doctor -o json

  # What HNS held when a bundle was made:
  hnsproxy doctor --file=hnsproxy-dump.zip`

type doctorOptions struct {
	source
	server
	host              Host
	nodePorts, format string
}

func newDoctor(h Host) *cobra.Command {
	o := &doctorOptions{source: newSource(), server: newServer(), host: h, nodePorts: "30000-32767", format: "text"}
	cmd := &cobra.Command{
		Use:     "doctor [flags]",
		Short:   "find out what is wrong with this node, and what to do",
		Long:    doctorHelp,
		Example: doctorExamples,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("doctor")
	fs.StringVar(&o.nodePorts, "service-node-port-range", o.nodePorts, "`FIRST-LAST` node port of the cluster, as the API server is told.")
	addOutput(fs, &o.format)
	o.source.addFlags(sets, "doctor")
	o.server.addFlags(sets.FlagSet("doctor"))
	o.command.AddClientFlags(sets.FlagSet("API server"))
	h.finish(cmd, sets)
	AcceptAll(cmd, o.command)
	Complete(cmd, "output", "text", "json", "yaml")
	return cmd
}

// examination is what doctor prints.
type examination struct {
	Node     string           `json:"node"`
	HNS      string           `json:"hnsVersion,omitempty"`
	Windows  string           `json:"windowsBuild,omitempty"`
	Findings []doctor.Finding `json:"findings"`
	Unknown  []string         `json:"unknown,omitempty"`
}

func (o *doctorOptions) run(cmd *cobra.Command) error {
	if err := checkOneOf("output", o.format, "text", "json", "yaml"); err != nil {
		return err
	}
	ports, ok := parsePorts(o.nodePorts)
	if !ok {
		return options.Invalid("service-node-port-range", o.nodePorts, "is no range of ports", "write it like 30000-32767")
	}
	opts := options.New()
	if o.file == "" {
		var err error
		if opts, err = o.options(o.host); err != nil {
			return err
		}
	}
	f := o.gather(cmd.Context(), opts, ports)
	if f.HNSError != nil && o.file != "" {
		return f.HNSError
	}
	doc := examination{Node: f.Node, Windows: f.HNS.Build, Findings: doctor.Examine(f), Unknown: f.Unknown}
	if f.HNSError == nil && f.HNS.Version != (hnslb.Version{}) {
		doc.HNS = f.HNS.Version.String()
	}
	out := cmd.OutOrStdout()
	if err := o.host.Write(out, o.format, doc, func() string { return drawDoctor(doc, o.host.colours(out)) }); err != nil {
		return fmt.Errorf("print the findings: %w", err)
	}
	return foundBy(doc)
}

// foundBy is the error of findings.
func foundBy(doc examination) error {
	counts := map[doctor.Severity]int{}
	for _, f := range doc.Findings {
		counts[f.Severity]++
	}
	if counts[doctor.Error]+counts[doctor.Warning] == 0 {
		return nil
	}
	return found(plural(counts[doctor.Error], "error") + " and " + plural(counts[doctor.Warning], "warning") + " found")
}

// parsePorts reads FIRST-LAST.
func parsePorts(s string) (doctor.Ports, bool) {
	a, b, _ := strings.Cut(s, "-")
	first, err := strconv.ParseUint(a, 10, 16)
	last, err2 := strconv.ParseUint(b, 10, 16)
	return doctor.Ports{First: uint16(first), Last: uint16(last)}, err == nil && err2 == nil && first <= last
}

// drawDoctor prints findings as people read them.
func drawDoctor(doc examination, colour bool) string {
	var b strings.Builder
	if doc.HNS != "" {
		fmt.Fprintf(&b, "HNS %s", printable.Text(doc.HNS))
		if doc.Windows != "" {
			fmt.Fprintf(&b, ", Windows %s", printable.Text(doc.Windows))
		}
		b.WriteString("\n")
	}
	if len(doc.Findings) == 0 {
		_, _ = io.WriteString(&b, "Nothing is wrong, as far as can be told.\n")
	}
	moods := map[doctor.Severity]mood{doctor.Error: bad, doctor.Warning: doubtful}
	for _, f := range doc.Findings {
		fmt.Fprintf(&b, "\n%s %s: %s\n  Do: %s\n", paint(colour, moods[f.Severity], strings.ToUpper(string(f.Severity))), f.Name,
			printable.Text(f.Text), printable.Text(f.Remedy))
	}
	for i, u := range doc.Unknown {
		if i == 0 {
			b.WriteString("\nCould not be found out:\n")
		}
		b.WriteString("  " + printable.Text(u) + "\n")
	}
	return b.String()
}
