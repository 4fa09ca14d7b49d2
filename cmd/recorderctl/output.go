package main

import (
	"bufio"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// outputFlag adds -o with a choice of formats, the first of which is the default.
func outputFlag(cmd *cobra.Command, choice ...string) *choiceFlag {
	f := &choiceFlag{value: choice[0], choice: choice}
	cmd.Flags().VarP(f, "output", "o", "output: "+strings.Join(choice, ", "))
	f.complete(cmd, "output")
	return f
}

// choiceFlag is a flag that takes one of a few words.
type choiceFlag struct {
	value  string
	choice []string
}

// String returns the word.
func (f *choiceFlag) String() string { return f.value }

// Type names the kind of flag in help.
func (f *choiceFlag) Type() string { return "string" }

// Set takes a word.
func (f *choiceFlag) Set(s string) error {
	if !slices.Contains(f.choice, s) {
		return usagef("it is one of %s", strings.Join(f.choice, ", "))
	}
	f.value = s
	return nil
}

func (f *choiceFlag) complete(cmd *cobra.Command, name string) {
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(f.choice, cobra.ShellCompDirectiveNoFileComp))
}

// output buffers what a command prints. The error of done is that of writing.
func output(cmd *cobra.Command) (w *bufio.Writer, done func(error) error) {
	w = bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	return w, func(err error) error {
		if ferr := w.Flush(); err == nil {
			err = ferr
		}
		return err
	}
}
