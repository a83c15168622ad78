// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// patience is how many times Settle a look is put off at most while files keep changing.
const patience = 10

// Run looks again whenever files changed and are quiet, and every Poll, until ctx ends. It
// returns at once when there is nothing to follow, as with standard input.
func (s *Source) Run(ctx context.Context) {
	paths := s.reader.watched()
	if len(paths) == 0 {
		return
	}
	n := newNotifier(ctx)
	defer n.close()
	poll := time.NewTicker(s.options.Poll)
	defer poll.Stop()
	// The watch comes before the look, so that nothing goes unheard between them.
	n.watch(ctx, paths)
	wait := newQuiet(s.options.Settle)
	wait.heard(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-n.events():
			// A change of permissions or times alone is none; Poll finds what it opens.
			if e.Op != fsnotify.Chmod {
				wait.heard(time.Now())
			}
			continue
		case err := <-n.errors():
			klog.FromContext(ctx).Info("Notifications about object files may have been lost; reading the files again", "err", err)
			wait.heard(time.Now())
			continue
		case <-wait.timer.C:
		case <-poll.C:
			if wait.waiting() {
				continue // The look that is due must not come early.
			}
		}
		wait.done()
		n.watch(ctx, paths)
		if s.look(ctx) {
			wait.again(s.options.Grace)
		}
	}
}

// quiet is a timer that fires when nothing was heard for a while, and at last when too
// much was heard for too long.
type quiet struct {
	settle time.Duration
	timer  *time.Timer
	first  time.Time
}

func newQuiet(settle time.Duration) *quiet {
	t := time.NewTimer(settle)
	t.Stop()
	return &quiet{settle: settle, timer: t}
}

func (q *quiet) heard(now time.Time) {
	if q.first.IsZero() {
		q.first = now
	}
	q.timer.Reset(min(q.settle, q.first.Add(patience*q.settle).Sub(now)))
}

// again makes it fire after d, unless something is heard before.
func (q *quiet) again(d time.Duration) { q.timer.Reset(d) }

func (q *quiet) waiting() bool { return !q.first.IsZero() }

func (q *quiet) done() {
	q.timer.Stop()
	q.first = time.Time{}
}

// notifier hears of changes in directories. Without one, e.g. since the system has no more
// watches to give, all of it is silent, and Poll remains.
type notifier struct{ watcher *fsnotify.Watcher }

func newNotifier(ctx context.Context) notifier {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot watch object files; polling instead")
	}
	return notifier{watcher: w}
}

func (n notifier) close() {
	if n.watcher != nil {
		_ = n.watcher.Close() // Nothing is left to do with a watcher that does not close.
	}
}

func (n notifier) events() <-chan fsnotify.Event {
	if n.watcher == nil {
		return nil
	}
	return n.watcher.Events
}

func (n notifier) errors() <-chan error {
	if n.watcher == nil {
		return nil
	}
	return n.watcher.Errors
}

// watch makes the watches those that the paths need now. They change with the paths: the
// kubelet moves a link to another directory when a ConfigMap changes. Watches that are
// there are made again, since the name may belong to a new directory.
func (n notifier) watch(ctx context.Context, paths []string) {
	if n.watcher == nil {
		return
	}
	want := map[string]bool{}
	for _, path := range paths {
		addDirs(want, path)
	}
	for _, dir := range n.watcher.WatchList() {
		if !want[dir] {
			_ = n.watcher.Remove(dir) // It may be gone, and its watch with it.
		}
	}
	for dir := range want {
		if err := n.watcher.Add(dir); err != nil {
			klog.FromContext(ctx).V(2).Info("Cannot watch a directory; polling its files instead",
				"directory", dir, "err", err)
		}
	}
}

// addDirs adds the directories in which a change of the file or directory at path shows.
func addDirs(dirs map[string]bool, path string) {
	addChain(dirs, path)
	entries, err := os.ReadDir(path)
	if err != nil {
		return // a file, or nothing
	}
	addDir(dirs, path)
	for _, e := range entries {
		if wantsFile(e.Name()) && e.Type()&os.ModeSymlink != 0 {
			addChain(dirs, filepath.Join(path, e.Name()))
		}
	}
}

// addChain adds the directory of path, and if that is a link, those of all links on the
// way to the file, but not more than a file system follows.
func addChain(dirs map[string]bool, path string) {
	for range 40 {
		addDir(dirs, filepath.Dir(path))
		target, err := os.Readlink(path)
		if err != nil {
			return
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
}

// addDir adds a directory by its real name: a link to it may come to mean another.
func addDir(dirs map[string]bool, dir string) {
	if name, err := filepath.EvalSymlinks(dir); err == nil {
		dirs[name] = true
	}
}
