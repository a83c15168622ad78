// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"
)

// maxFile is more than any configuration has.
const maxFile = 1 << 20

// configKind is the kind of a configuration file.
const configKind = "KubeProxyConfiguration"

// header says how a configuration file begins.
func header() string {
	return fmt.Sprintf("start the file with \"apiVersion: %s\" and \"kind: %s\"", kubeproxy.SchemeGroupVersion, configKind)
}

// ReadConfiguration reads a configuration file of kube-proxy with its defaults. A field that
// kube-proxy does not know is a warning, as of kube-proxy. Errors are *InvalidError.
func ReadConfiguration(path string) (*kubeproxy.KubeProxyConfiguration, []byte, []Warning, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, nil, nil, &InvalidError{Problems: []Problem{{
			Flag: "config", Value: path, Why: "cannot be read: " + err.Error(), Remedy: "specify a file with a kube-proxy configuration",
		}}}
	}
	c, warnings, err := ParseConfiguration(path, data)
	return c, data, warnings, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return data, nil
}

// withoutPath leaves out of an error what the message says already.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// ParseConfiguration is ReadConfiguration for what was read from a file; path is for
// messages.
func ParseConfiguration(path string, data []byte) (*kubeproxy.KubeProxyConfiguration, []Warning, error) {
	invalid := func(why, remedy string) error {
		return &InvalidError{Problems: []Problem{{File: path, Why: why, Remedy: remedy}}}
	}
	var is struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(data, &is); err != nil {
		return nil, nil, invalid(syntax(err), "fix the YAML or JSON")
	}
	if why, remedy := wrongKind(is.APIVersion, is.Kind); why != "" {
		return nil, nil, invalid(why, remedy)
	}
	c, strict, err := decode(data)
	if err != nil {
		return nil, nil, misfit(path, data, err)
	}
	var warnings []Warning
	if strict != nil {
		warnings = append(warnings, Warning{"The configuration file has unknown fields; ignored",
			[]any{"file", path, "err", strings.TrimPrefix(strict.Error(), "strict decoding error: ")}})
	}
	SetDefaults(c)
	return c, warnings, nil
}

// wrongKind says what is wrong with the kind of a file, and nothing if it is the right one.
func wrongKind(version, kind string) (why, remedy string) {
	switch {
	case version == "" && kind == "":
		return "apiVersion and kind are not set", header()
	case kind == "ConfigMap":
		return "is a ConfigMap, not a kube-proxy configuration", "mount the ConfigMap as a volume, or save its config.conf"
	case kind == "Config":
		return "is a kubeconfig file", "set it as clientConnection.kubeconfig in the configuration, or use --kubeconfig without --config"
	case kind != configKind:
		return fmt.Sprintf("has the kind %q", kind), header()
	case version != kubeproxy.SchemeGroupVersion.String():
		return fmt.Sprintf("has the apiVersion %q", version), header()
	}
	return "", ""
}

// decode reads a configuration; strict is what a reader that allows no unknown fields says.
func decode(data []byte) (c *kubeproxy.KubeProxyConfiguration, strict, err error) {
	scheme := runtime.NewScheme()
	if err := kubeproxy.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}
	obj, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode(data, nil, nil)
	if err != nil && runtime.IsStrictDecodingError(err) {
		strict = err
		obj, _, err = serializer.NewCodecFactory(scheme, serializer.DisableStrict).UniversalDeserializer().Decode(data, nil, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	c, ok := obj.(*kubeproxy.KubeProxyConfiguration)
	if !ok {
		return nil, nil, fmt.Errorf("is a %T", obj)
	}
	return c, strict, nil
}

// syntax is the error of a text that is no YAML, without the names of libraries.
func syntax(err error) string {
	if strings.Contains(err.Error(), "cannot unmarshal") {
		return "is not an object"
	}
	text := err.Error()
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return "is not valid YAML or JSON: " + text
}

// Errors of the decoder, which has no type of its own for them.
var (
	wrongType     = regexp.MustCompile(`cannot unmarshal (.*) into Go struct field (\S+) of type (\S+)$`)
	wrongDuration = regexp.MustCompile(`time: (?:invalid|unknown|missing) .*duration "(.*)"$`)
)

// misfit is the error about a value of a type that its field does not take.
func misfit(path string, data []byte, err error) error {
	p := Problem{File: path, Why: err.Error(), Remedy: "fix the value"}
	var doc any
	_ = yaml.Unmarshal(data, &doc) // as it was before
	if m := wrongType.FindStringSubmatch(err.Error()); m != nil {
		_, p.Field, _ = strings.Cut(m[2], ".")
		p.Value = valueAt(doc, strings.Split(p.Field, "."))
		p.Why, p.Remedy = "has the wrong type", "use "+typeName(m[3])
		if durationField.MatchString(p.Field) {
			p.Remedy = remedyFor("duration")
		}
	} else if m := wrongDuration.FindStringSubmatch(err.Error()); m != nil {
		p.Field, p.Value = durationAt(doc, m[1]), m[1]
		p.Why, p.Remedy = "is not a duration", remedyFor("duration")
	}
	return &InvalidError{Problems: []Problem{p}}
}

// durationField is the name of a field that holds a duration.
var durationField = regexp.MustCompile(`(Period|Timeout|Frequency)$`)

// valueAt prints the value of a field.
func valueAt(doc any, path []string) string {
	for _, name := range path {
		fields, ok := doc.(map[string]any)
		if value, has := fields[name]; ok && has {
			doc = value
		}
	}
	text, err := yaml.Marshal(doc)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// durationAt finds the field that has a text where a duration belongs.
func durationAt(doc any, text string) string {
	fields, _ := doc.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if durationField.MatchString(name) && fields[name] == text {
			return name
		}
		if inner := durationAt(fields[name], text); inner != "" {
			return name + "." + inner
		}
	}
	return ""
}

// typeName names a type of Go for people.
func typeName(goType string) string {
	switch {
	case goType == "string", goType == "v1alpha1.ProxyMode", goType == "v1alpha1.LocalMode":
		return "a string, in quotes if it looks like a number"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"), strings.HasSuffix(goType, "VerbosityLevel"):
		return "an integer"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	}
	return "an object"
}

// Whole returns a configuration as kube-proxy shows and writes it.
func Whole(c *kubeproxy.KubeProxyConfiguration) *kubeproxy.KubeProxyConfiguration {
	out := c.DeepCopy()
	out.SetGroupVersionKind(kubeproxy.SchemeGroupVersion.WithKind(configKind))
	Normalize(out)
	return out
}

// WriteConfiguration writes a configuration as kube-proxy's --write-config-to does.
func WriteConfiguration(w io.Writer, c *kubeproxy.KubeProxyConfiguration) error {
	scheme := runtime.NewScheme()
	s := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true})
	if err := s.Encode(Whole(c), w); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
