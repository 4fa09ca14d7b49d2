package main

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/recorder/replay"
)

// listFlags are the flags of list that the recorders know nothing of.
type listFlags struct {
	crashed, hanging bool
	since            replay.Moment
	sortBy           *choiceFlag
	quiet, noHeaders bool
	format           *choiceFlag
}

// pick leaves out what is not asked for, and sorts the rest.
func (o *listFlags) pick(recs []api.Recording, now time.Time) []api.Recording {
	since := o.since.Time(now, now.Location())
	recs = slices.DeleteFunc(recs, func(r api.Recording) bool {
		return (o.crashed || o.hanging) && !(o.crashed && r.Crashed()) && !(o.hanging && r.Hanging()) ||
			!o.since.IsZero() && r.State != api.StateLive && r.Last().Before(since)
	})
	by := map[string]func(a, b *api.Recording) int{
		"age":   func(a, b *api.Recording) int { return b.Started.Compare(a.Started) },
		"end":   func(a, b *api.Recording) int { return b.Last().Compare(a.Last()) },
		"calls": func(a, b *api.Recording) int { return cmp.Compare(b.Coverage.Written, a.Coverage.Written) },
		"name":  func(a, b *api.Recording) int { return strings.Compare(render.Name(a), render.Name(b)) },
	}[o.sortBy.value]
	if by != nil {
		slices.SortStableFunc(recs, func(a, b api.Recording) int { return by(&a, &b) })
	}
	return recs
}

func (a *app) list() *cobra.Command {
	var filter scope
	var o listFlags
	var states []string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List recordings",
		Long: `List the recordings of containers that live and of those that have ended. In a
cluster all nodes are asked at once, for the namespace of the context, or with -A for
all; nodes that do not answer are named on standard error, and the exit status is 5.

A recording is spooled if it is on disk alone, as after a reboot; while one that was
written to disk is in memory, too, it is listed as ended.

VERDICT says what became of the container, as show does: see docs/show.md. On a
terminal it is cut to fit, and on a narrow one IMAGE, CALLS, EXIT and STATE make room for
it, in this order. Of a container that lives it is running or hanging, by the last
pass over all tasks. --group puts crashes together that have one cause, whichever replica
they are of, and says how many there were and since when.

CALLS counts all that were ever recorded; -o wide says how many of them are still
there, and of pods what the kubelet says of the end, how often the container was
restarted before, its kind, and the workload. -o name prints ids, for use as TARGET.
-o jsonpath= and custom-columns= are kubectl's, over what -o json has; columns are of one
recording.

-w goes on until you end it: first come all, then a row for each recording that begins,
is frozen or resumed, ends, or gets another verdict. With -o json, yaml and jsonpath= each
is an object of its own. What recorderd forgets is not told.`,
		Example: `  recorderctl list --crashed
  recorderctl list -A --hanging
  recorderctl list --group
  recorderctl list -n shop -l app=web -w
  recorderctl list -o custom-columns=ID:.id,POD:.pod.name,WHY:.verdict.cause
  recorderctl list -o jsonpath='{range .recordings[?(@.exit.oomKilled)]}{.id} {.pod.name}{"\n"}{end}'`,
		Args: none,
	}
	f := cmd.Flags()
	filter.add(cmd)
	f.StringVar(&filter.Pod, "pod", "", "only of the pod of this name")
	f.StringVarP(&filter.Container, "container", "c", "", "only of the container of this name")
	f.StringSliceVar(&states, "state", nil, "only in these states: live, ended, spooled")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"live", "ended", "spooled"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.crashed, "crashed", false, "only of containers that ended as nobody wanted")
	f.BoolVar(&o.hanging, "hanging", false, "only of containers that live and wait for what does not come")
	f.Var(momentFlag{&o.since}, "since", "only of containers that live, or ended since: 30m, 15:04, 2026-01-02T15:04")
	o.sortBy = &choiceFlag{choice: []string{"age", "end", "calls", "name"}}
	f.Var(o.sortBy, "sort-by", "age, end (the newest first), calls (the most first) or name")
	o.sortBy.complete(cmd, "sort-by")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "ids alone, as -o name")
	f.BoolVar(&o.noHeaders, "no-headers", false, "rows of the table alone")
	group := f.Bool("group", false, "crashes by their cause")
	watch := f.BoolP("watch", "w", false, "go on, with a row for each recording that begins, ends, or gets another verdict")
	o.format = dataFlag(cmd, "table", "wide", "json", "yaml", "name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := filter.check(cmd); err != nil {
			return err
		}
		if o.quiet {
			if cmd.Flags().Changed("output") && o.format.value != "name" {
				return usagef("list: -q and -o %s exclude each other", o.format.value)
			}
			o.format.value = "name"
		}
		if *group {
			switch o.format.value {
			case "name":
				return usagef("list: --group and -o name exclude each other: -o json has the ids")
			case render.JSONPath, render.CustomColumns:
				return usagef("list: --group and -o %s exclude each other", o.format.value)
			}
			if *watch {
				return usagef("list: --group and --watch exclude each other")
			}
		}
		for _, s := range states {
			state, err := target.ParseState(s)
			if err != nil {
				return err
			}
			filter.States = append(filter.States, state)
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		filter.in(c)
		if *watch {
			return o.watch(a, cmd, c, filter.Filter)
		}
		list, err := c.List(cmd.Context(), filter.Filter)
		if !someAnswered(err) {
			return err
		}
		found := len(list.Recordings)
		list.Recordings = o.pick(list.Recordings, time.Now())
		if len(list.Recordings) == 0 && (o.format.value == "table" || o.format.value == "wide") {
			if found > 0 {
				a.say("of %s none fits", render.Number(found, "recording"))
			} else {
				a.say("%s", noneText(filter.Filter))
			}
			return err
		}
		w, done := output(cmd)
		var werr error
		if *group {
			werr = printGroups(w, o.format.value, render.GroupsOf(list.Recordings), terminalWidth(cmd))
		} else {
			werr = o.print(w, list, render.Table{Wide: o.format.value == "wide", Width: terminalWidth(cmd), NoHeader: o.noHeaders, Now: time.Now()})
		}
		if werr = done(werr); werr != nil {
			return werr
		}
		return err
	}
	return cmd
}

