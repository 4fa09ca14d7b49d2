package main

import (
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/recorderd/recorderd/recorder/replay"
)

const queryHelp = `Times are durations that count back from the end (30s), times of day (15:04:05)
or dates (2006-01-02T15:04:05, or RFC 3339). Process ids are those that the
container sees. -e chooses calls as strace does: names, classes such as %file and
%network, and those behind ! are left out.
`

// queryFlags are the flags of dump and decode.
type queryFlags struct {
	flags  *pflag.FlagSet
	format *choiceFlag
	color  *choiceFlag
}

func newQueryFlags(cmd *cobra.Command, follow bool) *queryFlags {
	f := cmd.Flags()
	f.String(replay.ParamSince, "", "only from this time on")
	f.String(replay.ParamUntil, "", "only up to this time")
	f.String(replay.ParamLast, "", "only the last `N` of what fits")
	f.StringSlice(replay.ParamPid, nil, "only of these `processes`")
	f.StringSlice(replay.ParamTid, nil, "only of these `threads`")
	f.Bool(replay.ParamFailed, false, "only calls that failed")
	f.StringArrayP("expr", replay.ParamExpr, nil, "only these `calls`: openat,%file,!futex")
	f.Bool(replay.ParamHostPids, false, "process ids as the host sees them")
	if follow {
		f.BoolP(replay.ParamFollow, "f", false, "go on with what comes")
	}
	q := &queryFlags{flags: f}
	q.format = outputFlag(cmd, "text", "strace", "json", "raw")
	q.color = &choiceFlag{value: "auto", choice: []string{"auto", "always", "never"}}
	f.Var(q.color, "color", "colours: auto, always, never")
	q.color.complete(cmd, "color")
	return q
}

// options reads the flags, with the same parser as the daemon has for URLs.
func (q *queryFlags) options(cmd *cobra.Command) (replay.Options, error) {
	v := url.Values{replay.ParamFormat: {q.format.value}}
	q.flags.Visit(func(f *pflag.Flag) {
		name := f.Name
		switch name {
		case "expr":
			name = replay.ParamExpr
		case replay.ParamSince, replay.ParamUntil, replay.ParamLast, replay.ParamPid, replay.ParamTid,
			replay.ParamFailed, replay.ParamHostPids, replay.ParamFollow:
		default:
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			v[name] = list.GetSlice()
			return
		}
		v.Set(name, f.Value.String())
	})
	query, err := replay.ParseQuery(v)
	if err != nil {
		return replay.Options{}, usageError{err}
	}
	if query.Format == replay.FormatRaw && isTerminal(cmd) {
		return replay.Options{}, usagef("a raw dump is nothing for a terminal: send it to a file, >FILE")
	}
	return replay.Options{Query: query, Location: time.Local, Colour: q.colored(cmd)}, nil
}

// colored reports whether the output is to have colours.
func (q *queryFlags) colored(cmd *cobra.Command) bool {
	switch q.color.value {
	case "always":
		return true
	case "never":
		return false
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(cmd)
}

func isTerminal(cmd *cobra.Command) bool {
	f, ok := cmd.OutOrStdout().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
