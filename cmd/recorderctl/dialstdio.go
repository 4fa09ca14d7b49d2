package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/client/podexec"
)

// dialStdio is the far end of package podexec.
func (a *app) dialStdio() *cobra.Command {
	var greet bool
	cmd := &cobra.Command{
		Use:    "dial-stdio",
		Short:  "Connect standard input and output to recorderd's socket",
		Hidden: true,
		Args:   none,
	}
	cmd.Flags().BoolVar(&greet, "greet", false, "first write a line that says that the connection is there")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		greeting, socket := "", a.localSocket()
		if greet {
			greeting = podexec.Greeting
		}
		err := client.Carry(cmd.Context(), socket, greeting, cmd.InOrStdin(), cmd.OutOrStdout())
		var un *client.UnreachableError
		if errors.As(err, &un) { // whoever reads this is elsewhere: no advice about this machine
			un.Said = fmt.Sprintf("recorderd does not answer on %s yet: %v", socket, innermost(un.Err))
		}
		return err
	}
	return cmd
}

func innermost(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
