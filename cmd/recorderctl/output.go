package main

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/recorder/postmortem"
)

// outputFlag adds -o with a choice of formats, the first of which is the default.
func outputFlag(cmd *cobra.Command, choice ...string) *choiceFlag {
	f := &choiceFlag{value: choice[0], choice: choice}
	cmd.Flags().VarP(f, "output", "o", "output: "+strings.Join(choice, ", "))
	f.complete(cmd, "output")
	return f
}

// dataFlag is outputFlag for what can be picked from, too, as kubectl's -o jsonpath and
// custom-columns do.
func dataFlag(cmd *cobra.Command, choice ...string) *choiceFlag {
	f := outputFlag(cmd, append(choice, render.JSONPath+"=EXPR", render.CustomColumns+"=NAME:.path,...")...)
	f.picks = true
	return f
}

// choiceFlag is a flag that takes one of a few words.
type choiceFlag struct {
	value  string
	choice []string

	picks bool               // jsonpath= and custom-columns= are possible
	expr  *render.Expression // of these two
}

// String returns the word.
func (f *choiceFlag) String() string { return f.value }

// Type names the kind of flag in help.
func (f *choiceFlag) Type() string { return "string" }

// Set takes a word.
func (f *choiceFlag) Set(s string) (err error) {
	if kind, text, _ := strings.Cut(s, "="); f.picks && (kind == render.JSONPath || kind == render.CustomColumns) {
		if f.expr, err = render.ParseExpression(kind, text); err != nil {
			return usageError{err}
		}
		f.value = kind
		return nil
	}
	f.expr = nil
	if !slices.Contains(f.choice, s) {
		return usagef("it is one of %s", strings.Join(f.choice, ", "))
	}
	f.value = s
	return nil
}

func (f *choiceFlag) complete(cmd *cobra.Command, name string) {
	var words []string
	for _, word := range f.choice {
		before, _, expects := strings.Cut(word, "=")
		if expects {
			before += "="
		}
		words = append(words, before)
	}
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// screenFlags are the flags of commands that show something for one screen, or as data.
type screenFlags struct {
	width  int
	format *choiceFlag
	color  *choiceFlag
	plain  *bool // no pager
}

// add adds the flags. wide is how wide text is, for people, if it is not for a terminal; more
// are further formats.
func (o *screenFlags) add(cmd *cobra.Command, wide string, more ...string) {
	cmd.Flags().IntVar(&o.width, "width", 0, "columns of text (default: the terminal's, else "+wide+")")
	o.format = dataFlag(cmd, append([]string{"text", "json", "yaml"}, more...)...)
	o.color = colorFlag(cmd)
	o.plain = noPagerFlag(cmd)
}

// paged reports whether the output is for a pager.
func (o *screenFlags) paged() bool { return !*o.plain && o.format.value == "text" }

func (o *screenFlags) check(cmd *cobra.Command) error {
	if o.width < 0 {
		return usagef("%s: --width %d is negative", cmd.Name(), o.width)
	}
	return nil
}

// write writes v as data, or lets text write it for people.
func (o *screenFlags) write(cmd *cobra.Command, v any, text func(io.Writer, postmortem.TextOptions) error) error {
	w, done := output(cmd)
	switch o.format.value {
	case "json":
		return done(render.JSON(w, v))
	case "yaml":
		return done(render.YAML(w, v))
	case render.JSONPath, render.CustomColumns:
		return done(o.format.expr.Write(w, v, []any{v}))
	}
	t := postmortem.TextOptions{Width: o.width, Colour: colored(cmd, o.color), Location: time.Local}
	if t.Width == 0 {
		t.Width = terminalWidth(cmd)
	}
	return done(text(w, t))
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
