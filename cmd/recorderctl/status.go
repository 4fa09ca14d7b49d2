package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

func (a *app) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the recorder costs and what it lost",
		Args:  none,
	}
	format := outputFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := a.client()
		defer c.Close()
		st, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		w, done := output(cmd)
		switch format.value {
		case "json":
			return done(render.JSON(w, st))
		case "yaml":
			return done(render.YAML(w, st))
		}
		return done(render.Status(w, &st, time.Now()))
	}
	return cmd
}
