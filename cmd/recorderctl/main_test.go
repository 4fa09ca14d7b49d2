package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/spool"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"recorderctl": main})
}

// TestScripts runs testdata/script against a server with recordings that never
// were. $RECORDER_SOCKET is its socket.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"oneline":  oneLine,
			"truncate": truncate,
			"damage":   damage,
			"strip":    strip,
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Getuid() == 0, nil
			case "cgroup2":
				return cgroupMount(unix.CGROUP2_SUPER_MAGIC) != "", nil
			case "cgroup1":
				return cgroupMount(unix.CGROUP_SUPER_MAGIC) != "", nil
			}
			return false, errors.New("unknown condition")
		},
	})
}

// setup starts two servers, whose cgroups are those of v2 and of a v1 hierarchy.
func setup(env *testscript.Env) error {
	root := "/recorderctl-test-" + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(env.WorkDir)
	env.Setenv("ROOT", root)
	env.Setenv("NO_COLOR", "")
	env.Setenv("PAGER", "") // an empty one is none
	real, err := filepath.Abs("../../recorder/replay/testdata/real.rec")
	if err != nil {
		return err
	}
	env.Setenv("REAL", real)
	if err := os.Chmod(filepath.Join(env.WorkDir, "bin", "less"), 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	env.Setenv("TZ", "UTC")
	for _, kind := range []struct {
		name string
		v2   bool
	}{{"RECORDER_SOCKET", true}, {"V1_SOCKET", false}} {
		magic := int64(unix.CGROUP_SUPER_MAGIC)
		if kind.v2 {
			magic = unix.CGROUP2_SUPER_MAGIC
		}
		b := servertest.New()
		b.Info.Cgroups.Mount = cgroupMount(magic)
		b.Info.Cgroups.Watched = append(b.Info.Cgroups.Watched, root)
		b.Before = appear(b, root)
		b.Stream = stream(b)
		socket := filepath.Join(env.WorkDir, "."+kind.name)
		ln, err := server.Listen(socket, "")
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		srv := server.HTTP(server.New(b, server.Options{Version: "v1.2.3", Log: log}), log)
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.Serve(ln)
		}()
		env.Defer(func() {
			srv.Close()
			<-done
			if b.Info.Cgroups.Mount != "" {
				os.Remove(b.Info.Cgroups.Mount + root)
			}
		})
		env.Setenv(kind.name, socket)
		env.Setenv(kind.name+"_MOUNT", b.Info.Cgroups.Mount)
	}
	rec := servertest.New().Recordings()[3]
	raw := servertest.Dump(rec)
	var spooled bytes.Buffer
	w := spool.NewWriter(&spooled, &spool.Meta{Recording: rec, Reason: spool.Reason{Kind: spool.KindSignal}, Saved: time.Now()})
	if _, err := w.Write(raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(env.WorkDir, "worker.recspool"), spooled.Bytes(), 0o600); err != nil {
		return err
	}
	beside := `{"version":1,"recording":{"id":"` + rec.ID + `","container":{"name":"late","cgroup":"/x"},"verdict":{"text":"it is judged","how":"exited","cause":"words","rules":9999}}}`
	if err := os.WriteFile(filepath.Join(env.WorkDir, "worker.verdict.beside"), []byte(beside), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "worker.rec"), raw, 0o600)
}

// strip FILE takes the colours out of it.
func strip(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	ts.Check(os.WriteFile(name, regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAll(b, nil), 0o600))
}

// damage FILE N [TEXT] flips a bit of the byte N behind TEXT, or behind the beginning.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	if len(args) > 2 {
		i := bytes.Index(b, []byte(args[2]))
		if i < 0 {
			ts.Fatalf("there is no %q in %s", args[2], args[0])
		}
		n += i
	}
	b[n] ^= 1
	ts.Check(os.WriteFile(name, b, 0o600))
}

// appear lists a recording for each cgroup below root, as if it had been recorded.
func appear(b *servertest.Backend, root string) func(context.Context, string, string) error {
	return func(_ context.Context, method, _ string) error {
		procs, _ := filepath.Glob(b.Info.Cgroups.Mount + root + "/*/cgroup.procs")
		for _, p := range procs {
			path := strings.TrimPrefix(filepath.Dir(p), b.Info.Cgroups.Mount)
			if !slices.ContainsFunc(b.Recordings(), func(r api.Recording) bool { return r.Container.Cgroup == path }) {
				rec := b.Recordings()[3]
				rec.ID, rec.State, rec.Started = "9999"+filepath.Base(path), api.StateEnded, time.Now()
				rec.Container.Name, rec.Container.Cgroup = filepath.Base(path), path
				rec.Verdict = &api.Verdict{Text: "it was judged \x1b[31m"}
				b.Add(rec)
			}
		}
		return nil
	}
}

// stream writes dumps as the backend does, but one that breaks off and one that is endless.
func stream(b *servertest.Backend) func(context.Context, string, replay.Query, io.Writer) error {
	return func(ctx context.Context, id string, q replay.Query, w io.Writer) error {
		for _, r := range b.Recordings() {
			whole := servertest.Dump(r)
			switch {
			case r.ID != id:
			case id == servertest.Sidecar:
				w.Write(whole[:len(whole)-60])
				return errors.New("the ring is gone")
			case id == servertest.Crashed:
				dw := dump.NewWriter(w)
				var err error
				for err == nil && ctx.Err() == nil {
					err = dw.Header(servertest.Header(r))
				}
				return err
			default:
				_, err := w.Write(whole)
				return err
			}
		}
		return api.Errorf(api.CodeNotFound, "recording %s is gone", id)
	}
}

