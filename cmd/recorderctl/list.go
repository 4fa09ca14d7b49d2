package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

func (a *app) list() *cobra.Command {
	var filter target.Filter
	var states []string
	var all bool
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
terminal it is cut to fit. Of a container that lives it is running or hanging, by the last
pass over all tasks. --group puts crashes together that have one cause, whichever replica
they are of, and says how many there were and since when.

CALLS counts all that were ever recorded; -o wide says how many of them are still
there, and of pods what the kubelet says of the end, how often the container was
restarted before, its kind, and the workload. -o name prints ids, for use as TARGET.`,
		Args: none,
	}
	f := cmd.Flags()
	f.StringVarP(&filter.Namespace, "namespace", "n", "", "only of pods in this namespace")
	f.BoolVarP(&all, "all-namespaces", "A", false, "of all namespaces, and of no pod (the default on one machine)")
	f.StringVarP(&filter.Labels, "selector", "l", "", "only those whose labels fit, such as app=web,tier!=db")
	f.StringVar(&filter.Pod, "pod", "", "only of the pod of this name")
	f.StringVarP(&filter.Container, "container", "c", "", "only of the container of this name")
	f.StringSliceVar(&states, "state", nil, "only in these states: live, ended, spooled")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"live", "ended", "spooled"}, cobra.ShellCompDirectiveNoFileComp))
	group := f.Bool("group", false, "crashes by their cause")
	format := outputFlag(cmd, "table", "wide", "json", "yaml", "name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if all && filter.Namespace != "" {
			return usagef("list: -n %s and -A exclude each other", filter.Namespace)
		}
		if *group && format.value == "name" {
			return usagef("list: --group and -o name exclude each other: -o json has the ids")
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
		if cl, ok := c.(*cluster.Cluster); ok && !all && filter.Namespace == "" {
			filter.Namespace = cl.Namespace()
		}
		list, err := c.List(cmd.Context(), filter)
		var partial *cluster.PartialError
		if err != nil && (!errors.As(err, &partial) || partial.All()) {
			return err
		}
		if len(list.Recordings) == 0 && (format.value == "table" || format.value == "wide") {
			a.say("%s", noneText(filter))
			return err
		}
		w, done := output(cmd)
		var werr error
		if *group {
			werr = printGroups(w, format.value, render.GroupsOf(list.Recordings), terminalWidth(cmd))
		} else {
			werr = printList(w, format.value, list, terminalWidth(cmd))
		}
		if werr = done(werr); werr != nil {
			return werr
		}
		return err
	}
	return cmd
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
	if f, ok := cmd.OutOrStdout().(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

func printList(w io.Writer, format string, list api.RecordingList, width int) error {
	switch format {
	case "json":
		return render.JSON(w, list)
	case "yaml":
		return render.YAML(w, list)
	case "name":
		return render.Names(w, list.Recordings)
	}
	return render.Recordings(w, list.Recordings, format == "wide", width, time.Now())
}
