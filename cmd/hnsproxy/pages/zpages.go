// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// heading begins the texts, which are for people alone.
const heading = "\n" + component + " %s\nWarning: This endpoint is not meant to be machine parseable, " +
	"has no formatting compatibility guarantees and is for debugging purposes only.\n"

// separator stands between names and values. It is another one each time, as upstream's, so
// that no program comes to rely on it.
func separator() string {
	return []string{":", ": ", "=", " "}[rand.IntN(4)] //nolint:gosec // nothing depends on it
}

// flagz is the object of /flagz.
type flagz struct {
	objectHeader `json:",inline"`
	Flags        map[string]string `json:"flags,omitempty"`
}

// newFlagz makes /flagz of what flags returns, by name.
func newFlagz(flags func() map[string]string) *zpage {
	return &zpage{
		name: "flagz", kind: "Flagz",
		// The text stays as it was first asked for.
		text: sync.OnceValue(func() string {
			var out strings.Builder
			fmt.Fprintf(&out, heading, "flagz")
			all, separator := flags(), separator()
			for _, name := range slices.Sorted(maps.Keys(all)) {
				fmt.Fprintf(&out, "%s%s%s\n", name, separator, all[name])
			}
			return out.String()
		}),
		object: func(h objectHeader) any { return flagz{h, flags()} },
	}
}

// statusz is the object of /statusz.
type statusz struct {
	objectHeader     `json:",inline"`
	StartTime        metav1.Time `json:"startTime"`
	UptimeSeconds    int64       `json:"uptimeSeconds"`
	GoVersion        string      `json:"goVersion"`
	BinaryVersion    string      `json:"binaryVersion"`
	EmulationVersion string      `json:"emulationVersion,omitempty"`
	Paths            []string    `json:"paths"`
}

// newStatusz makes /statusz of a program that started at some time, behaves like a release of
// Kubernetes, and has pages.
func newStatusz(started time.Time, release string, pages []string) *zpage {
	binary := strings.TrimPrefix(release, "v")
	minor := binary
	if parts := strings.SplitN(binary, ".", 3); len(parts) == 3 {
		minor = parts[0] + "." + parts[1]
	}
	up := func() int64 { return max(0, int64(time.Since(started).Seconds())) }
	return &zpage{
		name: "statusz", kind: "Statusz",
		text: func() string {
			s, up := separator(), up()
			lines := []string{
				fmt.Sprintf(heading, "statusz"),
				"Started" + s + " " + started.Format(time.UnixDate),
				fmt.Sprintf("Up%s %d hr %02d min %02d sec", s, up/3600, up/60%60, up%60),
				"Go version" + s + " " + runtime.Version(),
				"Binary version" + s + " " + binary,
				"Emulation version" + s + " " + minor,
				"Paths" + s + " " + strings.Join(pages, " "),
			}
			return strings.Join(lines, "\n") + "\n"
		},
		object: func(h objectHeader) any {
			return statusz{h, metav1.NewTime(started), up(), runtime.Version(), binary, minor, pages}
		},
	}
}
