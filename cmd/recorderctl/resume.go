package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
)

func (a *app) resume() *cobra.Command {
	return a.action(&cobra.Command{
		Use:   "resume",
		Short: "Go on with recording after freeze",
		Long:  `Go on with recording after recorderctl freeze. With -l it is done to those that live.`,
		Example: `  recorderctl resume web
  recorderctl resume -l app=web -n shop`,
	}, action{recorders.Resume, inState(func(s api.State) bool { return s == api.StateLive }), did("resumed")})
}
