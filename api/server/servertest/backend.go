// Package servertest has a recorder for tests of what is above it: a
// server.Backend with recordings of containers that never were, and dumps as a
// real one would write them.
package servertest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Start is when the first of the recordings began.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Ids of recordings.
const (
	Web     = "3fa40001" // pod shop/web-0, container app: live
	Sidecar = "3fa40002" // pod shop/web-0, container proxy: live
	Crashed = "b7710003" // the instance of Web before it: ended by a signal
	Worker  = "c0de0004" // a plain cgroup named worker: ended with 3
)

// Backend is a recorder. Its exported fields may be set before it is used.
type Backend struct {
	// Before, if set, is called first in each method, with its name and the
	// recording's id; its error is returned.
	Before func(ctx context.Context, method, id string) error
	// Stream, if set, writes a dump instead of the backend.
	Stream func(ctx context.Context, id string, q replay.Query, w io.Writer) error
	// NotReady is what Ready returns.
	NotReady error
	// Info is what Status returns.
	Info api.Status

	mu   sync.Mutex
	recs []api.Recording
}

// New returns a backend with four recordings.
func New() *Backend {
	at := func(s int) time.Time { return Start.Add(time.Duration(s) * time.Second) }
	pod := func(name string) *api.Pod {
		return &api.Pod{Namespace: "shop", Name: name, UID: "7c1f", Labels: map[string]string{"app": "web", "tier": "front"}}
	}
	rec := func(id string, started int) api.Recording {
		return api.Recording{
			ID: id, State: api.StateLive, Node: "node1", Started: at(started), Tasks: api.Tasks{Live: 2, Ever: 3, Execs: 1},
			Coverage: api.Coverage{Written: 5, Kept: 3, Overwritten: 2, Guarded: 1},
			Ring:     api.Ring{Slot: 1, Size: 1 << 20, Memory: 1 << 20},
		}
	}
	crashed, web, sidecar, worker := rec(Crashed, 0), rec(Web, 60), rec(Sidecar, 1), rec(Worker, 90)
	ended, ended2 := at(50), at(95)
	crashed.State, crashed.Ended, crashed.Pod = api.StateEnded, &ended, pod("web-0")
	crashed.Verdict = &api.Verdict{
		Text: "killed by SIGSEGV (SEGV_MAPERR at 0x8) in main thread 1 (app)", Spoken: "its last words on stderr", Words: `no "cart"`, How: "killed",
		Cause: "null-pointer", Fingerprint: "5e6f00112233", Rules: postmortem.RulesVersion,
	}
	web.Verdict = &api.Verdict{Text: "running", How: "running", Cause: "running", Rules: postmortem.RulesVersion}
	crashed.Exit = &api.Exit{Signal: "SIGSEGV", CoreDumped: true, At: ended, Source: "kernel"}
	crashed.Container = api.Container{ID: "aaaa1111", Name: "app", Runtime: "containerd", Namespace: "k8s.io", Image: "shop/web:1", Cgroup: "/kubepods/podx/aaaa1111"}
	web.Pod = pod("web-0")
	web.Container = api.Container{ID: "bbbb2222", Name: "app", Runtime: "containerd", Namespace: "k8s.io", Image: "shop/web:1", Cgroup: "/kubepods/podx/bbbb2222", Labels: map[string]string{"io.kubernetes.container.name": "app"}}
	sidecar.Pod = pod("web-0")
	sidecar.Container = api.Container{ID: "cccc3333", Name: "proxy", Runtime: "containerd", Namespace: "k8s.io", Image: "envoy:\x1b[31m2", Cgroup: "/kubepods/podx/cccc3333"}
	worker.State, worker.Ended = api.StateEnded, &ended2
	worker.Exit = &api.Exit{Code: 3, At: ended2, Source: "kernel"}
	worker.Container = api.Container{Name: "worker", Cgroup: "/recorderctl/worker", Command: []string{"./worker", "-v"}}
	return &Backend{
		recs: []api.Recording{crashed, sidecar, web, worker},
		Info: api.Status{
			Version: "v1.2.3", Node: "node1", Kernel: "6.12.1", Arch: "x86_64", Started: Start,
			Cgroups:       api.CgroupStatus{Hierarchy: "v2", Mount: "/sys/fs/cgroup", Watched: []string{"/kubepods", "/recorderctl"}},
			Rings:         api.RingStatus{Live: 2, Ended: 2, Spare: 4, Size: 1 << 20, Bytes: 8 << 20, Budget: 256 << 20},
			Memory:        api.MemoryStatus{Live: 2 << 20, Ended: 1 << 20, Kept: 1 << 20, Spare: 4 << 20, Maps: 1 << 20, Daemon: 20 << 20},
			Spool:         api.SpoolStatus{Dir: "/var/lib/recorderd/spool", Files: 3, Bytes: 1 << 20, Limit: 1 << 30, Saved: 4, Refused: map[string]uint64{"rate": 1}},
			Ends:          []api.EndCount{{How: "exited", Cause: "words", Count: 1}, {How: "killed", Cause: "null-pointer", Count: 2}},
			Calls:         api.CallStatus{Written: 2000113, Overwritten: 1000},
			Lost:          api.LostStatus{FoundLate: 1, Missed: map[string]uint64{"sys_exit": 2}},
			Runtimes:      []api.RuntimeInfo{{Name: "containerd", Address: "/run/containerd/containerd.sock", Connected: true, Version: "v2.0.1", Containers: 3}},
			RecordingRate: 12.5,
		},
	}
}

