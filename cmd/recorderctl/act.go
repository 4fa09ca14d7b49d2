package main

import (
	"context"
	"errors"
	"math"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
)

// action is a command that does something to each TARGET and prints nothing.
func (a *app) action(cmd *cobra.Command, do func(c recorders, ctx context.Context, name string, sel target.Selector) error) *cobra.Command {
	var sel target.Selector
	selectorFlags(cmd, &sel)
	cmd.Use += " TARGET..."
	cmd.Args = targets(math.MaxInt)
	cmd.ValidArgsFunction = a.completeTargets(math.MaxInt)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		var errs []error
		for _, name := range args {
			err := do(c, cmd.Context(), name, sel)
			if err != nil {
				errs = append(errs, err)
			}
			if everybodyAway(err) {
				break // once is enough
			}
		}
		return errors.Join(errs...)
	}
	return cmd
}

// everybodyAway reports whether an error says that nobody can be reached, and not only a
// node of several.
func everybodyAway(err error) bool {
	var un *client.UnreachableError
	var node *cluster.NodeError
	var partial *cluster.PartialError
	if errors.As(err, &partial) {
		return partial.All() && partial.Asked > 1
	}
	return errors.As(err, &un) && !errors.As(err, &node)
}
