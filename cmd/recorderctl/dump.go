package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

func (a *app) dump() *cobra.Command {
	var sel target.Selector
	cmd := &cobra.Command{
		Use:   "dump TARGET",
		Short: "Show what a container did",
		Long: `Show what a container did, oldest call first. Recording goes on meanwhile, and
nothing is taken out of the recording.

` + queryHelp + `
` + pagerHelp + `

With -o raw the dump goes to another machine, for recorderctl decode.`,
		Example: `  recorderctl dump web --last 50
  recorderctl dump pod/web-0 -n shop -c app --previous --failed
  recorderctl dump 3fa4 --since 30s -e 'openat,%network,!recvfrom'
  recorderctl dump web --tail 20 -f
  recorderctl dump web -y -P /etc/app.conf
  recorderctl dump web --summary
  recorderctl dump web -f -o json | jq .`,
		Args:              targets(1),
		ValidArgsFunction: a.completeTargets(1),
	}
	selectorFlags(cmd, &sel)
	flags := newQueryFlags(cmd, true)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := flags.options(cmd)
		if err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		// Everything is fetched, and filtered here: it is the same code on both sides.
		body, err := c.Dump(cmd.Context(), args[0], sel, replay.Query{Format: replay.FormatRaw, Follow: o.Follow})
		if err != nil {
			return err
		}
		defer body.Close()
		err = a.page(cmd, flags.paged(&o), func() error {
			var in io.Reader = body
			if _, ok := cmd.OutOrStdout().(*pager); ok {
				// A user who reads slowly is no client that does not read.
				file, broken, err := fetched(body)
				if err != nil {
					return err
				}
				defer file.Close()
				in = io.MultiReader(file, failing{cmp.Or(broken, io.EOF)})
			}
			return show(cmd.OutOrStdout(), in, o)
		})
		if errors.Is(err, dump.ErrTruncated) {
			return fmt.Errorf("%w: recorderd has broken off, its log may say why", err)
		}
		return err
	}
	return cmd
}
