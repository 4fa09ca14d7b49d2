package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/internal/jsontext"
)

// leastInterval bounds what top costs the nodes.
const leastInterval = 500 * time.Millisecond

// topFlags are the flags of the command top.
type topFlags struct {
	filter   scope
	once     bool
	interval time.Duration
	sortBy   *choiceFlag
	format   *choiceFlag
}

func (a *app) top() *cobra.Command {
	o := topFlags{filter: scope{Filter: target.Filter{States: []api.State{api.StateLive}}}}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what containers are doing, live",
		Long: `Show what containers that live are doing, anew each --interval. On a terminal q or
Ctrl-C ends it; elsewhere there is a table for each interval, and with --once only one.
Nodes that do not answer are named; with --once the exit status is then 5.

CALLS/S are records a second: calls, and the few others, such as signals. FAILED/S
leaves out EAGAIN, EINTR, ETIMEDOUT and EINPROGRESS, which programs get all day long; a
thread that is renamed may count as well. BLOCKED are threads that had been for a second
or longer in a call that does not wait by design, such as openat, fsync or connect, as
recorderd last saw it: it looks every ten seconds. BACK is how far back the recording of
all calls reaches. - is not known.

It reads counters of the recorders, and no calls: see docs/output.md for what that costs.
-o json has an object a line for each interval.`,
		Example: `  recorderctl top
  recorderctl top --once --sort-by failed
  recorderctl top -n shop -l app=web --interval 5s
  recorderctl top -A -o json | jq -c '.recordings[] | select(.blocked > 0)'`,
		Args: none,
	}
	f := cmd.Flags()
	o.filter.add(cmd)
	f.StringVar(&o.filter.Pod, "pod", "", "only of the pod of this name")
	f.StringVarP(&o.filter.Container, "container", "c", "", "only of the container of this name")
	f.BoolVar(&o.once, "once", false, "one table, of one interval")
	f.DurationVar(&o.interval, "interval", 2*time.Second, "time between two looks, at least 500ms")
	o.sortBy = &choiceFlag{value: "calls", choice: render.TopKeys}
	f.Var(o.sortBy, "sort-by", strings.Join(render.TopKeys, ", ")+": the most first, names by the alphabet")
	o.sortBy.complete(cmd, "sort-by")
	o.format = outputFlag(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.filter.check(cmd); err != nil {
			return err
		}
		if o.interval < leastInterval {
			return usagef("top: --interval %s: want at least %s", o.interval, leastInterval)
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		o.filter.in(c)
		_, remote := c.(*cluster.Cluster)
		return o.run(a, cmd, c, remote)
	}
	return cmd
}

// run looks twice, and without --once until the user ends it.
func (o *topFlags) run(a *app, cmd *cobra.Command, c recorders, nodes bool) error {
	ctx := cmd.Context()
	// The first look comes before the screen: what is wrong is said where it stays.
	old, err := o.look(ctx, c)
	if err != nil {
		return err
	}
	show := o.plain(cmd, a, nodes)
	if o.format.value == "table" && !o.once && isTerminal(cmd) {
		s, stop, err := newScreen(ctx, cmd)
		if err != nil {
			return err
		}
		defer stop()
		ctx, show = s.ctx, func(t *render.Top, note string) error { return s.show(t, nodes, note) }
		show(&render.Top{At: old.at}, "q ends; the first look takes "+o.interval.String()) //nolint:errcheck // the next one says so
	}
	return o.loop(ctx, c, old, show)
}

// looked is what a list had, and when.
type looked struct {
	recs []api.Recording
	at   time.Time
	away *cluster.PartialError // nil: all nodes answered
}

// look asks the recorders.
func (o *topFlags) look(ctx context.Context, c recorders) (looked, error) {
	list, err := c.List(ctx, o.filter.Filter)
	var away *cluster.PartialError
	if errors.As(err, &away) && !away.All() {
		err = nil
	}
	return looked{list.Recordings, time.Now(), away}, err
}

// missing names the nodes that did not answer one of two looks: of what they record no rate is
// known. A node that answered neither is named once.
func missing(old, now looked) error {
	var errs []error
	if old.away != nil && !(now.away != nil && covers(now.away, old.away)) {
		errs = append(errs, old.away)
	}
	if now.away != nil {
		errs = append(errs, now.away)
	}
	return errors.Join(errs...)
}

// covers reports whether all nodes of b are among those of a.
func covers(a, b *cluster.PartialError) bool {
	return !slices.ContainsFunc(b.Nodes, func(n *cluster.NodeError) bool {
		return !slices.ContainsFunc(a.Nodes, func(o *cluster.NodeError) bool { return o.Node == n.Node })
	})
}

// loop looks again and again, until the context ends. With --once what is missing is the error.
func (o *topFlags) loop(ctx context.Context, c recorders, old looked, show func(*render.Top, string) error) error {
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := o.look(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		t := render.TopOf(old.recs, now.recs, old.at, now.at)
		t.Sort(o.sortBy.value)
		away := missing(old, now)
		if o.once {
			return cmp.Or(show(&t, ""), away)
		}
		var note string
		if away != nil {
			note = strings.ReplaceAll(away.Error(), "\n", "; ")
		}
		if err := show(&t, note); err != nil {
			return err
		}
		old = now
	}
}

// plain returns what writes a table, or an object on one line, for each interval.
func (o *topFlags) plain(cmd *cobra.Command, a *app, nodes bool) func(*render.Top, string) error {
	first := true
	return func(t *render.Top, note string) error {
		if note != "" {
			a.say("%s", note)
		}
		w, done := output(cmd)
		if o.format.value == "json" {
			b, err := json.Marshal(t)
			if err != nil {
				return err
			}
			_, err = w.Write(append(jsontext.Escape(b), '\n'))
			return done(err)
		}
		if !first {
			io.WriteString(w, "\n") //nolint:errcheck // done says so
		}
		first = false
		if !o.once {
			io.WriteString(w, t.Summary()+"\n") //nolint:errcheck // done says so
		}
		return done(t.Table(w, terminalWidth(cmd), 0, nodes))
	}
}

// screen is the terminal while top has it.
type screen struct {
	ctx context.Context // until a key or a signal ends it
	out *os.File
}

// newScreen takes the terminal. stop gives it back as it was.
func newScreen(ctx context.Context, cmd *cobra.Command) (s *screen, stop func(), err error) {
	ctx, end := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	s = &screen{ctx, cmd.OutOrStdout().(*os.File)}
	restore := func() {}
	if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		old, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			end()
			return nil, nil, err
		}
		restore = func() { term.Restore(int(in.Fd()), old) } //nolint:errcheck // nothing can be done
		go func() {                                          // ends with the program: a read cannot be broken off
			var key [16]byte
			for {
				n, err := in.Read(key[:])
				if err != nil || bytes.ContainsAny(key[:n], "qQ\x03\x04") {
					end()
					return
				}
			}
		}()
	}
	io.WriteString(s.out, "\x1b[?1049h\x1b[?25l") //nolint:errcheck // the next write says so
	return s, func() {
		io.WriteString(s.out, "\x1b[?25h\x1b[?1049l") //nolint:errcheck // nothing can be done
		restore()
		end()
	}, nil
}

func (s *screen) show(t *render.Top, nodes bool, note string) error {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil {
		return err
	}
	_, err = s.out.Write(t.Screen(width, height, nodes, note))
	return err
}
