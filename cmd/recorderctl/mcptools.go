package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/answer"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// mcpTarget says which recording is meant.
type mcpTarget struct {
	Namespace string `json:"namespace,omitempty" jsonschema:"the pod's namespace"`
	Container string `json:"container,omitempty" jsonschema:"the container's name, where a pod has several"`
	Previous  bool   `json:"previous,omitempty" jsonschema:"the instance of the container before this one"`
}

func (t *mcpTarget) selector() target.Selector {
	return target.Selector{Namespace: t.Namespace, Container: t.Container, Previous: t.Previous}
}

const mcpListHelp = `List recordings of containers that live and that ended, the newest first, with a verdict on each.`

// mcpList is the input of list.
type mcpList struct {
	Namespace     string   `json:"namespace,omitempty" jsonschema:"only of pods in this namespace"`
	AllNamespaces bool     `json:"all_namespaces,omitempty" jsonschema:"in a cluster: of all namespaces, not only the kubeconfig's"`
	Pod           string   `json:"pod,omitempty" jsonschema:"only of the pod of this name"`
	Container     string   `json:"container,omitempty" jsonschema:"only of the container of this name"`
	Labels        string   `json:"labels,omitempty" jsonschema:"only those whose labels fit, such as app=web,tier!=db"`
	States        []string `json:"states,omitempty" jsonschema:"only in these states: live, ended, spooled (on disk alone)"`
	Crashed       bool     `json:"crashed,omitempty" jsonschema:"only of containers that ended as nobody wanted"`
	Hanging       bool     `json:"hanging,omitempty" jsonschema:"only of containers that live and wait for what does not come"`
	Since         string   `json:"since,omitempty" jsonschema:"only of containers that live, or ended since: 30m, 15:04, 2026-01-02T15:04"`
	Limit         int      `json:"limit,omitempty" jsonschema:"how many; 50 if not given"`
}

// mcpRows is how many recordings a list has if nothing is said.
const mcpRows = 50

func (c *mcpCall) list(ctx context.Context, in mcpList) error {
	if in.AllNamespaces && in.Namespace != "" {
		return usagef("namespace and all_namespaces exclude each other")
	}
	if in.Limit < 0 {
		return usagef("limit is %d: want at least 1", in.Limit)
	}
	filter := target.Filter{Namespace: in.Namespace, Pod: in.Pod, Container: in.Container, Labels: in.Labels}
	for _, s := range in.States {
		state, err := target.ParseState(s)
		if err != nil {
			return err
		}
		filter.States = append(filter.States, state)
	}
	o := listFlags{crashed: in.Crashed, hanging: in.Hanging, sortBy: &choiceFlag{value: "end"}}
	if in.Since != "" {
		var err error
		if o.since, err = replay.ParseMoment(in.Since); err != nil {
			return usagef("since: %w", err)
		}
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	if !in.AllNamespaces {
		inNamespace(cl, &filter)
	}
	list, err := cl.List(ctx, filter)
	if !someAnswered(err) {
		return err
	}
	found := len(list.Recordings)
	recs := o.pick(list.Recordings, time.Now())
	most := in.Limit
	if most == 0 {
		most = mcpRows
	}
	c.keep(answer.Beginning, "Filter by namespace, pod, container, labels, states, crashed, hanging or since, or lower limit.")
	if len(recs) > most {
		c.Note(fmt.Sprintf("these are the %d newest of %d: raise limit for more, or filter", most, len(recs)))
		recs = recs[:most]
	}
	if len(recs) == 0 {
		fmt.Fprintf(c, "of %s none fits\n", render.Number(found, "recording"))
		return err
	}
	return errors.Join(render.Recordings(c, recs, render.Table{Now: time.Now()}), err)
}

const mcpShowHelp = `Show the post-mortem of a container: a verdict in one line and the evidence for it, the calls before the end, output, failed calls, files, peers, processes. Of one that runs: what it is doing. Commands that it names, such as "recorderctl dump web --failed", are calls of the tool dump with these filters.`

// mcpShow is the input of show.
type mcpShow struct {
	Target string `json:"target,omitempty" jsonschema:"the id of a recording or container, or the name of a container or pod, or its beginning; if it is not given, the last crash"`
	mcpTarget
}

func (c *mcpCall) show(ctx context.Context, in mcpShow) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	name, sel := in.Target, in.selector()
	if name == "" {
		if name, err = c.lastCrash(ctx, cl, sel); err != nil {
			return err
		}
		sel = target.Selector{}
	}
	body, err := cl.Dump(ctx, name, sel, replay.Query{Format: replay.FormatRaw})
	if err != nil {
		return err
	}
	defer body.Close()
	d, err := dump.NewReader(body)
	if err != nil {
		return err
	}
	report, err := postmortem.Build(d, postmortem.Options{})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.keep(answer.Beginning, "dump has the same with filters.")
	return errors.Join(postmortem.WriteText(c, report, postmortem.TextOptions{Location: time.Local, Command: replay.Command([]string{"recorderctl", "dump", name})}), err)
}

