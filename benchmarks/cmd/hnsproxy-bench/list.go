// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

func newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the scenarios that come with hnsproxy-bench",
		Long: `List shows the scenarios that have a name. They are the files of benchmarks/scenarios, which explain all fields: copy one
to make your own, and run it by its path.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := scenario.List()
			if err != nil {
				return err
			}
			t := newTable(c.OutOrStdout())
			t.row("NAME", "KIND", "RATE", "FOR", "SERVICES", "DESCRIPTION")
			for _, s := range all {
				t.row(s.Name, string(s.Churn.Kind), fmt.Sprintf("%g/s", s.Churn.Rate), s.Duration.Duration.String(),
					fmt.Sprintf("%d x %d", s.Cluster.Services, s.Cluster.Endpoints), s.Description)
			}
			return t.flush()
		},
	}
}