// Add adds a recording.
func (b *Backend) Add(r api.Recording) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recs = append(b.recs, r)
}

// Set puts a recording in the place of that of the same id, or adds it.
func (b *Backend) Set(r api.Recording) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recs = append(slices.DeleteFunc(b.recs, func(old api.Recording) bool { return old.ID == r.ID }), r)
}

// Recordings returns a copy of what there is.
func (b *Backend) Recordings() []api.Recording {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.recs)
}

func (b *Backend) before(ctx context.Context, method, id string) error {
	if b.Before == nil {
		return nil
	}
	return b.Before(ctx, method, id)
}

// List implements server.Backend.
func (b *Backend) List(ctx context.Context) ([]api.Recording, error) {
	return b.Recordings(), b.before(ctx, "List", "")
}

// Activity implements server.Backend.
func (b *Backend) Activity(ctx context.Context) (map[string]api.Activity, error) {
	return map[string]api.Activity{Web: {Failed: 2, Blocked: 1}}, b.before(ctx, "Activity", "")
}

// Dump implements server.Backend.
func (b *Backend) Dump(ctx context.Context, id string, q replay.Query, w io.Writer) error {
	if err := b.before(ctx, "Dump", id); err != nil {
		return err
	}
	if b.Stream != nil {
		return b.Stream(ctx, id, q, w)
	}
	rec, err := b.get(id)
	if err != nil {
		return err
	}
	_, err = w.Write(Dump(rec))
	return err
}

// Report implements server.Backend.
func (b *Backend) Report(ctx context.Context, id string) (*postmortem.Report, error) {
	if err := b.before(ctx, "Report", id); err != nil {
		return nil, err
	}
	rec, err := b.get(id)
	if err != nil {
		return nil, err
	}
	d, err := dump.NewReader(bytes.NewReader(Dump(rec)))
	if err != nil {
		return nil, err
	}
	return postmortem.Build(d, postmortem.Options{})
}

// Freeze implements server.Backend.
func (b *Backend) Freeze(ctx context.Context, id string) error {
	return b.freeze(ctx, "Freeze", id, true)
}

// Resume implements server.Backend.
func (b *Backend) Resume(ctx context.Context, id string) error {
	return b.freeze(ctx, "Resume", id, false)
}

