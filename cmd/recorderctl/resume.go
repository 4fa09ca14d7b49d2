package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
)

func (a *app) resume() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "resume",
		Short: "Go on with recording after freeze",
		Long:  `Go on with recording after recorderctl freeze.`,
	}, (*client.Client).Resume)
}
