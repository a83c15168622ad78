// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"www.velocidex.com/golang/regparser"
)

// TestHive has a reader that is not ours read the hive.
func TestHive(t *testing.T) {
	for _, name := range []string{"SAM", "SOFTWARE"} {
		content := hive(name)
		registry, err := regparser.NewRegistry(bytes.NewReader(content))
		must(t, err)
		root := registry.OpenKey("")
		if root == nil || root.Name() != name || len(root.Subkeys()) > 0 || len(root.Values()) > 0 {
			t.Errorf("%s: the root key is %+v", name, root)
		}
		if len(content)%hivePage != 0 {
			t.Errorf("%s: %d bytes are no whole pages", name, len(content))
		}
		// All words up to the checksum, and it, cancel out.
		var sum uint32
		for offset := 0; offset < 512; offset += 4 {
			sum ^= uint32(content[offset]) | uint32(content[offset+1])<<8 | uint32(content[offset+2])<<16 | uint32(content[offset+3])<<24
		}
		if sum != 0 {
			t.Errorf("%s: checksum off by %#x", name, sum)
		}
	}
}

func sample() *built {
	b := &built{version: "v1.2.3", revision: "abc", date: time.Unix(1700000000, 0).UTC(), license: []byte("ours")}
	for _, arch := range []string{"amd64", "arm64"} {
		b.programs = append(b.programs, program{arch: arch, exe: []byte("MZ " + arch), licenses: []byte("theirs")})
	}
	return b
}

// TestImage reads the archive back: for each architecture an image that is whole, with the layout that Windows wants.
func TestImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	must(t, writeImage(path, sample(), "registry.example/hnsproxy"))
	top, err := layout.ImageIndexFromPath(unpack(t, path))
	must(t, err)
	must(t, validate.Index(top))
	manifest, err := top.IndexManifest()
	must(t, err)
	if got := manifest.Manifests[0].Annotations["io.containerd.image.name"]; len(manifest.Manifests) != 1 || got != "registry.example/hnsproxy:v1.2.3" {
		t.Errorf("%d images, the first is called %q", len(manifest.Manifests), got)
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	must(t, err)
	manifest, err = index.IndexManifest()
	must(t, err)
	if len(manifest.Manifests) != 2 {
		t.Fatalf("%d architectures", len(manifest.Manifests))
	}
	for i, arch := range []string{"amd64", "arm64"} {
		entry := manifest.Manifests[i]
		if entry.Platform.OS != "windows" || entry.Platform.Architecture != arch || entry.Platform.OSVersion != "" {
			t.Errorf("platform %v, want windows/%s of any version", entry.Platform, arch)
		}
		image, err := index.Image(entry.Digest)
		must(t, err)
		checkImage(t, image, arch)
	}
}

func checkImage(t *testing.T, image v1.Image, arch string) {
	t.Helper()
	config, err := image.ConfigFile()
	must(t, err)
	if config.OS != "windows" || config.Architecture != arch || !slices.Equal(config.Config.Entrypoint, []string{"hnsproxy.exe"}) {
		t.Errorf("%s: config %+v", arch, config)
	}
	layers, err := image.Layers()
	must(t, err)
	if len(layers) != 2 {
		t.Fatalf("%s: %d layers", arch, len(layers))
	}
	files := map[string]string{}
	for _, layer := range layers {
		reader, err := layer.Uncompressed()
		must(t, err)
		for name, content := range readTar(t, reader) {
			if !strings.HasPrefix(name, "Files") && name != "Hives" {
				t.Errorf("%s: %s is outside of Files and Hives", arch, name)
			}
			files[name] = content
		}
	}
	if files["Files/hnsproxy.exe"] != "MZ "+arch || files["Files/LICENSE"] != "ours" || files["Files/LICENSES.txt"] != "theirs" {
		t.Errorf("%s: the program or its licences are not there: %q", arch, files["Files/hnsproxy.exe"])
	}
	for _, name := range []string{"DEFAULT", "SAM", "SECURITY", "SOFTWARE", "SYSTEM"} {
		registry, err := regparser.NewRegistry(strings.NewReader(files["Files/Windows/System32/config/"+name]))
		if err != nil {
			t.Errorf("%s: hive %s: %v", arch, name, err)
		} else if registry.OpenKey("") == nil {
			t.Errorf("%s: hive %s has no root", arch, name)
		}
	}
}

// TestRelease makes the release for one architecture twice: the same bytes, with licences, checksums and a bill of materials
// that is complete.
func TestRelease(t *testing.T) {
	var outs []map[string][]byte
	var b *built
	for range 2 {
		var err error
		b, err = build("../..", "v1.2.3", []string{"amd64"})
		must(t, err)
		dir := t.TempDir()
		must(t, writeRelease(dir, "../..", b, "registry.example/hnsproxy"))
		outs = append(outs, readDir(t, dir))
	}
	for name, content := range outs[0] {
		if !bytes.Equal(content, outs[1][name]) {
			t.Errorf("%s is another the second time", name)
		}
		if name != "SHA256SUMS" && !bytes.Contains(outs[0]["SHA256SUMS"], []byte("  "+name+"\n")) {
			t.Errorf("SHA256SUMS lacks %s", name)
		}
	}
	var bom cdx.BOM
	must(t, cdx.NewBOMDecoder(bytes.NewReader(outs[0]["hnsproxy_v1.2.3_windows_amd64.cdx.json"]), cdx.BOMFileFormatJSON).Decode(&bom))
	if n, want := len(*bom.Components), len(b.programs[0].modules); n != want || want < 20 {
		t.Errorf("%d components, %d modules", n, want)
	}
	for _, c := range *bom.Components {
		if len(*c.Licenses) != 1 || (*c.Licenses)[0].License.ID == "" {
			t.Errorf("%s has no licence", c.Name)
		}
	}
	packed := outs[0]["hnsproxy_v1.2.3_windows_amd64.zip"]
	archive, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	must(t, err)
	var names []string
	for _, f := range archive.File {
		names = append(names, f.Name)
	}
	for _, want := range []string{"hnsproxy.exe", "LICENSE", "LICENSES.txt", "sbom.cdx.json", "deploy/hnsproxy.yaml", "docs/install.md"} {
		if !slices.Contains(names, want) {
			t.Errorf("the zip lacks %s: %v", want, names)
		}
	}
}

func TestIdentify(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                    "Apache-2.0",
		"Permission is hereby granted,\nfree of charge":                                   "MIT",
		"Redistribution and use in source and binary forms ... Neither the name of":       "BSD-3-Clause",
		"Redistribution and use in source and binary forms, with or without modification": "BSD-2-Clause",
		"Permission to use, copy, modify, and/or distribute this software":                "ISC",
		"All rights reserved": "",
	} {
		if got := identify(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func unpack(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	packed, err := os.Open(path)
	must(t, err)
	defer packed.Close() //nolint:errcheck // only read from
	for name, content := range readTar(t, packed) {
		target := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(target), 0o755))
		must(t, os.WriteFile(target, []byte(content), 0o600))
	}
	return dir
}

func readTar(t *testing.T, packed io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(packed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		files[header.Name] = string(content)
	}
}

func readDir(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	files := map[string][]byte{}
	for _, entry := range entries {
		files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name()))
		must(t, err)
	}
	return files
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
