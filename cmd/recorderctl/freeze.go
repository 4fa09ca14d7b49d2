package main

import "github.com/spf13/cobra"

func (a *app) freeze() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "freeze",
		Short: "Stop recording containers, so that nothing more is overwritten",
		Long: `Stop recording. The containers go on; what they do is counted, and not recorded,
until recorderctl resume.`,
	}, recorders.Freeze)
}
