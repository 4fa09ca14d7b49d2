package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

const severalHelp = `Several TARGETs can be given, or -l with a label selector in place of them. An error
with one of them is told, and the others are done all the same; the exit status is then
that of the first error.`

// shownHelp is severalHelp for what shows recordings.
const shownHelp = severalHelp + ` With -l one recording of each container is shown: the live
one, else the newest. A line with its name stands before each of several`

// choice is what a command works on: TARGETs, or the recordings whose labels fit.
type choice struct {
	sel    target.Selector
	labels string
}

// add adds the flags, and what completes TARGETs. least is how many have to be given, if no
// labels are.
func (t *choice) add(a *app, cmd *cobra.Command, least int) {
	selectorFlags(cmd, &t.sel)
	cmd.Flags().StringVarP(&t.labels, "selector", "l", "", "instead of TARGET all whose labels fit, such as app=web,tier!=db")
	cmd.ValidArgsFunction = a.completeTargets(math.MaxInt)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("selector") {
			if len(args) < least {
				return usagef("%s: no TARGET is given: recorderctl list shows what there is", cmd.Name())
			}
			return nil
		}
		switch {
		case len(args) > 0:
			return usagef("%s: TARGET and -l exclude each other", cmd.Name())
		case t.sel.Previous:
			return usagef("%s: --previous and -l exclude each other: give a TARGET", cmd.Name())
		case strings.TrimSpace(t.labels) == "":
			return usagef("%s: the label selector is empty: give one such as app=web", cmd.Name())
		}
		if _, err := (target.Filter{Labels: t.labels}).Select(nil); err != nil {
			return err
		}
		return nil
	}
}

// one is one of those that were chosen.
type one struct {
	name   string // for the API
	called string // for people
	sel    target.Selector
}

// all returns those that were chosen. Of what labels choose, which picks. The error may come with
// some: those of the nodes that answered.
func (t *choice) all(ctx context.Context, c recorders, args []string, which func([]api.Recording) []api.Recording) ([]one, error) {
	var chosen []one
	for _, name := range args {
		if !slices.ContainsFunc(chosen, func(o one) bool { return o.name == name }) {
			chosen = append(chosen, one{name, name, t.sel})
		}
	}
	if t.labels == "" {
		return chosen, nil
	}
	filter := target.Filter{Namespace: t.sel.Namespace, Container: t.sel.Container, Labels: t.labels}
	inNamespace(c, &filter)
	list, err := c.List(ctx, filter)
	if !someAnswered(err) {
		return nil, err
	}
	recs := which(list.Recordings)
	for i := range recs {
		chosen = append(chosen, one{recs[i].ID, render.Called(&recs[i]) + " (" + recs[i].ID + ")", target.Selector{}})
	}
	if len(chosen) == 0 && err == nil {
		fit := "of " + render.Number(len(list.Recordings), "recording") + " with such labels it can be done to none"
		if len(list.Recordings) == 0 {
			fit = noneText(filter)
		}
		return nil, api.Errorf(api.CodeNotFound, "-l %s: %s", t.labels, fit)
	}
	return chosen, err
}

// headings are the lines before each of several.
type headings struct {
	colour bool
	some   bool
}

// write writes one, as head and tail do.
func (h *headings) write(w io.Writer, name string) error {
	line := "==> " + render.Clean(name) + " <=="
	if h.colour {
		line = "\x1b[1m" + line + "\x1b[0m"
	}
	if h.some {
		line = "\n" + line
	}
	h.some = true
	_, err := fmt.Fprintln(w, line)
	return err
}

// inState picks recordings by their state.
func inState(fits func(api.State) bool) func([]api.Recording) []api.Recording {
	return func(recs []api.Recording) []api.Recording {
		return slices.DeleteFunc(recs, func(r api.Recording) bool { return !fits(r.State) })
	}
}

// eachOf does something with each of those that were chosen, and returns what went wrong.
func eachOf(chosen []one, err error, do func(o *one) error) error {
	errs := []error{err}
	for i := range chosen {
		err := do(&chosen[i])
		if everybodyAway(err) || nobodyReads(err) || errors.Is(err, context.Canceled) {
			return errors.Join(append(errs, err)...) // once is enough
		}
		var says *api.Error
		if err != nil && len(chosen) > 1 && !errors.As(err, &says) { // those name what they are about
			err = fmt.Errorf("%s: %w", chosen[i].called, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
