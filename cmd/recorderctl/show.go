package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/spool"
)

// showFlags are the flags of the command show.
type showFlags struct {
	screenFlags
	file   string
	chosen choice
}

func (a *app) show() *cobra.Command {
	var o showFlags
	cmd := &cobra.Command{
		Use:   "show [TARGET...]",
		Short: "Show how a container ended, and why, on one screen",
		Long: `Show the post-mortem of a container on one screen: a verdict in one line and the
evidence for it. How and when it ended, what stands out, the failed calls before
the end, the last lines on stdout and stderr, threads that were blocked, calls that
failed, the slowest, files, peers, processes, and what the recording lacks. Of a
container that is running it says what it is doing. Sections with nothing to say
are left out.

Without TARGET it is the last container that ended as nobody wanted, on this node or in
the namespace (list --crashed).

` + shownHelp + `; with -o json
and yaml there is a document for each.

What is more than fits is counted, with the command that shows it. --file reads what
dump -o raw has saved and spooled files, as decode does; - is standard input. A dump that
is damaged or cut short is shown as far as it can be read, and the exit status is 1.

` + pagerHelp + `

-o json has more of each list, with weights and evidence: see docs/show.md. -o jsonpath=
and custom-columns= pick from it, as with kubectl.
-o html is one page for a browser, with a timeline that counts back from the end. It asks no
network, and can go into a ticket.`,
		Example: `  recorderctl show
  recorderctl show web
  recorderctl show pod/web-0 -n shop -c app --previous
  recorderctl show web-0 web-1
  recorderctl show -l app=web -n shop
  recorderctl show web --no-pager
  recorderctl show --file web.rec
  recorderctl show web -o json | jq -r .verdict
  recorderctl show web -o jsonpath={.verdict}
  recorderctl show web -o html > web.html`,
	}
	o.chosen.add(a, cmd, 0)
	cmd.Flags().StringVar(&o.file, "file", "", "a dump in this `FILE` instead of a recording, - for standard input")
	o.add(cmd, "no limit", "html")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(cmd); err != nil {
			return err
		}
		if o.format.value == "html" && isTerminal(cmd) {
			return usagef("show: -o html is a page for a browser: send it to a file, as in recorderctl show ... -o html > report.html")
		}
		if o.file != "" && len(args) > 0 {
			return usagef("show: TARGET and --file exclude each other")
		}
		return a.page(cmd, o.paged(), func() error { return o.run(a, cmd, args) })
	}
	return cmd
}

// run shows what was asked for.
func (o *showFlags) run(a *app, cmd *cobra.Command, args []string) error {
	if o.file != "" {
		return o.ofFile(cmd)
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	if len(args) == 0 && o.chosen.labels == "" {
		id, err := a.lastCrash(cmd.Context(), c, o.chosen.sel)
		if err != nil {
			return err
		}
		args, o.chosen.sel = []string{id}, target.Selector{}
	}
	all, err := o.chosen.all(cmd.Context(), c, args, target.Current)
	if len(all) > 1 && o.format.value == "html" {
		return usagef("show: %d recordings are meant: with -o html one is possible", len(all))
	}
	h := headings{colour: colored(cmd, o.color)}
	return eachOf(all, err, func(t *one) error {
		body, err := c.Dump(cmd.Context(), t.name, t.sel, replay.Query{Format: replay.FormatRaw})
		if err != nil {
			return err
		}
		defer body.Close()
		if len(all) > 1 {
			if err := o.between(cmd, &h, t.called); err != nil {
				return err
			}
		}
		err = o.print(cmd, body, nil, a.dumpCommand(cmd, t.name, &t.sel))
		if errors.Is(err, dump.ErrTruncated) {
			return fmt.Errorf("%w: recorderd has broken off, its log may say why", err)
		}
		return err
	})
}

// between writes what stands before one of several.
func (o *showFlags) between(cmd *cobra.Command, h *headings, name string) error {
	switch o.format.value {
	case "text":
		return h.write(cmd.OutOrStdout(), name)
	case "yaml":
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "---")
		return err
	}
	return nil
}

