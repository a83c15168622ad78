// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable"
)

const (
	// maxMessageBytes is the API's limit for the note of an Event.
	maxMessageBytes = 1024
	// maxListed is the maximum number of frontends per message, and of messages.
	maxListed = 5
)

func (c *cause) event() Event {
	return Event{Service: c.service, UID: c.uid, Warning: c.policy.Warning, Reason: c.reason, Message: c.text()}
}

// text returns the frontends with their messages, each message once: "10.96.0.5:80/TCP, node port
// 30080/TCP: message; hint".
func (c *cause) text() string {
	keys := slices.SortedFunc(maps.Keys(c.messages), hnslb.FrontendKey.Compare)
	var order []string
	frontends := map[string][]string{}
	for _, k := range keys {
		m := c.messages[k]
		if frontends[m] == nil {
			order = append(order, m)
		}
		frontends[m] = append(frontends[m], frontendText(k))
	}
	for i, m := range order {
		order[i] = joinLimited(frontends[m], ", ") + ": " + m
	}
	text := joinLimited(order, "; ")
	if c.policy.Hint != "" {
		text += "; " + c.policy.Hint
	}
	return truncate(printable.Text(text), maxMessageBytes)
}

// frontendText returns the name of a frontend for users.
func frontendText(k hnslb.FrontendKey) string {
	switch {
	case !k.NodePort():
		return k.String()
	case k.Family == hnslb.IPv6:
		return fmt.Sprintf("IPv6 node port %d/%s", k.Port, k.Protocol)
	}
	return fmt.Sprintf("node port %d/%s", k.Port, k.Protocol)
}

func joinLimited(words []string, between string) string {
	if more := len(words) - maxListed; more > 0 {
		return strings.Join(words[:maxListed], between) + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(words, between)
}

// truncate shortens a text to at most limit bytes without splitting a character.
func truncate(text string, limit int) string {
	const dots = "..."
	if len(text) <= limit {
		return text
	}
	end := limit - len(dots)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + dots
}
