package main

import (
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/recorderd/recorderd/recorder/replay"
)

const queryHelp = `Times are durations that count back from the end (30s), times of day (15:04:05)
or dates (2006-01-02T15:04:05, or RFC 3339). Process ids are those that the
container sees. -e chooses calls as strace does: names, classes such as %file and
%network, and those behind ! are left out. -P, -y, -t, -r and -T are strace's. The shell
completes calls and classes behind -e, and behind -P the files that the recording names.
`

// queryFlags are the flags of dump and decode.
type queryFlags struct {
	flags  *pflag.FlagSet
	format *choiceFlag
	color  *choiceFlag
	time   *choiceFlag
	by     *choiceFlag
	plain  *bool // no pager
}

func newQueryFlags(cmd *cobra.Command, follow bool) *queryFlags {
	f := cmd.Flags()
	q := &queryFlags{flags: f}
	f.String(replay.ParamSince, "", "only from this time on")
	f.String(replay.ParamUntil, "", "only up to this time")
	f.String(replay.ParamLast, "", "only the last `N` of what fits; --tail is the same")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "tail" { // as kubectl logs has it
			name = replay.ParamLast
		}
		return pflag.NormalizedName(name)
	})
	f.StringSlice(replay.ParamPid, nil, "only of these `processes`")
	f.StringSlice(replay.ParamTid, nil, "only of these `threads`")
	f.Bool(replay.ParamFailed, false, "only calls that failed")
	f.StringArrayP("expr", replay.ParamExpr, nil, "only these `calls`: openat,%file,!futex")
	f.Bool(replay.ParamSuccess, false, "only calls that returned without an error")
	f.StringArrayP(replay.ParamPath, "P", nil, "only calls that name this `path`, or a descriptor known to be open on it")
	if follow {
		f.Bool(replay.ParamSummary, false, "how many calls there were and how long they took, instead of the calls")
	} else {
		f.BoolP(replay.ParamSummary, "c", false, "how many calls there were and how long they took, instead of the calls")
	}
	q.by = &choiceFlag{value: string(replay.SummaryByCall), choice: []string{string(replay.SummaryByCall), string(replay.SummaryByThread)}}
	f.Var(q.by, "summary-by", "a summary with a line for each of these: call, thread")
	q.by.complete(cmd, "summary-by")
	f.BoolP(replay.ParamFds, "y", false, "descriptors with their paths and addresses, as far as the recording says them; text on a terminal has them, and -y=false leaves them out")
	f.StringP(replay.ParamStrings, "s", "", "text and strace: only so many `bytes` of a string, but of names of files; text shows all, strace 32")
	f.Bool(replay.ParamBigInts, false, "json: integers beyond 2^53 as strings, for readers that have only doubles")
	stamps := make([]string, len(replay.AllStamps))
	for i, s := range replay.AllStamps {
		stamps[i] = string(s)
	}
	q.time = &choiceFlag{choice: stamps}
	f.Var(q.time, replay.ParamTime, "times of lines: "+strings.Join(stamps, ", "))
	q.time.complete(cmd, replay.ParamTime)
	f.CountP("timestamps", "t", "as strace: -t is --time seconds, -tt clock, -ttt unix")
	f.BoolP("relative", "r", false, "as strace: --time relative")
	f.BoolP(replay.ParamDuration, "T", true, "how long calls took; it is on, and -T=false leaves it out")
	f.Bool(replay.ParamHostPids, false, "process ids as the host sees them")
	if follow {
		f.BoolP(replay.ParamFollow, "f", false, "go on with what comes")
	}
	q.format = outputFlag(cmd, replay.FormatNames()...)
	q.color = colorFlag(cmd)
	q.plain = noPagerFlag(cmd)
	return q
}

// paged reports whether what o asks for is for a pager: text that ends.
func (q *queryFlags) paged(o *replay.Options) bool {
	return !*q.plain && !o.Follow && (o.Format == replay.FormatText || o.Format == replay.FormatStrace)
}

// colorFlag adds --color.
func colorFlag(cmd *cobra.Command) *choiceFlag {
	color := &choiceFlag{value: "auto", choice: []string{"auto", "always", "never"}}
	cmd.Flags().Var(color, "color", "colours: auto, always, never")
	color.complete(cmd, "color")
	return color
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
			replay.ParamFailed, replay.ParamHostPids, replay.ParamFollow, replay.ParamSuccess, replay.ParamPath,
			replay.ParamFds, replay.ParamTime, replay.ParamDuration, replay.ParamStrings, replay.ParamBigInts:
		default:
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			v[name] = list.GetSlice()
			return
		}
		v.Set(name, f.Value.String())
	})
	if summary, _ := q.flags.GetBool(replay.ParamSummary); summary || q.flags.Changed("summary-by") {
		v.Set(replay.ParamSummary, q.by.value)
	}
	if err := q.stamps(v); err != nil {
		return replay.Options{}, err
	}
	if q.format.value == string(replay.FormatText) && !v.Has(replay.ParamSummary) && !q.flags.Changed(replay.ParamFds) && isTerminal(cmd) {
		v.Set(replay.ParamFds, "true")
	}
	query, err := replay.ParseQuery(v)
	if err != nil {
		return replay.Options{}, usageError{err}
	}
	if query.Format == replay.FormatRaw && isTerminal(cmd) {
		return replay.Options{}, usagef("a raw dump is nothing for a terminal: send it to a file, >FILE")
	}
	return replay.Options{Query: query, Location: time.Local, Colour: q.colored(cmd)}, nil
}

// stamps adds what strace's -t and -r say about times.
func (q *queryFlags) stamps(v url.Values) error {
	asked := 0
	if q.flags.Changed(replay.ParamTime) {
		asked++
	}
	if n, _ := q.flags.GetCount("timestamps"); n > 0 {
		asked++
		form := []replay.Stamps{replay.StampSeconds, replay.StampClock, replay.StampUnix}
		v.Set(replay.ParamTime, string(form[min(n, len(form))-1]))
	}
	if relative, _ := q.flags.GetBool("relative"); relative {
		asked++
		v.Set(replay.ParamTime, string(replay.StampRelative))
	}
	if asked > 1 {
		return usagef("--time, -t and -r: only one of them can be")
	}
	return nil
}

// colored reports whether the output is to have colours.
func (q *queryFlags) colored(cmd *cobra.Command) bool { return colored(cmd, q.color) }

func colored(cmd *cobra.Command, choice *choiceFlag) bool {
	switch choice.value {
	case "always":
		return true
	case "never":
		return false
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(cmd)
}

func isTerminal(cmd *cobra.Command) bool { return terminalOf(cmd) != nil }

// terminalOf is the terminal on which standard output is, through a pager too; nil if it is not on
// one.
func terminalOf(cmd *cobra.Command) *os.File {
	f, ok := cmd.OutOrStdout().(*os.File)
	if p, paged := cmd.OutOrStdout().(*pager); paged {
		return p.terminal
	}
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// momentFlag is a flag that takes a point in time.
type momentFlag struct{ at *replay.Moment }

// String returns the moment as it was given.
func (f momentFlag) String() string {
	if f.at == nil {
		return ""
	}
	return f.at.String()
}

// Type names the kind of flag in help.
func (momentFlag) Type() string { return "time" }

// Set reads a moment.
func (f momentFlag) Set(s string) (err error) {
	*f.at, err = replay.ParseMoment(s)
	return err
}
