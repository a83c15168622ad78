// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Echoes returns the ways in which an HNS may show flags otherwise than it was asked for, by name. Which of them a build of
// Windows has is not known.
func Echoes() map[string]profiles.Quirks {
	return map[string]profiles.Quirks{
		"as asked":                           {},
		"without VIPExternal":                {EchoHides: hnslb.VIPExternal},
		"without LocalRoutedVIP":             {EchoHides: hnslb.LocalRoutedVIP},
		"without both":                       {EchoHides: hnslb.LocalRoutedVIP | hnslb.VIPExternal},
		"with ILB":                           {EchoAdds: hnslb.ILB},
		"with a bit without name":            {EchoAdds: 64},
		"with a flag without name":           {EchoAddsFlags: 8},
		"with all, and without what it asks": {EchoAdds: 64 | hnslb.ILB, EchoAddsFlags: 4, EchoHides: hnslb.VIPExternal},
	}
}