// lastCrash is the id of the recording whose container ended last as nobody wanted. In a cluster
// it is of the namespace.
func (a *app) lastCrash(ctx context.Context, c recorders, sel target.Selector) (string, error) {
	if sel.Previous {
		return "", usagef("show: --previous needs a TARGET")
	}
	filter := target.Filter{Namespace: sel.Namespace, Container: sel.Container}
	inNamespace(c, &filter)
	list, err := c.List(ctx, filter)
	if !someAnswered(err) {
		return "", err
	}
	if err != nil {
		a.warn(err.Error()) // one that did not answer may have a later one
	}
	var last *api.Recording
	for i := range list.Recordings {
		if r := &list.Recordings[i]; r.Crashed() && (last == nil || r.Last().After(last.Last())) {
			last = r
		}
	}
	if last == nil {
		return "", api.Errorf(api.CodeNotFound, "of %s none is of a crash: recorderctl list shows what there is", render.Number(len(list.Recordings), "recording"))
	}
	return last.ID, nil
}

func (o *showFlags) ofFile(cmd *cobra.Command) error {
	if o.chosen != (choice{}) {
		return usagef("show: -n, -c, -l and --previous choose a recording, not a file")
	}
	name, in, command := "standard input", cmd.InOrStdin(), ""
	if o.file != "-" {
		f, err := os.Open(o.file)
		if err != nil {
			return err
		}
		defer f.Close()
		name, in, command = o.file, f, "recorderctl decode "+replay.Command([]string{o.file})
	}
	raw, done, err := unpack(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer done()
	if err := o.print(cmd, raw, beside(o.file), command); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// beside is what stands beside a file of the spool: names and a verdict that came later. Nil if
// nothing does.
func beside(file string) *api.Recording {
	if !strings.HasSuffix(file, spool.Suffix) {
		return nil
	}
	f, err := os.OpenFile(spool.JudgedName(file), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	rec, err := spool.ReadJudged(f)
	if err != nil {
		return nil // the verdict is made again
	}
	return rec
}

// print writes the report on a dump. since, if it is not nil, is what is known of the recording
// since. command shows the dump's calls.
func (o *showFlags) print(cmd *cobra.Command, in io.Reader, since *api.Recording, command string) error {
	d, err := dump.NewReader(in)
	if err != nil {
		return err
	}
	spool.Judged(&d.Header().Recording, since)
	if o.format.value == "html" {
		return page(cmd, d)
	}
	report, readErr := postmortem.Build(d, postmortem.Options{})
	err = o.write(cmd, report, func(w io.Writer, t postmortem.TextOptions) error {
		t.Command = command
		return postmortem.WriteText(w, report, t)
	})
	if err != nil {
		return err
	}
	return readErr
}

// dumpCommand is the command that dumps the same recording.
func (a *app) dumpCommand(cmd *cobra.Command, name string, sel *target.Selector) string {
	return a.commandFor(cmd, "dump", name, sel)
}

// commandFor is a command that does something else with the same recording.
func (a *app) commandFor(cmd *cobra.Command, verb, name string, sel *target.Selector) string {
	words := strings.Fields(a.name)
	if cmd.Flags().Changed("socket") {
		words = append(words, "--socket", a.socket)
	}
	for _, flag := range clusterFlags { // elsewhere a container of that name is another
		f := cmd.Flags().Lookup(flag)
		if f == nil || !f.Changed {
			continue
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			words = append(words, "--"+flag, v)
		}
	}
	words = append(words, verb, name)
	if sel.Namespace != "" {
		words = append(words, "-n", sel.Namespace)
	}
	if sel.Container != "" {
		words = append(words, "-c", sel.Container)
	}
	if sel.Previous {
		words = append(words, "--previous")
	}
	return strings.TrimSpace(replay.Command(words))
}

// show writes a raw dump as o has it. If it says that something is missing, the
// error does, too, after everything that is there was shown.
func show(w io.Writer, r io.Reader, o replay.Options) error {
	d, err := dump.NewReader(r)
	if err != nil {
		return err
	}
	stats, err := replay.Run(w, d, o)
	if err != nil || len(stats.Damage) == 0 {
		return err
	}
	if len(stats.Damage) == 1 {
		return fmt.Errorf("%w: %s", dump.ErrCorrupt, stats.Damage[0].String())
	}
	return fmt.Errorf("%w in %d places, the first: %s", dump.ErrCorrupt, len(stats.Damage), stats.Damage[0].String())
}
