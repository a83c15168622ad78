// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/bundle"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/doctor"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/snapshot"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/pages"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/spf13/cobra"
)

const dumpHelp = `hnsproxy dump writes what is known of this node to one file, for somebody else to look at: what HNS
holds, the state of each frontend, metrics, the flags and the configuration in force, and what
hnsproxy doctor finds. It holds no secrets: no tokens, keys, or contents of kubeconfig files, only
their names. Look into it all the same before you give it away.

With --anonymize the names of Services, namespaces, ports, networks, endpoints and the node are replaced, each by the
same word wherever it stands. Addresses stay, since nothing could be followed without them.

hnsproxy trace and hnsproxy doctor read the file with --file.`

const dumpExamples = `  hnsproxy dump --network-name=Calico
  hnsproxy dump --anonymize --output-file=C:\temp\node.zip
  hnsproxy trace 10.244.1.9 10.96.0.10:53/UDP --file=node.zip`

type dumpOptions struct {
	doctorOptions
	path      string
	anonymize bool
}

func newDump(h Host) *cobra.Command {
	o := &dumpOptions{doctorOptions: doctorOptions{source: newSource(), server: newServer(), host: h, nodePorts: "30000-32767"}, path: "hnsproxy-dump.zip"}
	cmd := &cobra.Command{
		Use:     "dump [flags]",
		Short:   "write what is known of this node to a file",
		Long:    dumpHelp,
		Example: dumpExamples,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	sets := options.NewFlagSets()
	fs := sets.FlagSet("dump")
	fs.StringVar(&o.path, "output-file", o.path, "`FILE` to write to, a zip archive. An old one is replaced.")
	fs.BoolVar(&o.anonymize, "anonymize", false, "Replace names.")
	o.server.addFlags(fs)
	o.command.AddClientFlags(sets.FlagSet("API server"))
	o.command.AddNodeFlags(sets.FlagSet("node and network"))
	o.command.AddHNSFlags(sets.FlagSet("hnsproxy"))
	o.command.AddEmulatorFlags(sets.FlagSet("hnsproxy"))
	h.finish(cmd, sets)
	AcceptAll(cmd, o.command)
	return cmd
}

func (o *dumpOptions) run(cmd *cobra.Command) error {
	opts, err := o.options(o.host)
	if err != nil {
		return err
	}
	ports, _ := parsePorts(o.nodePorts)
	f := o.gather(cmd.Context(), opts, ports)
	names := bundle.NewNames()
	var parts []bundle.Part
	var missing []string
	add := func(name string, body []byte, err error) {
		if err != nil {
			missing = append(missing, name+": "+err.Error())
			return
		}
		parts = append(parts, bundle.Part{Name: name, Body: body})
	}
	add("version.txt", []byte(o.host.Version()+"\n"), nil)
	body, err := f.HNS.JSON()
	if f.HNSError != nil {
		err = f.HNSError
	}
	add(stateFile, body, err)
	hideObjects(names, f.HNS, f.Node)
	body, err = json.MarshalIndent(examination{Node: f.Node, HNS: f.HNS.Version.String(), Windows: f.HNS.Build, Findings: doctor.Examine(f), Unknown: f.Unknown}, "", "  ")
	add("doctor.json", body, err)
	for name, page := range map[string]string{"status.json": "/debug/frontends", "metrics.txt": "/metrics", "flags.txt": "/flagz", "configuration.json": "/configz"} {
		body, err := o.get(cmd.Context(), page, nil)
		if name == "status.json" && err == nil {
			hideServices(names, body)
		}
		add(name, body, err)
	}
	if len(missing) > 0 {
		add("missing.txt", []byte(strings.Join(missing, "\n")+"\n"), nil)
	}
	if err := o.write(parts, names); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s to %s\n", plural(len(parts), "part"), printable.Text(o.path)) // nobody may read it
	for _, m := range missing {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Left out is", printable.Text(m))
	}
	return nil
}

// write writes the file, whole or not at all.
func (o *dumpOptions) write(parts []bundle.Part, names *bundle.Names) error {
	for i := range parts {
		if !o.anonymize {
			break
		}
		var err error
		if parts[i], err = names.Apply(parts[i]); err != nil {
			return fmt.Errorf("replace names: %w", err)
		}
	}
	var file bytes.Buffer
	if err := bundle.Write(&file, o.host.Now(), parts); err != nil {
		return fmt.Errorf("make the bundle: %w", err)
	}
	if err := os.WriteFile(o.path, file.Bytes(), 0o600); err != nil {
		return fmt.Errorf("--output-file: %w", err)
	}
	return nil
}

// hideObjects hides the names of HNS objects and of the node.
func hideObjects(names *bundle.Names, s snapshot.Snapshot, node string) {
	names.Hide("node", node)
	for _, n := range s.Networks {
		names.Hide("network", n.Name)
	}
	for _, e := range s.Endpoints {
		if !e.Unnamed() {
			names.Hide("endpoint", e.Name)
		}
	}
}

// hideServices hides the names of Services, their namespaces and ports.
func hideServices(names *bundle.Names, status []byte) {
	var doc pages.FrontendsDocument
	if json.Unmarshal(status, &doc) != nil {
		return // some other program's page
	}
	names.Hide("node", doc.Node)
	for _, f := range doc.Frontends {
		namespace, name, _ := strings.Cut(f.Service, "/")
		names.Hide("namespace", namespace)
		names.Hide("service", name)
		names.Hide("port", f.Port)
	}
}
