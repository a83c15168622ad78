// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
)

// flagsIndex names the flags that can be changed under /debug/flags, of which there is one.
const flagsIndex = `<html>
<head>
<title>/debug/flags/</title>
</head>
<body>
/debug/flags/<br>
<br>
flags:<br>
<table>
<tr>v<br>
</table>
<br>
full flags configurable<br>
</body>
</html>
`

// addDebug adds what --profiling asks for: profiles, and the verbosity of the log, which set
// changes.
func addDebug(m *Mux, set func(string) (string, error)) {
	m.unlisted("/debug/pprof", http.RedirectHandler("/debug/pprof/", http.StatusFound))
	m.prefix("/debug/pprof/", http.HandlerFunc(pprof.Index))
	m.unlisted("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	m.unlisted("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	m.unlisted("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	index := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, flagsIndex) })
	m.unlisted("/debug/flags", index)
	m.prefix("/debug/flags/", index)
	m.unlisted("/debug/flags/v", flagSetter(set))
}

// flagSetter sets a flag to the body of a PUT.
func flagSetter(set func(string) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := func(code int, line string) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(code)
			_, _ = fmt.Fprintln(w, line)
		}
		if r.Method != http.MethodPut {
			answer(http.StatusNotAcceptable, "unsupported http method")
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			answer(http.StatusBadRequest, "error reading request body: "+err.Error())
			return
		}
		done, err := set(string(body))
		if err != nil {
			answer(http.StatusBadRequest, err.Error())
			return
		}
		answer(http.StatusOK, done)
	})
}
