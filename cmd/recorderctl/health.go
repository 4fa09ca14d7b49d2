package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/internal/version"
)

// health is what the probes of the daemon's pod run: there is no port to ask.
func (a *app) health() *cobra.Command {
	var ready bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:    "health",
		Short:  "Ask recorderd on this machine whether it answers, or records",
		Hidden: true,
		Args:   none,
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "whether it records")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := client.New(client.Unix(a.localSocket()), client.Options{Version: version.String(), Timeout: timeout})
		defer c.Close()
		if ready {
			return c.Ready(cmd.Context())
		}
		return c.Healthy(cmd.Context())
	}
	return cmd
}
