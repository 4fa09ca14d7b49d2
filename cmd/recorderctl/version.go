package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/internal/version"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of recorderctl",
		Long:  "Print the version of recorderctl. That of the daemon is in recorderctl status.",
		Example: `  recorderctl version
  recorderctl status -o json | jq -r .version   # the daemon's`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "recorderctl %s (%s, %s/%s)\n", version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