const mcpDumpHelp = `Show the system calls of a container, with arguments, results and durations, its signals and how threads ended, oldest first. Without filters these are the last 100. Filters are combined. summary counts calls instead.`

// mcpDump is the input of dump.
type mcpDump struct {
	Target string `json:"target" jsonschema:"the id of a recording or container, or the name of a container or pod, or its beginning"`
	mcpTarget
	Last        int      `json:"last,omitempty" jsonschema:"only the last N lines of what fits; 100 if not given"`
	Since       string   `json:"since,omitempty" jsonschema:"only from this time on: a duration back from the end (30s), a time of day (15:04:05.123), or a date (2026-01-02T15:04:05)"`
	Until       string   `json:"until,omitempty" jsonschema:"only up to this time, as since; with the time of the first line it pages back"`
	Calls       []string `json:"calls,omitempty" jsonschema:"only these calls: names (openat), classes (%file, %network, %process, %signal, %desc, %memory), /regular expressions/; !futex leaves out"`
	Paths       []string `json:"paths,omitempty" jsonschema:"only calls that name one of these paths, or a descriptor open on it"`
	Pids        []uint32 `json:"pids,omitempty" jsonschema:"only of these processes, as the container sees them"`
	Tids        []uint32 `json:"tids,omitempty" jsonschema:"only of these threads, as the container sees them"`
	Failed      bool     `json:"failed,omitempty" jsonschema:"only calls that failed"`
	Descriptors bool     `json:"descriptors,omitempty" jsonschema:"show what descriptors are open on"`
	Strings     int      `json:"strings,omitempty" jsonschema:"show only so many bytes of each string"`
	Format      string   `json:"format,omitempty" jsonschema:"text (the default), json (an object a line, arguments by name) or strace"`
	Summary     string   `json:"summary,omitempty" jsonschema:"call or thread: count calls, errors and time by it, instead of the calls"`
}

// mcpLines is how many lines a dump has if nothing is said.
const mcpLines = 100

