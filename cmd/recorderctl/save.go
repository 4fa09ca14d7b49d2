package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/internal/size"
)

func (a *app) save() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "save",
		Short: "Put recordings into the spool on disk",
		Long: `Put recordings into the spool on disk (recorderd's --state-dir), where they outlive
the node's memory and a reboot. Of a live container it is what its ring holds now:
recorderctl list --state spooled has it by the recording's id with -1 behind it, the
next one with -2. Crashes are put there by themselves.

With -l it is done to one recording of each container: the live one, else the newest.`,
		Example: `  recorderctl save web
  recorderctl save -l app=web -n shop`,
	}, action{recorders.Save, target.Current, func(name string, rec *api.Recording) string {
		line := "saved " + name
		if rec.ID != "" {
			line += " as " + render.Clean(rec.ID)
		}
		if rec.Spool != nil {
			line += ", " + size.Rough(int64(rec.Spool.Bytes))
		}
		return line
	}})
}
