package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/cgroup"
	"github.com/recorderd/recorderd/recorder/replay"
)

// runOptions are the flags of run.
type runOptions struct {
	root    string
	name    string
	verbose bool
	quiet   bool
	printID bool
	dump    bool
	last    int
}

func (a *app) run() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags] -- CMD ARG...",
		Short: "Run a command and record it",
		Long: `Run a command in a cgroup of its own, and so record it from its first system call
on. Signals are passed on to it, and the exit status is the command's: 128 + n if
signal n has ended it, 127 if there is no such command, 126 if it cannot be
started. recorderctl's own errors before that have the usual statuses.

The cgroup is removed when the command has ended, with those above it that run made,
and stays as long as processes are left in it. Its recording is kept as any other.

At the end a line on standard error says what became of the command, and how to see more;
-q leaves it out, and so does --print-id.`,
		Example: `  recorderctl run -- ./server
  recorderctl run --dump -- ./server --config /etc/server.conf
  recorderctl run -q -- make check
  recorderctl run --name build --print-id -- make`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("run: no command is given: recorderctl run -- CMD ARG...")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVar(&o.root, "root", api.RunRoot, "cgroup below which the command's is made; recorderd has to watch it")
	f.StringVar(&o.name, "name", "", "name of the cgroup, and so of the recording (default: the command's and a number)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on standard error what happens")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing of the recording at the end")
	f.BoolVar(&o.printID, "print-id", false, "print the recording's id on standard error")
	f.BoolVar(&o.dump, "dump", false, "if the command fails, show its last calls on standard error")
	f.IntVar(&o.last, "last", 40, "how many --dump shows")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.record(cmd, o, args) }
	return cmd
}

// record runs a command in a cgroup that is being recorded.
func (a *app) record(cmd *cobra.Command, o runOptions, args []string) error {
	program, err := exec.LookPath(args[0])
	if err != nil {
		a.say("run: %v", err)
		return exitStatus(cgroup.ExitStatus(err))
	}
	if o.name == "" {
		o.name = fmt.Sprintf("%s-%d", strings.Trim(path.Base(args[0]), "."), os.Getpid())
	}
	if strings.ContainsAny(o.name, "/\n") || strings.Trim(o.name, ".") == "" {
		return usagef("run: --name %q is not the name of a cgroup: it has no slash and is not only dots", o.name)
	}
	if o.quiet && o.verbose {
		return usagef("run: -q and -v exclude each other")
	}
	if o.last < 1 {
		return usagef("run: --last is %d: at least 1 is expected", o.last)
	}
	if a.kube.given() {
		return usagef("run: it records on this machine: %s is about a cluster", a.kube.first())
	}
	c := a.local()
	defer c.Close()
	ctx := cmd.Context()
	mount, err := watched(ctx, c, o.root)
	if err != nil {
		return err
	}
	rec := &recorded{client: c, cgroup: path.Join(o.root, o.name)}
	if err := rec.before(ctx); err != nil {
		return err
	}
	signals := cgroup.CatchSignals()
	group, err := cgroup.Make(mount, rec.cgroup)
	if errors.Is(err, cgroup.ErrInUse) {
		return fmt.Errorf("run: %w: give another --name", err)
	} else if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	child, err := group.Start(program, args)
	if err != nil {
		a.say("run: %v", errors.Join(err, group.Remove()))
		return exitStatus(cgroup.ExitStatus(err))
	}
	judged := !o.quiet && (!o.printID || o.verbose)
	told := make(chan struct{})
	go func() { // the command need not wait for it
		defer close(told)
		if judged || o.printID || o.dump {
			a.announce(ctx, rec, o)
		}
	}()
	status, err := signals.Wait(child)
	if err != nil {
		a.say("run: %v", err)
	}
	<-told
	if err := group.Remove(); errors.Is(err, cgroup.ErrInUse) {
		a.say("the command has left processes behind: recording of %s goes on", rec.cgroup)
		judged = false
	} else if err != nil {
		a.say("run: %v", err)
	}
	if status != 0 && o.dump && rec.id != "" {
		if err := a.lastCalls(ctx, cmd, rec, o.last); err != nil {
			a.complain(err)
		}
	}
	if judged && rec.id != "" {
		a.verdict(ctx, cmd, rec)
	}
	return exitStatus(status)
}

// verdictTime is how long the verdict may take behind the end of a command. Mostly it is there
// within 0.2 seconds.
const verdictTime = 2 * time.Second

// verdict says what became of the command, and how to see more.
func (a *app) verdict(ctx context.Context, cmd *cobra.Command, rec *recorded) {
	text := "recorded"
	for deadline := time.Now().Add(verdictTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		now, err := rec.client.Get(ctx, rec.id, target.Selector{})
		if err != nil {
			a.complain(err)
			return
		}
		if now.State != api.StateLive && now.Verdict != nil {
			text = now.Verdict.Sentence()
			break
		}
	}
	a.say("%s; more: %s", text, a.commandFor(cmd, "show", rec.id, &target.Selector{}))
}

// watched returns where the cgroups of the tracked hierarchy are, if what is below
// root is recorded.
func watched(ctx context.Context, c *client.Client, root string) (mount string, err error) {
	if root != path.Clean(root) || !strings.HasPrefix(root, "/") || root == "/" {
		return "", usagef("run: --root %q is not the path of a cgroup: it is like /recorderctl", root)
	}
	st, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	for _, w := range st.Cgroups.Watched {
		if w == root || strings.HasPrefix(root, w+"/") || w == "/" {
			return st.Cgroups.Mount, nil
		}
	}
	return "", fmt.Errorf("run: recorderd does not watch %s, but %s: start it with --watch %s, or choose with --root",
		root, cmp.Or(strings.Join(st.Cgroups.Watched, ", "), "nothing"), root)
}

// recorded is the recording of a command.
type recorded struct {
	client *client.Client
	cgroup string
	old    []string // ids of earlier recordings of the same cgroup
	id     string
}

func (r *recorded) list(ctx context.Context) ([]api.Recording, error) {
	list, err := r.client.List(ctx, target.Filter{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Recordings, func(rec api.Recording) bool { return rec.Container.Cgroup != r.cgroup }), nil
}

func (r *recorded) before(ctx context.Context) error {
	recs, err := r.list(ctx)
	for i := range recs {
		r.old = append(r.old, recs[i].ID)
	}
	return err
}

// find waits for the recording to be listed: that may be a moment after it began.
func (r *recorded) find(ctx context.Context) error {
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		recs, err := r.list(ctx)
		if err != nil {
			return err
		}
		for i := range recs {
			if !slices.Contains(r.old, recs[i].ID) {
				r.id = recs[i].ID
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no recording of %s has appeared: recorderctl status may say why", r.cgroup)
		}
	}
}

// announce finds the recording and says which one it is.
func (a *app) announce(ctx context.Context, rec *recorded, o runOptions) {
	if err := rec.find(ctx); err != nil {
		a.complain(err)
		return
	}
	switch {
	case o.printID:
		fmt.Fprintln(a.stderr, rec.id)
	case o.verbose:
		a.say("recording %s of cgroup %s", rec.id, rec.cgroup)
	}
}

// lastCalls shows the end of the recording on standard error.
func (a *app) lastCalls(ctx context.Context, cmd *cobra.Command, rec *recorded, last int) error {
	body, err := rec.client.Dump(ctx, rec.id, target.Selector{}, replay.Query{Format: replay.FormatRaw})
	if err != nil {
		return err
	}
	defer body.Close()
	return show(cmd.ErrOrStderr(), body, replay.Options{Query: replay.Query{Last: last}, Location: time.Local})
}
