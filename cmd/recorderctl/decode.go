package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func (a *app) decode() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "decode FILE",
		Short: "Show a raw dump from a file",
		Long: `Show what recorderctl dump -o raw has saved, on any machine. FILE may be - for
standard input. A file that is damaged or cut short is shown as far as it can be
read, and the exit status is 1.

` + queryHelp,
		Example: `  recorderctl dump web -o raw >web.rec
  recorderctl decode web.rec --failed
  recorderctl decode web.rec -c
  recorderctl decode web.rec -o chrome >web.json   # for ui.perfetto.dev`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("decode: %d files are given: one is expected, or - for standard input", len(args))
			}
			return nil
		},
	}
	flags := newQueryFlags(cmd, false)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := flags.options(cmd)
		if err != nil {
			return err
		}
		name, in := args[0], cmd.InOrStdin()
		if name == "-" {
			name = "standard input"
		} else {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		if err := show(cmd.OutOrStdout(), in, o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	return cmd
}
