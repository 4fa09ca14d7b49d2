package recorder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/spool"
)

// The verdict on a container that has ended is made here, once, from what is kept of its
// recording, and again while its names and Kubernetes' word come, or when the rules are newer.
// Nothing waits for it: the ring has gone back by then, and the dump on disk is not held up.

const (
	// judgeFor is how long after an end a verdict is made again for what is learnt.
	judgeFor = time.Minute
	// reasonWait is how long an end waits, for what is told of it once, for the reason that
	// Kubernetes gives, after its recording was put together.
	reasonWait = 10 * time.Second
	// judgeMost is how long one verdict may take. What was read by then counts.
	judgeMost = 30 * time.Second
	// judgeNice is the priority of the thread that makes verdicts. It is not the lowest: the
	// garbage collector waits for each thread to stop.
	judgeNice = 10
	// mostJudged bounds a file on disk that a verdict is made of when the rules are newer.
	mostJudged = 16 << 20
)

// judged is the verdict on a recording. Guarded by Recorder.mu.
type judged struct {
	verdict *api.Verdict // nil: there is none yet
	of      string       // what it was made of beside the dump, see inputsOf
	since   time.Time    // when the recording was put together
	told    bool         // it was counted, and logged
	toDisk  bool         // it is not beside the dump on disk, which may be there
}

// inputsOf says what a verdict depends on beside the dump.
func inputsOf(d *api.Recording) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rules %d", postmortem.RulesVersion)
	if x := d.Exit; x != nil {
		fmt.Fprintf(&b, " exit %d %s %t %t %t %q %q %q", x.Code, x.Signal, x.CoreDumped, x.OOMKilled, x.Outside, x.Reason, x.Message, x.Deliberate)
		if x.TermAt != nil {
			fmt.Fprintf(&b, " %d", x.TermAt.UnixNano())
		}
	}
	if g := goingOf(d); g != nil {
		fmt.Fprintf(&b, " going %s %q", g.Why, g.Message)
	}
	if d.NotStarted != "" {
		fmt.Fprintf(&b, " not started %q", d.NotStarted)
	}
	if d.Container.RestartAlways {
		b.WriteString(" always")
	}
	if d.Pod != nil {
		fmt.Fprintf(&b, " %s/%s", d.Pod.Namespace, d.Pod.Name)
	}
	return b.String()
}

// verdicts are made one at a time, on a thread of their own.
type verdicts struct {
	gate chan struct{} // holds a token while a verdict is made
	work chan func()
	kick chan struct{}
	last map[string]time.Time // by owner, when one of its was made last
	ends map[api.EndCount]uint64
}

func (j *verdicts) init() {
	j.gate, j.work, j.kick = make(chan struct{}, 1), make(chan func()), make(chan struct{}, 1)
	j.last, j.ends = map[string]time.Time{}, map[api.EndCount]uint64{}
}

// working runs what is asked for on a thread of low priority, which ends with it.
func (j *verdicts) working(ctx context.Context) {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), judgeNice) // a filter may forbid it
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-j.work:
			do()
		}
	}
}

