// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// difference is something in which answers cannot or should not be equal.
type difference struct {
	// what it is, and why.
	what, why string
	// where are the paths that it is about.
	where *regexp.Regexp
	// find is what to take out of headers and body, put what to put there.
	find *regexp.Regexp
	put  string
}

var (
	anywhere    = regexp.MustCompile("")
	flagz       = regexp.MustCompile("^/flagz")
	statusz     = regexp.MustCompile("^/statusz")
	profilePage = regexp.MustCompile("^/debug/pprof/(heap|goroutine)")
)

// differences are all that there are. Most are between two runs of one program, too.
var differences = []difference{
	{"Date and Process-Start-Time-Unix", "the time of the answer, and of the start", anywhere,
		regexp.MustCompile(`(?m)^(Date|Process-Start-Time-Unix): .*$`), "$1: TIME"},
	{"times of updates", "the time of the answer, and of the last sync", regexp.MustCompile("^/(healthz|livez)$"),
		regexp.MustCompile(`"(lastUpdated|currentTime)":"[^"]*"`), `"$1":"TIME"`},
	{"Content-Length", "it follows from the body, which is compared; times have a length of their own", anywhere,
		regexp.MustCompile(`(?m)^Content-Length: .*\n`), ""},
	{"start and uptime", "two processes", statusz, regexp.MustCompile(`(?m)^(Started|Up)(: |:|=| ) .*$`), "$1$2 TIME"},
	{"start and uptime of the object", "two processes", statusz,
		regexp.MustCompile(`("?(?:startTime|uptimeSeconds)"?): ?("[^"]*"|\d+)`), `$1: TIME`},
	{"separator of /statusz", "chosen at random for each answer, on purpose", statusz,
		regexp.MustCompile(`(?m)^(Started|Up|Go version|Binary version|Emulation version|Paths)(: |:|=| ) `), "$1 SEPARATOR "},
	{"separator of /flagz", "chosen at random for each process, on purpose", flagz,
		regexp.MustCompile(`(?m)^([a-z][a-z-]*)(: ?|=| )`), "$1 SEPARATOR "},
	{"flags of our own in the text", "--hns-* are hnsproxy's; kube-proxy 1.37 does not have the klog flags that start scripts still pass", flagz,
		regexp.MustCompile(`(?m)^(hns-[a-z-]*|alsologtostderr|log-dir|log-file|log-file-max-size|logtostderr|stderrthreshold) SEPARATOR .*\n`), ""},
	{"flags of our own in YAML", "the same", flagz,
		regexp.MustCompile(`(?m)^  (hns-[a-z-]*|alsologtostderr|log-dir|log-file|log-file-max-size|logtostderr|stderrthreshold): .*\n`), ""},
	{"flags of our own in JSON", "the same", flagz,
		regexp.MustCompile(`\s*"(hns-[a-z-]*|alsologtostderr|log-dir|log-file|log-file-max-size|logtostderr|stderrthreshold)":\s?"[^"]*",`), ""},
	{"profiles", "what a program is doing differs", profilePage, regexp.MustCompile(`(?s)\n\n.*$`), "\n\nPROFILE"},
	{"numbers of profiles", "what a program is doing differs", regexp.MustCompile("^/debug/pprof/$"),
		regexp.MustCompile(`<td>\d+</td>`), "<td>N</td>"},
	{"family of no use", "kube-proxy works for both families wherever Windows can; hnsproxy names those of which this node has an address",
		regexp.MustCompile("^/(healthz|livez)$"), regexp.MustCompile(`,"IPv6":{"lastUpdated":"TIME","healthy":true}`), ""},
	{"start in /metrics/slis", "two processes", regexp.MustCompile("^/metrics/slis$"), regexp.MustCompile(`(?m)^(process_start_time_seconds) .*$`), "$1 TIME"},
	{"Vary", "a later client_golang tells caches that the answer follows these headers", regexp.MustCompile("^/metrics/slis$"),
		regexp.MustCompile(`(?m)^Vary: Accept, Accept-Encoding\n`), ""},
}

// reduce prints an answer without the differences, and notes which there were.
func reduce(q request, a answer, used map[string]bool) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d\n", a.status)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(a.header[name], ", "))
	}
	out.WriteString("\n" + a.body)
	text := out.String()
	path, _, _ := strings.Cut(q.path, "?")
	for _, d := range differences {
		if d.where.MatchString(path) && d.find.MatchString(text) {
			used[d.what] = true
			text = d.find.ReplaceAllString(text, d.put)
		}
	}
	return text
}