func cgroupMount(magic int64) string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpuset"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == magic {
			return dir
		}
	}
	return ""
}

// exits STATUS CMD ARG... runs a command that must exit with the status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS CMD ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want, _ := strconv.Atoi(args[0]); status != want {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

// oneline checks that standard error is one line of recorderctl's.
func oneLine(ts *testscript.TestScript, neg bool, _ []string) {
	msg := ts.ReadFile("stderr")
	if !strings.HasPrefix(msg, "recorderctl: ") || strings.Count(msg, "\n") != 1 || strings.Contains(msg, "failed to") {
		ts.Fatalf("not one line of recorderctl: %q", msg)
	}
}

// truncate FILE N cuts the last N bytes off.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	fi, err := os.Stat(name)
	ts.Check(err)
	ts.Check(os.Truncate(name, fi.Size()-int64(n)))
}

// TestDependencies catches a command line that drags BPF or a runtime's client along, or
// those parts of Kubernetes' client that would double it.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}",
		".", "../../recorder/replay", "../../recorder/postmortem", "../../recorder/dump", "../../recorder/record", "../../recorder/spool", "../../api/client").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, bad := range []string{
			"github.com/cilium/ebpf", "github.com/containerd/", "google.golang.org/grpc", "github.com/prometheus/", "github.com/gorilla/mux",
			"k8s.io/client-go/kubernetes", "k8s.io/client-go/informers", "k8s.io/cli-runtime", "helm.sh/", "sigs.k8s.io/kustomize",
			"github.com/recorderd/recorderd/bpf", "github.com/recorderd/recorderd/api/server",
		} {
			if strings.HasPrefix(dep, bad) {
				t.Errorf("recorderctl or the decoder depends on %s", dep)
			}
		}
		if dep == "github.com/recorderd/recorderd/recorder" {
			t.Errorf("recorderctl or the decoder depends on the daemon, %s", dep)
		}
	}
}

// TestHungUp catches that a recorderd which hangs up, as one does that has too many
// connections, passes for an output that nobody reads: nothing was done, and the exit
// status says that all is well.
func TestHungUp(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for range 300 { // what the client sees first is a matter of luck
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), []string{"recorderctl", "--socket", socket, "freeze", "app"}, nil, &stdout, &stderr); status != statusError || !strings.Contains(stderr.String(), "closed the connection") {
			t.Fatalf("status %d, %q", status, stderr.String())
		}
	}
	cut := fmt.Errorf("connection to node n is cut: %w", &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)})
	if nobodyReads(cut) || !nobodyReads(&os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}) {
		t.Error("a connection that breaks is taken for an output that nobody reads, or the other way round")
	}
}

// TestDumpCommand catches a hint that leads to another cluster than the one it is about.
func TestDumpCommand(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"recorderctl show web", "recorderctl dump web"},
		{"recorderctl show --socket /run/s web --previous", "recorderctl --socket /run/s dump web --previous"},
		{"recorderctl show --context prod --as jane --as-group a --as-group b pod/web -n shop -c app", "recorderctl --context prod --as jane --as-group a --as-group b dump pod/web -n shop -c app"},
		{"kubectl-recorder show --node n1 web", "kubectl recorder --node n1 dump web"},
	} {
		args := strings.Fields(tc.args)
		a := newApp(args[0], io.Discard)
		root := a.root()
		cmd, rest, err := root.Find(args[1:])
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Fatal(err)
		}
		var sel target.Selector
		sel.Namespace, _ = cmd.Flags().GetString("namespace")
		sel.Container, _ = cmd.Flags().GetString("container")
		sel.Previous, _ = cmd.Flags().GetBool("previous")
		if got := a.dumpCommand(cmd, cmd.Flags().Args()[0], &sel); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.args, got, tc.want)
		}
	}
}

// TestOneNodeAway catches targets that are left out without a word because the node of one
// before them does not answer.
func TestOneNodeAway(t *testing.T) {
	away := &client.UnreachableError{Addr: "n1", Said: "no answer"}
	for _, tc := range []struct {
		err  error
		want int
	}{
		{&cluster.NodeError{Node: "n1", Err: away}, 3},
		{&cluster.PartialError{Nodes: []*cluster.NodeError{{Node: "n1", Err: away}}, Asked: 1}, 3},
		{&cluster.PartialError{Nodes: []*cluster.NodeError{{Node: "n1", Err: away}, {Node: "n2", Err: away}}, Asked: 2}, 1},
		{away, 1}, // the daemon of this machine, or the cluster
	} {
		a := newApp("recorderctl", io.Discard)
		root := a.root()
		asked := 0
		root.AddCommand(a.action(&cobra.Command{Use: "try"}, action{do: func(recorders, context.Context, string, target.Selector) (api.Recording, error) {
			asked++
			return api.Recording{}, tc.err
		}}))
		root.SetArgs([]string{"try", "--socket", "/nonexistent", "a", "b", "c"})
		if err := root.ExecuteContext(t.Context()); !errors.Is(err, tc.err) || asked != tc.want {
			t.Errorf("%v: %v, %d of 3 were asked, want %d", tc.err, err, asked, tc.want)
		}
	}
}
