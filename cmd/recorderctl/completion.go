package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

// completeTargets offers the recordings that there are. It is quiet and quick when
// the daemon is not there.
func (a *app) completeTargets(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const how = cobra.ShellCompDirectiveNoFileComp
		if len(args) >= most {
			return nil, how
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c := a.client()
		defer c.Close()
		var filter target.Filter
		if n := cmd.Flags().Lookup("namespace"); n != nil {
			filter.Namespace = n.Value.String()
		}
		list, err := c.List(ctx, filter)
		if err != nil {
			return nil, how
		}
		var out []cobra.Completion
		add := func(word, about string) {
			if word != "" && render.Clean(word) == word && !slices.Contains(args, word) {
				out = append(out, cobra.CompletionWithDesc(word, render.Clean(about)))
			}
		}
		for i := range list.Recordings {
			r := &list.Recordings[i]
			about := string(r.State) + " " + r.Container.Image
			add(r.ID, about+" "+r.Container.Name)
			add(r.Container.Name, about)
			if r.Pod != nil && r.Pod.Name != "" {
				add("pod/"+r.Pod.Name, about)
			}
		}
		slices.Sort(out)
		return slices.Compact(out), how
	}
}