// rows are what custom columns are of.
func rows[T any](list []T) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}

func noneText(f target.Filter) string {
	if f.Values().Encode() == "" {
		return "there are no recordings yet"
	}
	if slices.Equal(f.States, []api.State{api.StateSpooled}) {
		return "no recording is on disk alone: those that are in memory, too, are listed as ended"
	}
	if f.Namespace != "" {
		return "no recording fits in namespace " + f.Namespace
	}
	return "no recording fits"
}

// printGroups says nothing of no crashes on standard output: there may be recordings of others.
func printGroups(w io.Writer, format string, groups render.Groups, width int) error {
	switch format {
	case "json":
		return render.JSON(w, groups)
	case "yaml":
		return render.YAML(w, groups)
	}
	return render.WriteGroups(w, groups, width, time.Now())
}

// terminalWidth is how many columns standard output has, 0 if it is no terminal.
func terminalWidth(cmd *cobra.Command) int {
	if f := terminalOf(cmd); f != nil {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

func (o *listFlags) print(w io.Writer, list api.RecordingList, table render.Table) error {
	switch o.format.value {
	case "json":
		return render.JSON(w, list)
	case "yaml":
		return render.YAML(w, list)
	case "name":
		return render.Names(w, list.Recordings)
	case render.JSONPath, render.CustomColumns:
		o.format.expr.NoHeader = o.noHeaders
		return o.format.expr.Write(w, list, rows(list.Recordings))
	}
	return render.Recordings(w, list.Recordings, table)
}
