// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is a file of a layer or of an archive.
type file struct {
	name    string
	content []byte
}

// writeImage writes an OCI archive with one image per architecture. They suit any Windows version, as images of HostProcess
// containers do: below is a layer with the hives that Windows wants to see, and above it the program.
func writeImage(out string, b *built, name string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range b.programs {
		image, err := makeImage(b, p)
		if err != nil {
			return fmt.Errorf("make the image for %s: %w", p.arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "windows", Architecture: p.arch},
		}})
	}
	dir, err := os.MkdirTemp("", "hnsproxy-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the directory for leftovers
	whole := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: index, Descriptor: v1.Descriptor{Annotations: map[string]string{
			"org.opencontainers.image.ref.name": b.version,
			"io.containerd.image.name":          name + ":" + b.version, // the name that containerd imports it by
		}},
	})
	if _, err := layout.Write(dir, whole); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	return tarDir(out, dir, b.date)
}

func makeImage(b *built, p program) (v1.Image, error) {
	var hives []file
	for _, name := range []string{"DEFAULT", "SAM", "SECURITY", "SOFTWARE", "SYSTEM"} {
		hives = append(hives, file{"Files/Windows/System32/config/" + name, hive(name)})
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range []struct {
		dirs  []string
		files []file
		why   string
	}{
		{[]string{"Files", "Files/Windows", "Files/Windows/System32", "Files/Windows/System32/config"}, hives, "base of a HostProcess container"},
		{[]string{"Files", "Hives"}, []file{{"Files/hnsproxy.exe", p.exe}, {"Files/LICENSE", b.license}, {"Files/LICENSES.txt", p.licenses}}, "hnsproxy"},
	} {
		packed, err := packLayer(l.dirs, l.files, b.date)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil },
			tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{
			Created: v1.Time{Time: b.date}, CreatedBy: l.why,
		}})
		if err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "windows", p.arch, v1.Time{Time: b.date}
	config.Config = v1.Config{
		Entrypoint: []string{"hnsproxy.exe"},
		Env:        []string{`PATH=C:\Windows\system32;C:\Windows;`},
		User:       `NT AUTHORITY\SYSTEM`,
		Labels: map[string]string{
			"org.opencontainers.image.title":    "hnsproxy",
			"org.opencontainers.image.version":  b.version,
			"org.opencontainers.image.revision": b.revision,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(image, config)
}

func packLayer(dirs []string, files []file, date time.Time) ([]byte, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, dir := range dirs {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: date}); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if err := writeFile(w, f, date); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

func writeFile(w *tar.Writer, f file, date time.Time) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.content)), ModTime: date}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(f.content)
	return err
}

// tarDir writes an archive of all files of a directory, in the order of their names.
func tarDir(out, dir string, date time.Time) error {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return writeFile(w, file{filepath.ToSlash(name), content}, date)
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, packed.Bytes(), 0o644)
}
