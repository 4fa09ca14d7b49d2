package main

import "github.com/spf13/cobra"

func (a *app) save() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "save",
		Short: "Put recordings into the spool on disk",
		Long: `Put recordings into the spool on disk (recorderd's --state-dir), where they outlive
the node's memory and a reboot. Of a live container it is what its ring holds now:
recorderctl list --state spooled has it by the recording's id with -1 behind it, the
next one with -2. Crashes are put there by themselves.`,
	}, recorders.Save)
}
