package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

// action is a command that does something to each of several recordings.
type action struct {
	do func(c recorders, ctx context.Context, name string, sel target.Selector) (api.Recording, error)
	// which of those that labels choose it can be done to.
	which func([]api.Recording) []api.Recording
	// said is what was done, in a line for people.
	said func(name string, rec *api.Recording) string
}

// action makes the command. It says in a line what it has done to which recording.
func (a *app) action(cmd *cobra.Command, act action) *cobra.Command {
	var chosen choice
	cmd.Use += " TARGET..."
	cmd.Long += "\n\n" + severalHelp
	chosen.add(a, cmd, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		all, err := chosen.all(cmd.Context(), c, args, act.which)
		return eachOf(all, err, func(o *one) error {
			rec, err := act.do(c, cmd.Context(), o.name, o.sel)
			if err != nil {
				return err
			}
			name := o.called
			if rec.ID != "" { // an earlier recorderd does not answer it
				name = render.Called(&rec)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), act.said(render.Clean(name), &rec))
			return err
		})
	}
	return cmd
}

// did says what was done in one word.
func did(word string) func(string, *api.Recording) string {
	return func(name string, rec *api.Recording) string {
		if rec.ID == "" {
			return word + " " + name
		}
		return word + " " + name + " (" + render.Clean(rec.ID) + ")"
	}
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
