// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/load"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

// About says what is about to be measured, and where.
func About(s scenario.Scenario, g *load.Generator) (result.Run, error) {
	settings, err := json.Marshal(s)
	if err != nil {
		return result.Run{}, fmt.Errorf("write down scenario %s: %w", s.Name, err)
	}
	before, _ := loadAverage()
	return result.Run{
		Scenario: s.Name, Kind: string(s.Churn.Kind), Settings: settings, Seed: s.Seed,
		Rate: s.Churn.Rate, DurationSeconds: s.Duration.Seconds(),
		Proxy: s.Proxy, Source: s.Source, Profile: s.HNS.Profile, HNSLatency: s.HNS.Latency, NetworkType: s.HNS.Network,
		Services: g.Services(), Endpoints: g.Endpoints(),
		Versions: versions(), Date: time.Now().UTC().Truncate(time.Second),
		Machine: result.Machine{
			OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0),
			Kernel: firstLine("/proc/sys/kernel/osrelease"), MemoryBytes: memory(), LoadBefore: before,
		},
	}, nil
}

// Finish adds to what About said what is only known after the run.
func Finish(about result.Run, r *result.Result) {
	about.Machine.LoadAfter, _ = loadAverage()
	about.Interrupted, about.Overloaded = r.Run.Interrupted, r.Run.Overloaded
	r.Run = about
}

func versions() map[string]string {
	v := map[string]string{"go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v["hnsproxy"] = s.Value
			}
		}
	}
	return v
}

// firstLine returns the first line of a file, nothing where there is no such file.
func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func loadAverage() (float64, error) {
	first, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return strconv.ParseFloat(first, 64)
}

func memory() uint64 {
	fields := strings.Fields(firstLine("/proc/meminfo")) // MemTotal: 1234 kB
	if len(fields) < 2 {
		return 0
	}
	kilobytes, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return kilobytes << 10
}
