package main

import "github.com/spf13/cobra"

func (a *app) delete() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "delete",
		Short: "Forget recordings that have ended",
		Long:  `Forget recordings that have ended, and free their memory.`,
	}, recorders.Delete)
}
