package main

import "github.com/spf13/cobra"

func (a *app) resume() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "resume",
		Short: "Go on with recording after freeze",
		Long:  `Go on with recording after recorderctl freeze.`,
	}, recorders.Resume)
}
