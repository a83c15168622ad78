// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"regexp"
	"strconv"
	"strings"
)

// What netsh prints is in the language of the system; only numbers are read.
var (
	anyNumber  = regexp.MustCompile(`:\s*(\d+)\s*$`)
	twoNumbers = regexp.MustCompile(`^\s*(\d+)\s+(\d+)\s*(\*?)\s*$`)
)

const highestPort = 65535

// ParseDynamic reads "netsh int ipv4 show dynamicport": a first port and how many.
func ParseDynamic(out string) []Ports {
	var numbers []int
	for line := range strings.Lines(out) {
		if m := anyNumber.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			n, _ := strconv.Atoi(m[1])
			numbers = append(numbers, n)
		}
	}
	if len(numbers) != 2 {
		return nil
	}
	return ports(numbers[0], numbers[0]+numbers[1]-1, false)
}

// ParseExcluded reads "netsh int ipv4 show excludedportrange": first and last port in each line,
// with a star for those that were excluded for good.
func ParseExcluded(out string) []Ports {
	var all []Ports
	for line := range strings.Lines(out) {
		if m := twoNumbers.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			first, _ := strconv.Atoi(m[1])
			last, _ := strconv.Atoi(m[2])
			all = append(all, ports(first, last, m[3] != "")...)
		}
	}
	return all
}

func ports(first, last int, administered bool) []Ports {
	if first < 0 || last < first || last > highestPort {
		return nil
	}
	return []Ports{{uint16(first), uint16(last), administered}}
}
