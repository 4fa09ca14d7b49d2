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
	var chosen choice
	cmd := &cobra.Command{
		Use:   "dump TARGET...",
		Short: "Show what a container did",
		Long: `Show what a container did, oldest call first. Recording goes on meanwhile, and
nothing is taken out of the recording.

` + queryHelp + `
` + shownHelp + `. -f and
the formats chrome and raw take one recording.

` + pagerHelp + `

With -o raw the dump goes to another machine, for recorderctl decode.`,
		Example: `  recorderctl dump web --last 50
  recorderctl dump pod/web-0 -n shop -c app --previous --failed
  recorderctl dump 3fa4 --since 30s -e 'openat,%network,!recvfrom'
  recorderctl dump web --tail 20 -f
  recorderctl dump web -y -P /etc/app.conf
  recorderctl dump web --summary
  recorderctl dump -l app=web -n shop --failed --tail 5
  recorderctl dump web -f -o json | jq .`,
	}
	chosen.add(a, cmd, 1)
	flags := newQueryFlags(cmd, true)
	completeQuery(cmd, a.openRecording(&chosen.sel))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := flags.options(cmd)
		if err != nil {
			return err
		}
		if err := single(cmd, len(args), &o); err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		all, listErr := chosen.all(cmd.Context(), c, args, target.Current)
		if err := single(cmd, len(all), &o); err != nil {
			return err
		}
		return a.page(cmd, flags.paged(&o), func() error {
			headed := len(all) > 1 && o.Format != replay.FormatJSON
			h := headings{colour: o.Colour}
			return eachOf(all, listErr, func(t *one) error {
				// Everything is fetched, and filtered here: it is the same code on both sides.
				body, err := c.Dump(cmd.Context(), t.name, t.sel, replay.Query{Format: replay.FormatRaw, Follow: o.Follow})
				if err != nil {
					return err
				}
				defer body.Close()
				if headed {
					if err := h.write(cmd.OutOrStdout(), t.called); err != nil {
						return err
					}
				}
				return showBody(cmd, body, o)
			})
		})
	}
	return cmd
}

// single refuses several recordings where only one can be shown.
func single(cmd *cobra.Command, n int, o *replay.Options) error {
	switch {
	case n < 2:
		return nil
	case o.Follow:
		return usagef("%s: %d recordings are meant: with -f one is possible", cmd.Name(), n)
	case o.Format == replay.FormatRaw, o.Format == replay.FormatChrome:
		return usagef("%s: %d recordings are meant: with -o %s one is possible", cmd.Name(), n, o.Format)
	}
	return nil
}

// showBody shows a dump while it comes, or, for a pager, when all of it has come: a user who reads
// slowly is no client that does not read.
func showBody(cmd *cobra.Command, body io.Reader, o replay.Options) error {
	if _, paged := cmd.OutOrStdout().(*pager); paged {
		file, broken, err := fetched(body)
		if err != nil {
			return err
		}
		defer file.Close()
		body = io.MultiReader(file, failing{cmp.Or(broken, io.EOF)})
	}
	err := show(cmd.OutOrStdout(), body, o)
	if errors.Is(err, dump.ErrTruncated) {
		return fmt.Errorf("%w: recorderd has broken off, its log may say why", err)
	}
	return err
}
