// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"path"
	"strconv"
	"strings"
)

// Split divides a command line into words as CommandLineToArgvW of Windows does, and Go's
// runtime for kube-proxy.exe: a pair of quotes holds blanks together, and backslashes are special
// before a quote only.
func Split(line string) []string {
	var words []string
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		var word string
		word, line = nextWord(line)
		words = append(words, word)
	}
	return words
}

// nextWord reads the first word of a line that begins with one.
func nextWord(line string) (word, rest string) {
	var b strings.Builder
	quoted, slashes := false, 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			slashes++
			continue
		case c == '"':
			b.WriteString(strings.Repeat(`\`, slashes/2))
			switch {
			case slashes%2 == 1:
				b.WriteByte('"')
			case quoted && i+1 < len(line) && line[i+1] == '"':
				// Two of them within quotes are one, and end the quotes.
				b.WriteByte('"')
				quoted = false
				i++
			default:
				quoted = !quoted
			}
		case !quoted && (c == ' ' || c == '\t'):
			b.WriteString(strings.Repeat(`\`, slashes))
			return b.String(), line[i:]
		default:
			b.WriteString(strings.Repeat(`\`, slashes))
			b.WriteByte(c)
		}
		slashes = 0
	}
	b.WriteString(strings.Repeat(`\`, slashes))
	return b.String(), ""
}

// Join is the command line of words: Split of it returns them.
func Join(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// quote puts a word in quotes if it needs them.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"") {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	slashes := 0
	for i := range len(word) {
		switch word[i] {
		case '\\':
			slashes++
		case '"':
			b.WriteString(strings.Repeat(`\`, slashes+1)) // doubles those before it, and one for itself
			slashes = 0
		default:
			slashes = 0
		}
		b.WriteByte(word[i])
	}
	b.WriteString(strings.Repeat(`\`, slashes) + `"`)
	return b.String()
}

// Asked reports whether arguments of hnsproxy hold --windows-service. It is asked before they
// are parsed, so that arguments that cannot be parsed are told to the service control manager.
func Asked(args []string) bool {
	asked := false
	for _, arg := range args {
		if arg == "--" {
			break
		}
		name, value, given := strings.Cut(arg, "=")
		if strings.ReplaceAll(name, "_", "-") != "--windows-service" {
			continue
		}
		on, err := strconv.ParseBool(value)
		asked = !given || value == "" || err != nil || on
	}
	return asked
}

// base is the file name of a path of Windows, in lower case.
func base(file string) string {
	return strings.ToLower(path.Base(strings.ReplaceAll(file, `\`, "/")))
}

// programAt returns where in a command line the program stands that has one of these file
// names: first, or behind a program that starts it. -1 if it is not there.
func programAt(words []string, names ...string) int {
	for i, w := range words {
		for _, name := range names {
			if base(w) == name && (strings.HasSuffix(name, ".exe") || strings.ContainsAny(w, `\/`)) {
				return i
			}
		}
	}
	return -1
}

// wholePath joins the first words of a command line in which nobody put quotes around a path
// with blanks; Windows finds such a program too.
func wholePath(words []string) []string {
	for i, w := range words {
		if strings.HasPrefix(w, "-") {
			break
		}
		if strings.HasSuffix(strings.ToLower(w), ".exe") {
			return append([]string{strings.Join(words[:i+1], " ")}, words[i+1:]...)
		}
	}
	return words
}