func (b *Backend) freeze(ctx context.Context, method, id string, frozen bool) error {
	if err := b.before(ctx, method, id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.recs {
		if r := &b.recs[i]; r.ID == id {
			if r.State != api.StateLive {
				return api.Errorf(api.CodeConflict, "recording %s has ended", id)
			}
			r.Frozen = frozen
		}
	}
	return nil
}

// Save implements server.Backend.
func (b *Backend) Save(ctx context.Context, id string) (api.Recording, error) {
	if err := b.before(ctx, "Save", id); err != nil {
		return api.Recording{}, err
	}
	rec, err := b.get(id)
	if rec.State == api.StateLive {
		rec.ID += "-1"
	}
	rec.State, rec.Spool = api.StateSpooled, &api.SpoolInfo{Reason: "saved", SavedAt: Start, Bytes: 3 << 20}
	return rec, err
}

// Costs implements server.Backend.
func (b *Backend) Costs(ctx context.Context, d time.Duration) (api.CostStatus, error) {
	return api.CostStatus{Seconds: d.Seconds(), CPUs: 2, Programs: map[string]api.ProgramCost{"on_sys_exit": {Runs: 1000, Ns: 250_000}}}, b.before(ctx, "Costs", "")
}

// Delete implements server.Backend.
func (b *Backend) Delete(ctx context.Context, id string) error {
	if err := b.before(ctx, "Delete", id); err != nil {
		return err
	}
	rec, err := b.get(id)
	if err != nil {
		return err
	}
	if rec.State == api.StateLive {
		return api.Errorf(api.CodeConflict, "recording %s is live: only one that has ended can be deleted", id)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recs = slices.DeleteFunc(b.recs, func(r api.Recording) bool { return r.ID == id })
	return nil
}

// Status implements server.Backend.
func (b *Backend) Status(ctx context.Context) (api.Status, error) {
	return b.Info, b.before(ctx, "Status", "")
}

// Ready implements server.Backend.
func (b *Backend) Ready() error { return b.NotReady }

func (b *Backend) get(id string) (api.Recording, error) {
	for _, r := range b.Recordings() {
		if r.ID == id {
			return r, nil
		}
	}
	return api.Recording{}, api.Errorf(api.CodeNotFound, "recording %s is gone", id)
}

// Dump returns a raw dump of a recording: one thread that reads its configuration
// in vain, says so and exits.
func Dump(rec api.Recording) []byte {
	var b bytes.Buffer
	w := dump.NewWriter(&b)
	must(w.Header(Header(rec)))
	must(w.Task(&layout.TaskInfo{Tid: 4242, Tgid: 4242, NsTid: 7, NsTgid: 7, Start: 1e9, FirstComm: comm("app"), Comm: comm("app")}))
	for _, r := range records() {
		must(w.Record(dump.FrameMain, record.Append(nil, &r)))
	}
	must(w.Close())
	return b.Bytes()
}

// Header returns the header of a recording's dump.
func Header(rec api.Recording) *dump.Header {
	return &dump.Header{
		Recording: rec, Arch: record.ArchX86_64, PageSize: 4096, Version: "v1.2.3", Kernel: "6.12.1", Node: "node1",
		Clock: dump.Clock{MonotonicNs: 10e9, Realtime: Start.Add(10 * time.Second)}, Taken: Start.Add(20 * time.Second),
		Layout: layout.RecorderLayout,
	}
}

// records are system calls of x86-64.
func records() []record.Record {
	at := ^uint64(99) // AT_FDCWD
	return []record.Record{
		{
			Type: layout.RecCall, Time: 11e9, Dur: 12_000, Tid: 4242, Nr: 257, Ret: -2, Args: [6]uint64{at, 0x7f0000001000},
			Items: []record.Item{{Arg: 1, Kind: layout.ItemStr, Data: []byte("/etc/app.conf")}},
		},
		{Type: layout.RecCall, Time: 12e9, Dur: 1_000, Tid: 4242, Nr: 39, Ret: 7},
		{
			Type: layout.RecCall, Time: 13e9, Dur: 9_000, Tid: 4242, Nr: 1, Ret: 10, Args: [6]uint64{2, 0x7f0000002000, 10},
			Items: []record.Item{{Arg: 1, Kind: layout.ItemData, Data: []byte("no config\n")}},
		},
	}
}

func comm(s string) (c [layout.CommLen]byte) {
	copy(c[:], s)
	return c
}

// must is for what cannot fail: writing to memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
