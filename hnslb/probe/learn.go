// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/go-logr/logr"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// FileName is the name of the file that holds the last report about an HNS of that version.
// With an update of Windows the report of before is out of date, and no longer found.
func FileName(v hnslb.Version) string { return "probe-" + v.String() + ".json" }

// fewestEndpoints is the lowest limit that any HNS was seen to have. A lower one in a file is
// not believed: Services would be served by next to nobody.
const fewestEndpoints = 64

// Adjust returns the features of an HNS as the probe found them. What it did not find out
// stays.
func (r *Report) Adjust(f hnslb.Features) hnslb.Features {
	if _, unknown := r.Unreached["MaxEndpoints"]; !unknown && r.Profile.MaxEndpoints >= fewestEndpoints {
		f.MaxEndpoints = r.Profile.MaxEndpoints
	}
	for _, fact := range r.Facts {
		if fact.Switch == "Quirks.ModifyLies" && fact.Found != "" {
			f.Modify = fact.Found == changed
		}
	}
	return f
}

// Learn returns d with features as the last probe found them, if dir has its report on this
// version of HNS. Without one, and with dir empty, d stays as it is.
func Learn(d hnslb.Driver, dir string, logger logr.Logger) hnslb.Driver {
	if dir == "" {
		return d
	}
	return &learner{Driver: d, dir: dir, logger: logger}
}

type learner struct {
	hnslb.Driver
	dir    string
	logger logr.Logger

	once   sync.Once
	report *Report // nil for none
}

// Features implements hnslb.Driver.
func (l *learner) Features(ctx context.Context) (hnslb.Features, error) {
	f, err := l.Driver.Features(ctx)
	if err != nil {
		return f, err
	}
	l.once.Do(func() { l.load(f.Version) })
	if l.report == nil || l.report.Version != f.Version {
		return f, nil
	}
	return l.report.Adjust(f), nil
}

func (l *learner) load(v hnslb.Version) {
	path := filepath.Join(l.dir, FileName(v))
	report, err := LoadReport(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		l.logger.Error(err, "Ignoring the report of the last probe", "remedy", "run hnsproxy probe again, or delete the file")
	default:
		l.report = report
		l.logger.Info("Using the report of the last probe of this HNS", "file", path)
	}
}
