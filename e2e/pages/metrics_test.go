// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import "regexp"

var syncCount = regexp.MustCompile(`(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds\{.*\} [1-9]`)

// synced tells whether a program has synced, by its page of metrics.
func synced(page string) bool { return syncCount.MatchString(page) }
