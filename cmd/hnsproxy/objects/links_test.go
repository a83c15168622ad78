// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package objects

// What is here needs symbolic links, or a directory that goes while it is watched, and
// Windows grants neither to every user.

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestConfigMap: the kubelet puts the files behind a link to a directory, and moves the
// link. Nothing but the move is heard of.
func TestConfigMap(t *testing.T) {
	for _, path := range []string{".", "web.yaml"} {
		t.Run(path, func(t *testing.T) {
			tr := newTree(t, nil)
			put := func(version, text string) {
				tr.do(os.Mkdir(tr.path(version), 0o755))
				tr.write(filepath.Join(version, "web.yaml"), text)
				tr.do(os.Symlink(version, tr.path("..data_tmp")))
				tr.do(os.Rename(tr.path("..data_tmp"), tr.path("..data")))
			}
			put("..2026_1", web)
			tr.do(os.Symlink(filepath.Join("..data", "web.yaml"), tr.path("web.yaml")))
			b := newBench(tr, never, path)
			b.until("web 10.96.0.7:80 |  | ")
			for i := 2; i < 6; i++ {
				put(fmt.Sprintf("..2026_%d", i), edit(web, "port: 80\n", fmt.Sprintf("port: %d\n", i)))
				tr.do(os.RemoveAll(tr.path(fmt.Sprintf("..2026_%d", i-1))))
				b.until(fmt.Sprintf("web 10.96.0.7:%d |  | ", i))
			}
		})
	}
}

// TestLinkedFile: a file elsewhere, to which a link in the directory leads, is followed.
func TestLinkedFile(t *testing.T) {
	tr := newTree(t, nil)
	for _, dir := range []string{"here", "there", "further"} {
		tr.do(os.Mkdir(tr.path(dir), 0o755))
	}
	tr.write("further/web.yaml", web)
	tr.do(os.Symlink(tr.path("further/web.yaml"), tr.path("there/web.yaml")))
	tr.do(os.Symlink(filepath.Join("..", "there", "web.yaml"), tr.path("here/web.yaml")))
	b := newBench(tr, never, "here")
	b.until("web 10.96.0.7:80 |  | ")
	b.write("further/web.yaml", edit(web, "port: 80\n", "port: 81\n"))
	b.until("web 10.96.0.7:81 |  | ")
	b.write("there/new.yaml", edit(web, "port: 80\n", "port: 82\n"))
	b.do(os.Rename(b.path("there/new.yaml"), b.path("there/web.yaml")))
	b.until("web 10.96.0.7:82 |  | ")
}

// TestDirectory: the same for a directory.
func TestDirectory(t *testing.T) {
	tr := newTree(t, nil)
	tr.do(os.Mkdir(tr.path("d"), 0o755))
	tr.write("d/web.yaml", web)
	b := newBench(tr, never, "d")
	b.until("web 10.96.0.7:80 |  | ")
	b.do(os.Rename(b.path("d"), b.path("e")))
	b.eventually(func() string { return fmt.Sprint(len(b.errors())) }, "1")
	b.until("web 10.96.0.7:80 |  | ")
	for port := 1; port < 4; port++ { // Another directory of the name is heard as well.
		b.do(os.Mkdir(b.path("d"), 0o755))
		b.write("d/web.yaml", edit(web, "port: 80\n", fmt.Sprintf("port: %d\n", port)))
		b.until(fmt.Sprintf("web 10.96.0.7:%d |  | ", port))
		b.write("d/web.yaml", edit(web, "port: 80\n", fmt.Sprintf("port: %d\n", 10*port)))
		b.until(fmt.Sprintf("web 10.96.0.7:%d |  | ", 10*port))
		b.do(os.RemoveAll(b.path("d")))
	}
}

// TestPoll: a change that nobody tells of, here of a link on the way, is found in time.
func TestPoll(t *testing.T) {
	tr := newTree(t, nil)
	for i, text := range []string{web, edit(web, "port: 80\n", "port: 8080\n")} {
		tr.do(os.Mkdir(tr.path(fmt.Sprint(i)), 0o755))
		tr.write(fmt.Sprintf("%d/web.yaml", i), text)
	}
	tr.do(os.Mkdir(tr.path("way"), 0o755))
	tr.do(os.Symlink(tr.path("0"), tr.path("way/link")))
	b := newBench(tr, 20*time.Millisecond, "way/link/web.yaml")
	b.until("web 10.96.0.7:80 |  | ")
	tr.do(os.Remove(tr.path("way/link")))
	tr.do(os.Symlink(tr.path("1"), tr.path("way/link")))
	b.until("web 10.96.0.7:8080 |  | ")
}

// TestVanished: a file that goes between being listed and being read is none, a link that
// leads nowhere is one that cannot be read, and a directory with the name of a file is none.
func TestVanished(t *testing.T) {
	tr := newTree(t, nil)
	tr.do(os.Symlink("nowhere", tr.path("link.yaml")))
	tr.do(os.Mkdir(tr.path("dir.yaml"), 0o755))
	r := newReader(Options{})
	for name, wantError := range map[string]bool{"none.yaml": false, "link.yaml": true, "dir.yaml": false} {
		if s, err := r.file(tr.path(name), time.Now()); s != nil || (err != nil) != wantError {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}
