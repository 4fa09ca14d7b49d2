package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/spool"
)

// diffFlags are the flags of the command diff.
type diffFlags struct {
	screenFlags
	sel   target.Selector
	files bool
}

func (a *app) diff() *cobra.Command {
	var o diffFlags
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what one of two recordings has and the other lacks",
		Long: `Compare two recordings: a good run and a bad one, two replicas, two files. It shows
the first point where the two part, and then what only one of them has: calls that
failed, files, peers, programs, signals, calls, the weightiest first. Numbers, ids,
hashes and times are not compared; of an address only the port is.

With --previous and one TARGET, which is B, A is the last instance of its container before
that ended in another way: a good run before the one that crashed, also in a crash loop.
With --files, A and B are what dump -o raw has saved or spooled files, as decode reads
them. Where the two part is known only if both recordings have the beginning of their
containers.

` + pagerHelp,
		Example: `  recorderctl diff pod/web-0 -n shop -c app --previous
  recorderctl diff pod/web-0 pod/web-1 -n shop -c app
  recorderctl diff 82d935feeb59 366ed0c84781 -o json
  recorderctl diff --files good.rec bad.rec`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case o.files && o.sel != (target.Selector{}):
				return usagef("diff: -n, -c and --previous choose recordings, not files")
			case o.sel.Previous && len(args) != 1:
				return usagef("diff: %d targets are given: with --previous one is expected", len(args))
			case !o.sel.Previous && len(args) != 2:
				return usagef("diff: %d are given: two are expected, or one with --previous", len(args))
			}
			return nil
		},
		ValidArgsFunction: a.completeTargets(2),
	}
	selectorFlags(cmd, &o.sel)
	cmd.Flags().BoolVar(&o.files, "files", false, "A and B are files instead of recordings")
	o.add(cmd, "120")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(cmd); err != nil {
			return err
		}
		return a.page(cmd, o.paged(), func() error {
			if o.files {
				return o.ofFiles(cmd, args)
			}
			return o.ofRecordings(a, cmd, args)
		})
	}
	return cmd
}

func (o *diffFlags) ofRecordings(a *app, cmd *cobra.Command, args []string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	names, sel := [2]string{args[0], args[len(args)-1]}, o.sel
	sel.Previous = false
	if o.sel.Previous {
		if names[0], names[1], err = before(cmd.Context(), c, args[0], sel); err != nil {
			return err
		}
		sel = target.Selector{}
	}
	dumps, done, err := both(cmd.Context(), c, names, sel)
	defer done()
	if err != nil {
		return err
	}
	return o.print(cmd, dumps)
}

// both reads two recordings. done is called when they are no longer needed, also with an error.
func both(ctx context.Context, c recorders, names [2]string, sel target.Selector) (dumps []*dump.Reader, done func(), err error) {
	var files []*os.File
	done = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, name := range names {
		// The second waits while the first is read, which its daemon would take for a client that
		// does not read: each goes to a file first.
		body, err := c.Dump(ctx, name, sel, replay.Query{Format: replay.FormatRaw})
		if err != nil {
			return nil, done, err
		}
		file, broken, err := fetched(body)
		body.Close()
		if err != nil {
			return nil, done, err
		}
		files = append(files, file)
		if broken != nil {
			return nil, done, fmt.Errorf("read the recording of %s: %w", name, broken)
		}
		d, err := dump.NewReader(file)
		if err != nil {
			return nil, done, err
		}
		dumps = append(dumps, d)
	}
	return dumps, done, nil
}

// fetched is a file without a name that has all of a body, or what came before it broke off.
func fetched(body io.Reader) (file *os.File, broken, err error) {
	if file, err = os.CreateTemp("", "recorderctl-"); err != nil {
		return nil, nil, err
	}
	if err = os.Remove(file.Name()); err == nil {
		_, broken = io.Copy(file, body)
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, broken, nil
}

// failing is a reader that has nothing but an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// before returns the ids of a recording and of the last one of the same container before it that
// ended in another way, else simply the last one: in a crash loop the one before has crashed alike.
func before(ctx context.Context, c recorders, name string, sel target.Selector) (a, b string, err error) {
	now, err := c.Get(ctx, name, sel)
	if err != nil {
		return "", "", err
	}
	var filter target.Filter
	if now.Pod != nil {
		filter.Namespace = now.Pod.Namespace
	}
	list, err := c.List(ctx, filter)
	if err != nil {
		return "", "", err
	}
	alike := func(r *api.Recording) bool {
		return r.Verdict != nil && now.Verdict != nil && now.Verdict.Fingerprint != "" && r.Verdict.Fingerprint == now.Verdict.Fingerprint
	}
	var best *api.Recording
	for i := range list.Recordings {
		r := &list.Recordings[i]
		if r.ContainerKey() != now.ContainerKey() || !r.Started.Before(now.Started) || api.BaseID(r.ID) == api.BaseID(now.ID) {
			continue
		}
		if best == nil || alike(best) && !alike(r) || alike(best) == alike(r) && r.Started.After(best.Started) {
			best = r
		}
	}
	if best == nil {
		return "", "", api.Errorf(api.CodeNotFound, "there is no earlier recording of %s", name)
	}
	return best.ID, now.ID, nil
}

func (o *diffFlags) ofFiles(cmd *cobra.Command, args []string) error {
	var dumps []*dump.Reader
	for _, name := range args {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		raw, done, err := unpack(f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer done()
		d, err := dump.NewReader(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		spool.Judged(&d.Header().Recording, beside(name))
		dumps = append(dumps, d)
	}
	return o.print(cmd, dumps)
}

func (o *diffFlags) print(cmd *cobra.Command, dumps []*dump.Reader) error {
	diff, err := postmortem.Compare(dumps[0], dumps[1], 0)
	if err != nil {
		return err
	}
	return o.write(cmd, diff, func(w io.Writer, t postmortem.TextOptions) error {
		return postmortem.WriteDifference(w, diff, t)
	})
}