// query is what the input asks for.
func (in *mcpDump) query() (replay.Query, error) {
	v := url.Values{replay.ParamFormat: {"text"}}
	set := func(name, value string, is bool) {
		if is {
			v.Add(name, value)
		}
	}
	if in.Format != "" {
		if !slices.Contains([]string{"text", "json", "strace"}, in.Format) {
			return replay.Query{}, usagef("format: %q is none of text, json, strace", in.Format)
		}
		v.Set(replay.ParamFormat, in.Format)
	}
	if in.Summary == "" && in.Last == 0 {
		in.Last = mcpLines
	}
	set(replay.ParamLast, strconv.Itoa(in.Last), in.Last != 0)
	set(replay.ParamSince, in.Since, in.Since != "")
	set(replay.ParamUntil, in.Until, in.Until != "")
	set(replay.ParamFailed, "true", in.Failed)
	set(replay.ParamFds, "true", in.Descriptors)
	set(replay.ParamStrings, strconv.Itoa(in.Strings), in.Strings != 0)
	set(replay.ParamSummary, in.Summary, in.Summary != "")
	for _, s := range in.Calls {
		set(replay.ParamExpr, s, true)
	}
	for _, s := range in.Paths {
		set(replay.ParamPath, s, true)
	}
	for name, ids := range map[string][]uint32{replay.ParamPid: in.Pids, replay.ParamTid: in.Tids} {
		for _, id := range ids {
			set(name, strconv.FormatUint(uint64(id), 10), true)
		}
	}
	q, err := replay.ParseQuery(v)
	if err != nil {
		return q, usageError{err}
	}
	return q, nil
}

func (c *mcpCall) dump(ctx context.Context, in mcpDump) error {
	q, err := in.query()
	if err != nil {
		return err
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	body, err := cl.Dump(ctx, in.Target, in.selector(), replay.Query{Format: replay.FormatRaw})
	if err != nil {
		return err
	}
	defer body.Close()
	which := answer.End
	if q.Summary != "" {
		which = answer.Beginning
	}
	c.keep(which, "Lower last or strings, or filter by since, until, calls, paths, pids or failed. For what is before, set until to the time of the first line.")
	return show(c, body, replay.Options{Query: q, Location: time.Local})
}

const mcpDiffHelp = `Compare two recordings, such as a good run and a bad one, or two replicas: the first point where they part, and what only one of them has.`

// mcpDiff is the input of diff.
type mcpDiff struct {
	A         string `json:"a,omitempty" jsonschema:"target of the first recording, as for show; not with previous"`
	B         string `json:"b" jsonschema:"target of the second recording"`
	Namespace string `json:"namespace,omitempty" jsonschema:"the pods' namespace"`
	Container string `json:"container,omitempty" jsonschema:"the containers' name, where a pod has several"`
	Previous  bool   `json:"previous,omitempty" jsonschema:"compare b with the last instance of its container before that ended in another way"`
}

func (c *mcpCall) diff(ctx context.Context, in mcpDiff) error {
	if (in.A == "") != in.Previous {
		return usagef("want either a, or previous")
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	sel := target.Selector{Namespace: in.Namespace, Container: in.Container}
	names := [2]string{in.A, in.B}
	if in.Previous {
		if names[0], names[1], err = before(ctx, cl, in.B, sel); err != nil {
			return err
		}
		sel = target.Selector{}
	}
	dumps, done, err := both(ctx, cl, names, sel)
	defer done()
	if err != nil {
		return err
	}
	diff, err := postmortem.Compare(dumps[0], dumps[1], 0)
	if err != nil {
		return err
	}
	c.keep(answer.Beginning, "show and dump have each of the two.")
	return postmortem.WriteDifference(c, diff, postmortem.TextOptions{Width: 200, Location: time.Local})
}

const mcpStatusHelp = `Show what the recorder holds and what it lost: recordings, memory, dumps on disk, rates, and every way in which something was not recorded. In a cluster there is a line for each node.`

// mcpStatus is the input of status.
type mcpStatus struct{}

func (c *mcpCall) status(ctx context.Context, _ mcpStatus) error {
	remote, err := c.inCluster()
	if err != nil {
		return err
	}
	if !remote {
		cl := c.local()
		defer cl.Close()
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		return render.Status(c, &st, time.Now())
	}
	cl, err := c.cluster()
	if err != nil {
		return err
	}
	defer cl.Close()
	var sts []api.Status
	sts, err = cl.Statuses(ctx, 0)
	if !someAnswered(err) {
		return err
	}
	return errors.Join(render.Statuses(c, sts, time.Now()), err)
}
