package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

// How often list --watch asks: recorderd itself, or all nodes of a cluster.
const watchEvery, watchClusterEvery = time.Second, 2 * time.Second

// watch prints what there is, and then what changes.
func (o *listFlags) watch(a *app, cmd *cobra.Command, c recorders, filter target.Filter) error {
	every := watchEvery
	if _, remote := c.(*cluster.Cluster); remote {
		every = watchClusterEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen := changes{}
	said := ""
	table := render.Watched{Table: render.Table{Wide: o.format.value == "wide", Width: terminalWidth(cmd), NoHeader: o.noHeaders}}
	for first := true; ; {
		list, err := c.List(cmd.Context(), filter)
		switch {
		case cmd.Context().Err() != nil:
			return cmd.Context().Err()
		case err != nil && (first || !passes(err)) && !someAnswered(err):
			return err
		case err != nil && err.Error() != said: // a daemon that restarts, a node that is away
			said = err.Error()
			a.say("%s; asking again every %s", said, every)
		case err == nil:
			said = ""
		}
		if someAnswered(err) {
			first = false
			changed := seen.in(o.pick(list.Recordings, time.Now()), err == nil)
			w, done := output(cmd)
			if err := done(o.printChanged(w, &table, changed)); err != nil {
				return err
			}
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-tick.C:
		}
	}
}

// passes reports whether what went wrong may be better in a while.
func passes(err error) bool {
	switch statusOf(err) {
	case statusUsage, statusForbidden, statusNotFound:
		return false
	}
	return true
}

// printChanged prints recordings that have changed: for a program each as an object of its own.
func (o *listFlags) printChanged(w io.Writer, table *render.Watched, recs []api.Recording) error {
	if len(recs) == 0 {
		return nil
	}
	switch o.format.value {
	case "table", "wide":
		table.Now = time.Now()
		return table.Write(w, recs)
	case "name":
		return render.Names(w, recs)
	case render.CustomColumns:
		o.format.expr.NoHeader = o.noHeaders
		return o.format.expr.Write(w, nil, rows(recs))
	}
	for i := range recs {
		var err error
		switch o.format.value {
		case render.JSONPath:
			err = o.format.expr.Write(w, recs[i], nil)
		case "yaml":
			if _, err = io.WriteString(w, "---\n"); err == nil {
				err = render.YAML(w, recs[i])
			}
		default:
			err = render.JSON(w, recs[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changes has, of each recording, what was last told of it.
type changes map[string]string

// in returns those of which something else is to be told than the last time. If recs are all that
// there are, the others are forgotten.
func (seen changes) in(recs []api.Recording, all bool) []api.Recording {
	var out []api.Recording
	there := make(map[string]bool, len(recs))
	for i := range recs {
		r := &recs[i]
		key := r.Node + "/" + r.ID
		there[key] = true
		now := fmt.Sprint(r.State, r.Frozen, r.Off, r.Ended != nil, r.GoesOnAs)
		if v := r.Verdict; v != nil && r.State == api.StateLive {
			now += v.Cause // its text may tell how long
		} else if v != nil {
			now += v.Sentence()
		}
		if seen[key] != now {
			seen[key] = now
			out = append(out, *r)
		}
	}
	for key := range seen {
		if all && !there[key] {
			delete(seen, key)
		}
	}
	return out
}
