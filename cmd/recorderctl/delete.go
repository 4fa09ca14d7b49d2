package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
)

func (a *app) delete() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "delete",
		Short: "Forget recordings that have ended",
		Long: `Forget recordings that have ended, and free their memory. With -l it is done to all
that have ended, also to those on disk and to several of one container.`,
		Example: `  recorderctl delete b7710003
  recorderctl delete -l app=web -n shop`,
	}, action{recorders.Delete, inState(func(s api.State) bool { return s != api.StateLive }), did("deleted")})
}
