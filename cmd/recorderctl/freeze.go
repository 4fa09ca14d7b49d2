package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
)

func (a *app) freeze() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "freeze",
		Short: "Stop recording containers, so that nothing more is overwritten",
		Long: `Stop recording. The containers go on; what they do is counted, and not recorded,
until recorderctl resume. With -l it is done to those that live.`,
		Example: `  recorderctl freeze web
  recorderctl freeze -l app=web -n shop`,
	}, action{recorders.Freeze, inState(func(s api.State) bool { return s == api.StateLive }), did("froze")})
}
