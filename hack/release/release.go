// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeRelease writes into dir, for each architecture, a zip and a bill of materials; the image; and the checksums of them all.
func writeRelease(dir, root string, b *built, imageName string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var names []string
	for _, p := range b.programs {
		base := fmt.Sprintf("hnsproxy_%s_windows_%s", b.version, p.arch)
		bill, err := billOfMaterials(b, p)
		if err != nil {
			return err
		}
		files, err := contents(root, b, p)
		if err != nil {
			return err
		}
		packed, err := pack(append(files, file{"sbom.cdx.json", bill}), b.date)
		if err != nil {
			return err
		}
		for name, content := range map[string][]byte{base + ".zip": packed, base + ".cdx.json": bill} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				return err
			}
		}
		names = append(names, base+".cdx.json", base+".zip")
	}
	image := fmt.Sprintf("hnsproxy_%s_image.tar", b.version)
	if err := writeImage(filepath.Join(dir, image), b, imageName); err != nil {
		return err
	}
	return writeSums(dir, append(names, image))
}

// contents are the files of a zip, but for the bill of materials.
func contents(root string, b *built, p program) ([]file, error) {
	files := []file{{"hnsproxy.exe", p.exe}, {"LICENSE", b.license}, {"LICENSES.txt", p.licenses}}
	listed, err := run(root, nil, "git", "ls-files", "README.md", "CHANGELOG.md", "docs", "deploy")
	if err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(string(listed)) {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, content})
	}
	return files, nil
}

func pack(files []file, date time.Time) ([]byte, error) {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, f := range files {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: date})
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// billOfMaterials lists what a program is made of, in CycloneDX. It has no serial number, which would differ each time.
func billOfMaterials(b *built, p program) ([]byte, error) {
	bom := cdx.NewBOM()
	bom.SerialNumber = ""
	self := component(module{path: "github.com/hnsproxy/hnsproxy", version: b.version, license: "Apache-2.0"}, cdx.ComponentTypeApplication)
	sum := fmt.Sprintf("%x", sha256.Sum256(p.exe))
	self.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
	bom.Metadata = &cdx.Metadata{Timestamp: b.date.Format(time.RFC3339), Component: &self}
	var components []cdx.Component
	var refs []string
	for _, m := range p.modules {
		components = append(components, component(m, cdx.ComponentTypeLibrary))
		refs = append(refs, components[len(components)-1].BOMRef)
	}
	bom.Components, bom.Dependencies = &components, &[]cdx.Dependency{{Ref: self.BOMRef, Dependencies: &refs}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

func component(m module, kind cdx.ComponentType) cdx.Component {
	url := "pkg:golang/" + m.path + "@" + m.version
	return cdx.Component{
		BOMRef: url, Type: kind, Name: m.path, Version: m.version, PackageURL: url,
		Licenses: &cdx.Licenses{{License: &cdx.License{ID: m.license}}},
	}
}

// writeSums writes SHA256SUMS as `sha256sum --check` reads it.
func writeSums(dir string, names []string) error {
	var sums bytes.Buffer
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), sums.Bytes(), 0o644)
}
