package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
)

func (a *app) delete() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "delete",
		Short: "Forget recordings that have ended",
		Long:  `Forget recordings that have ended, and free their memory.`,
	}, (*client.Client).Delete)
}
