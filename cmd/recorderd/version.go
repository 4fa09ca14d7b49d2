package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/internal/version"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of recorderd",
		Long:  "Print the version of this recorderd. That of one that runs is in recorderctl status.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "recorderd %s (%s, %s/%s)\n", version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