// enter waits until no other verdict is being made. The caller must call leave.
func (j *verdicts) enter(ctx context.Context) (leave func(), err error) {
	select {
	case j.gate <- struct{}{}:
		return func() { <-j.gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// errSlow: a verdict took too long. It is made of what was read.
var errSlow = fmt.Errorf("making the verdict took longer than %s: %w", judgeMost, dump.ErrTruncated)

// hurried is a dump that ends when its reader has had time enough.
type hurried struct {
	io.Reader
	ctx   context.Context
	until time.Time
}

func (h *hurried) Read(b []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	if time.Now().After(h.until) {
		return 0, errSlow
	}
	return h.Reader.Read(b)
}

// report builds the report on a dump. d, if it is not nil, is what is known of the recording by
// now. A dump is made of what a container did, so a fault in reading it must not end the daemon.
func report(ctx context.Context, in io.Reader, d *api.Recording) (out *postmortem.Report, err error) {
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, fmt.Errorf("build report: %v\n%s", v, debug.Stack())
		}
	}()
	r, err := dump.NewReader(&hurried{in, ctx, time.Now().Add(judgeMost)})
	if err != nil {
		return nil, err
	}
	if d != nil {
		rec := &r.Header().Recording
		cover := rec.Coverage
		*rec = *d
		rec.Coverage, rec.Verdict = cover, nil
	}
	out, err = postmortem.Build(r, postmortem.Options{})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && out != nil && (errors.Is(err, dump.ErrCorrupt) || errors.Is(err, dump.ErrTruncated)) {
		err = nil // the report says what it lacks
	}
	return out, err
}

// verdict makes a verdict at low priority, and says how long it took. The caller has entered.
func (j *verdicts) verdict(ctx context.Context, in io.Reader, d *api.Recording) (*api.Verdict, time.Duration, error) {
	type made struct {
		report *postmortem.Report
		took   time.Duration
		err    error
	}
	done := make(chan made, 1)
	do := func() {
		began := time.Now()
		out, err := report(ctx, in, d)
		done <- made{out, time.Since(began), err}
	}
	select {
	case j.work <- do:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	m := <-done
	if m.err != nil {
		return nil, m.took, m.err
	}
	return m.report.Recording.Verdict, m.took, nil
}

// judging makes the verdicts on what has ended, and tells them, until ctx ends.
func (r *Recorder) judging(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			took, ok := r.judgeNext(ctx)
			if !ok {
				break
			}
			r.tellEnds(time.Now())
			pause(ctx, took) // at most half of a CPU, however many end
		}
		r.tellEnds(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-r.judge.kick:
		case <-tick.C:
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// judgeNext makes one verdict. It returns false if none is to be made.
func (r *Recorder) judgeNext(ctx context.Context) (took time.Duration, ok bool) {
	rec, d, of := r.nextToJudge(time.Now())
	if rec == nil {
		return 0, false
	}
	leave, err := r.judge.enter(ctx)
	if err != nil {
		return 0, false
	}
	defer leave()
	v, took, err := r.judgeKept(ctx, &d)
	if ctx.Err() != nil {
		return took, false
	}
	if err != nil {
		r.log.Warn("no verdict could be made", "id", d.ID, "error", err)
		v = unjudged(&d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recs[rec.id] == rec && rec.kept != nil {
		rec.judged.verdict, rec.judged.of, rec.judged.toDisk = v, of, true
		rec.renamed = true // for the next daemon
		wake(r.spoolKick)
	}
	return took, true
}

func (r *Recorder) judgeKept(ctx context.Context, d *api.Recording) (*api.Verdict, time.Duration, error) {
	mem, err := r.kernel.OpenKept(d.ID)
	if err != nil {
		return nil, 0, err
	}
	defer mem.Close()
	file, err := spool.NewReader(bytes.NewReader(mem.Bytes()), int64(len(mem.Bytes())))
	if err != nil {
		return nil, 0, err
	}
	return r.judge.verdict(ctx, file.Dump(), d)
}

// unjudged is the verdict on a recording that cannot be read.
func unjudged(d *api.Recording) *api.Verdict {
	return &api.Verdict{
		Text: endOf(d).Text + "; its recording could not be read", How: howOf(d), Cause: postmortem.CauseUnjudged, Rules: postmortem.RulesVersion,
	}
}

// howOf is how a container ended, by what is known without its recording.
func howOf(d *api.Recording) string {
	switch x := d.Exit; {
	case x == nil:
		return string(postmortem.Ended)
	case x.OOMKilled:
		return string(postmortem.OOM)
	case x.Signal != "":
		return string(postmortem.Killed)
	}
	return string(postmortem.Exited)
}

// nextToJudge is the next recording of which a verdict is to be made, and what that is to be made
// of. Owners take turns: whoever has many containers end does not hold up others.
func (r *Recorder) nextToJudge(now time.Time) (next *recording, d api.Recording, of string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	type candidate struct {
		rec *recording
		d   api.Recording
		of  string
	}
	var found []candidate
	for _, rec := range r.recs {
		if rec.kept == nil || goesOn(rec.kept.reason.Kind) || is(rec.applied.settings.Off) {
			continue
		}
		v := rec.judged.verdict
		if v != nil && v.Rules >= postmortem.RulesVersion && now.After(rec.judged.since.Add(judgeFor)) {
			continue
		}
		one := r.describeLocked(rec)
		if of := inputsOf(&one); v == nil || v.Rules < postmortem.RulesVersion || of != rec.judged.of {
			found = append(found, candidate{rec, one, of})
		}
	}
	if len(found) == 0 {
		clear(r.judge.last)
		return nil, d, ""
	}
	best := slices.MinFunc(found, func(a, b candidate) int {
		return cmp.Or(r.judge.last[a.rec.kept.owner].Compare(r.judge.last[b.rec.kept.owner]), a.rec.endedAt.Compare(b.rec.endedAt))
	})
	r.judge.last[best.rec.kept.owner] = now
	return best.rec, best.d, best.of
}

// reasonDue reports whether what is told once need not wait for Kubernetes' reason any more. r.mu is held.
func (r *Recorder) reasonDue(rec *recording, since, now time.Time) bool {
	if r.pods == nil || now.After(since.Add(reasonWait)) {
		return true
	}
	if rec.pod.known {
		return rec.pod.info.Exit != nil
	}
	return rec.who.PodUID == "" && !rec.inPod()
}

// inPod reports whether a runtime says that a recording's container is in a pod.
func (rec *recording) inPod() bool { return (rec.known || rec.recalled) && rec.info.PodName != "" }

// tellEnds counts and logs the ends whose verdict is ready, and makes the events that are owed.
func (r *Recorder) tellEnds(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.recs {
		j := &rec.judged
		ready := j.verdict != nil && r.reasonDue(rec, j.since, now)
		if rec.kept != nil && !j.told && ready {
			j.told, rec.renamed = true, true
			r.judge.count(j.verdict.How, j.verdict.Cause)
			r.logEndLocked(rec)
		}
		if p := &rec.pod; p.owed && p.known && (ready || now.After(p.owedAt.Add(reasonWait))) {
			r.tellSavedLocked(rec)
		}
	}
}

func (r *Recorder) logEndLocked(rec *recording) {
	d := r.describeLocked(rec)
	v := d.Verdict
	if v == nil {
		return // a rule says that nothing is told of it
	}
	level := slog.LevelInfo
	if v.Fingerprint == "" {
		level = slog.LevelDebug // no crash
	}
	attrs := []slog.Attr{slog.String("id", d.ID), slog.String("container", d.Container.Name)}
	if d.Pod != nil {
		attrs = append(attrs, slog.String("pod", d.Pod.Namespace+"/"+d.Pod.Name))
	}
	attrs = append(attrs, slog.String("verdict", v.Text), slog.String("words", v.Words), slog.String("cause", v.Cause), slog.String("fingerprint", v.Fingerprint))
	r.log.LogAttrs(context.Background(), level, "container ended", attrs...)
}

// untoldLocked counts an end whose recording goes before it was told. r.mu is held.
func (r *Recorder) untoldLocked(rec *recording) {
	if !rec.ended || rec.judged.told || rec.kept != nil && goesOn(rec.kept.reason.Kind) {
		return
	}
	rec.judged.told = true
	d := r.describeLocked(rec)
	if v := rec.judged.verdict; v != nil {
		r.judge.count(v.How, v.Cause)
	} else {
		r.judge.count(howOf(&d), postmortem.CauseUnjudged)
	}
}

// count counts an end. Whatever a verdict of another version has, there are only so many labels.
// Recorder.mu is held.
func (j *verdicts) count(how, cause string) {
	if !postmortem.IsCause(cause) {
		cause = postmortem.CauseUnjudged
	}
	if !slices.Contains([]postmortem.Outcome{postmortem.Exited, postmortem.Killed, postmortem.OOM}, postmortem.Outcome(how)) {
		how = string(postmortem.Ended)
	}
	j.ends[api.EndCount{How: how, Cause: cause}]++
}

// endsLocked are the ends that were counted since the daemon began. r.mu is held.
func (r *Recorder) endsLocked() []api.EndCount {
	list := make([]api.EndCount, 0, len(r.judge.ends))
	for end, n := range r.judge.ends {
		end.Count = n
		list = append(list, end)
	}
	slices.SortFunc(list, func(a, b api.EndCount) int {
		return cmp.Or(strings.Compare(a.How, b.How), strings.Compare(a.Cause, b.Cause))
	})
	return list
}

// judgeDisk writes verdicts beside their dumps on disk. Only the goroutine that waits for the disk
// calls it.
func (r *Recorder) judgeDisk(sp *spool.Store) {
	type beside struct {
		rec *recording
		d   api.Recording
	}
	var list []beside
	r.mu.Lock()
	for _, rec := range r.recs {
		if rec.kept == nil || !rec.judged.toDisk || rec.judged.verdict == nil {
			continue
		}
		rec.judged.toDisk = false
		if d := r.describeLocked(rec); d.Verdict != nil {
			list = append(list, beside{rec, d})
		}
	}
	r.mu.Unlock()
	for i := range list {
		for _, id := range sp.Ended(list[i].d.ID) {
			if err := sp.Judge(id, &list[i].d); err != nil && !errors.Is(err, spool.ErrNotFound) {
				r.log.Warn("keep a verdict on disk", "id", id, "error", err)
			}
		}
	}
}

// judgingDisk makes the verdicts on dumps on disk that have none, or one of older rules, one after
// the other, until ctx ends. They are of recordings that are in memory no more.
func (r *Recorder) judgingDisk(ctx context.Context) {
	hopeless := map[string]bool{} // files
	for {
		worked := time.Duration(0)
		if sp := r.store.peek(); sp != nil {
			for _, e := range sp.List() {
				if ctx.Err() != nil {
					return
				}
				if hopeless[e.Name] || !r.outdated(&e) {
					continue
				}
				took, err := r.judgeSpooled(ctx, sp, &e)
				if err != nil && ctx.Err() == nil {
					hopeless[e.Name] = true
					r.log.Info("no verdict could be made of a dump on disk", "file", e.Name, "error", err)
				}
				worked = took
				break
			}
		}
		if worked > 0 {
			pause(ctx, 10*worked)
		} else {
			if len(hopeless) > 4096 {
				clear(hopeless)
			}
			pause(ctx, refreshEvery/2)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// outdated reports whether the verdict on a dump on disk is to be made again.
func (r *Recorder) outdated(e *spool.Entry) bool {
	m := &e.Meta
	if m.Recording.State == api.StateLive || goesOn(m.Reason.Kind) || e.Bytes > mostJudged || m.Recording.ID == "" {
		return false
	}
	d := e.Describe()
	if v := d.Verdict; v != nil && v.Rules >= postmortem.RulesVersion {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recs[m.Recording.ID] == nil && !is(r.policy.For(&d).Off)
}

func (r *Recorder) judgeSpooled(ctx context.Context, sp *spool.Store, e *spool.Entry) (time.Duration, error) {
	began := time.Now()
	file, err := sp.Load(e.ID, mostJudged) // the disk is waited for before others are
	if err != nil {
		return 0, err
	}
	d := e.Describe()
	d.ID, d.State, d.Spool = e.Meta.Recording.ID, e.Meta.Recording.State, nil
	leave, err := r.judge.enter(ctx)
	if err != nil {
		return 0, err
	}
	v, _, err := r.judge.verdict(ctx, file.Dump(), &d)
	leave()
	if err != nil {
		return 0, err
	}
	d.Verdict = v
	return time.Since(began), sp.Judge(e.ID, &d)
}

// Report builds the report on a recording, as recorderctl show -o json has it.
func (r *Recorder) Report(ctx context.Context, id string) (*postmortem.Report, error) {
	leave, err := r.judge.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := r.Dump(ctx, id, replay.Query{Format: replay.FormatRaw}, pw)
		pw.CloseWithError(err) // nil: EOF
		done <- err
	}()
	out, err := report(ctx, pr, nil)
	pr.CloseWithError(io.ErrClosedPipe)
	if derr := <-done; derr != nil && !errors.Is(derr, io.ErrClosedPipe) {
		return nil, derr // it comes first: what the report lacks follows from it
	}
	return out, err
}
