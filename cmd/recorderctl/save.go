package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
)

func (a *app) save() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "save",
		Short: "Put recordings into the spool on disk",
		Long: `Put recordings into the spool on disk, where they outlive the node's memory. A
recorderd that has no spool, as that of this version, says so.`,
	}, (*client.Client).Save)
}
