package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/calmlog"
	"github.com/recorderd/recorderd/internal/manpages"
	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/internal/version"
	"github.com/recorderd/recorderd/recorder"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/kubernetes"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/privacy"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/spool"
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}

// options are the flags.
type options struct {
	config       recorder.Config
	socket       string
	group        string
	readyFile    string
	ringSize     size.Bytes
	budget       size.Bytes
	stdio        size.Bytes
	stdioFiles   bool
	dns          bool
	data         size.Bytes
	spoolSize    size.Bytes
	spoolFree    size.Bytes
	logLevel     string
	file         string // configuration
	fileOptional bool
	mute         []string // expressions
	blank        []string // patterns
	noArgs       bool
	forbidden    []string          // settings that annotations cannot make
	rules        []policy.Rule     // the file's
	values       map[string]string // of the flags, with what the file says
	bytes        []byte            // the file's
	where        func(*flagError) error
	ignored      []string // keys of the file that the command line overrides
	broken       error    // why the file is not in force, but a copy of the last good one
	refused      []byte   // the file's then, if it could be read
	flagState    string   // the state directory by the flags alone

	kubernetes string // auto, on or off
	kubeconfig string
	pod        string // NAMESPACE/NAME of the pod that this is
}

// command is the whole command line, of which these are the arguments.
func command(args []string) *cobra.Command {
	o := defaults()
	checkOnly := false
	cmd := &cobra.Command{
		Use:   "recorderd",
		Short: "Record the system calls of every container on this node",
		Long: `recorderd writes the system calls of every container into an overwritable ring of
the container's own, and serves them on a Unix socket: recorderctl list, recorderctl
dump. It needs a kernel from 5.15 on with type information (BTF), and root or the
capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; it gives up all others.

Containers of Kubernetes, containerd, Docker, CRI-O and Podman are found by
themselves. The programs and rings are pinned below --pin-dir and go on recording
when recorderd ends; the next recorderd takes them over. --clean takes them away.

--check-config says all that is wrong with the flags and the configuration file, a line
for each, and ends with status 1, or 0 if there is nothing. It needs no rights, and looks
at no kernel.

Exit status: 0 ended by a signal, 1 error, 2 usage, 3 this kernel or process cannot
record, 4 another recorderd has the pin directory or the socket.`,
		Args:          noArgs,
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags()
			if checkOnly {
				return checkConfig(cmd.OutOrStdout(), args)
			}
			o, err := load(given)
			if err != nil {
				return usageError{err}
			}
			return o.runOrLastGood(cmd.Context(), given)
		},
	}
	cmd.AddCommand(uninstallCommand(), versionCommand(), manpages.Command("8"))
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c != cmd {
			return usageError{err}
		}
		m := mistakesOf(args)
		if all := errors.Join(m.errs...); m.checkOnly {
			return all
		} else if all != nil {
			err = all
		}
		return usageError{err}
	})
	cmd.SetArgs(args)
	cmd.Flags().SortFlags = false
	o.flags(cmd.Flags())
	cmd.Flags().BoolVar(&checkOnly, checkFlag, false, "say what is wrong with the flags and the configuration file, and end")
	cmd.Flags().Lookup("node").DefValue = "" // not the machine's where the manual is made
	return cmd
}

func defaults() *options {
	o := &options{ringSize: 1 << 20, budget: 256 << 20, stdio: 512}
	o.config.Spool = spool.DefaultLimits()
	o.spoolSize, o.spoolFree = size.Bytes(o.config.Spool.MaxBytes), size.Bytes(o.config.Spool.MinFree)
	return o
}

// flags adds the flags to a set.
func (o *options) flags(f *pflag.FlagSet) {
	node := os.Getenv("NODE_NAME")
	if node == "" {
		node, _ = os.Hostname()
	}
	f.BoolVar(&o.fileOptional, "config-optional", false, "the --config file may be missing; it is read when it appears")
	f.StringVar(&o.file, "config", "", "file with settings by the names of these flags, and rules by container (docs/configuration.md); read again when it changes")
	f.StringVar(&o.socket, "socket", "/run/recorderd/recorderd.sock", "Unix socket to serve on")
	f.StringVar(&o.group, "socket-group", "", "group that may use the socket besides root")
	f.StringVar(&o.config.PinDir, "pin-dir", "/sys/fs/bpf/recorderd", "directory on a BPF file system for programs and rings")
	f.StringVar(&o.config.StateDir, "state-dir", "/var/lib/recorderd", "directory for dumps of crashes and names of recordings; empty keeps nothing on disk")
	f.StringSliceVar(&o.config.SpoolOn, "spool-on", recorder.SpoolKinds, "ends of containers that write a dump: exit (status not 0), signal, oom, vanished (not seen to end), completed (status 0, and Kubernetes or a rule says that it matters), and child-oom (the OOM killer took a process of one that lives on); none")
	f.DurationVar(&o.config.Hang, "hang", 0, "write a dump of a container that lives when all its threads have hung for so long, at least a minute; 0: none")
	f.Var(&o.spoolSize, "spool-size", "size of all dumps on disk; the oldest goes first, the first crash of a loop last")
	f.Var(&o.spoolFree, "spool-free", "space that stays free on the disk")
	f.DurationVar(&o.config.Spool.MaxAge, "spool-age", o.config.Spool.MaxAge, "time that the node runs until a dump on disk is removed")
	f.IntVar(&o.config.Spool.KeepFirst, "spool-first", o.config.Spool.KeepFirst, "crashes of one container in a row that are all kept; of those that follow one in each --spool-interval, and the latest")
	f.DurationVar(&o.config.Spool.Interval, "spool-interval", o.config.Spool.Interval, "time between two crashes of one container that are kept when it goes on crashing")
	f.IntVar(&o.config.Spool.Burst, "spool-burst", o.config.Spool.Burst, "dumps of crashes that are written at once, of all containers; then one every 10s; 0: no limit")
	f.Var(&o.ringSize, "ring-size", "memory for the calls of one container, a power of two from 64KiB to 64MiB")
	f.Var(&o.budget, "memory-budget", "memory for all rings and ended recordings together; the oldest ended one goes first")
	f.DurationVar(&o.config.KeepMin, "keep-min", 10*time.Minute, "time that ended recordings are kept in memory, if live containers leave room for it")
	f.IntVar(&o.config.KeepLast, "keep-last", 3, "ended recordings of each container that go last")
	f.StringArrayVar(&o.config.Watch, "watch", nil, "path of a cgroup in the tracked hierarchy; each cgroup below it that gets a task is a container")
	f.BoolVar(&o.config.OnlyWatched, "watch-only", false, "record below the cgroups given with --watch alone, and not the containers that are found by themselves")
	f.BoolVar(&o.config.RecordSelf, "record-self", false, "record the container that recorderd itself runs in, too")
	f.StringVar(&o.config.Hierarchy, "cgroup-hierarchy", "auto", "cgroup hierarchy by which containers are told apart: auto, v2, or a v1 controller")
	f.Var(&o.stdio, "capture-stdio", "bytes kept of each write to or read from descriptors 1 and 2, if they are pipes, terminals or a log's socket")
	f.BoolVar(&o.dns, "capture-dns", true, "keep messages to and from port 53, up to 512 bytes: which names were asked for, and what came of it")
	f.BoolVar(&o.stdioFiles, "capture-stdio-files", false, "keep that of descriptors 1 and 2 whatever they are: files, /dev/null, connections")
	f.Var(&o.data, "capture-data", "bytes kept of each other read and write; 0 keeps none, at most 4KiB")
	f.Var(&list{&o.mute, func(s string) error { _, err := replay.ParseExpr(s); return err }}, "mute", "calls that are not recorded, in the kernel already: names, %classes and /regular expressions/ as recorderctl dump -e takes them (futex,clock_gettime)")
	f.BoolVar(&o.noArgs, "no-args", false, "tell of command lines the program only")
	f.Var(&list{&o.blank, func(s string) error { _, err := privacy.Split(s); return err }}, "blank", "blank what matches before anything leaves recorderd: "+strings.Join(slices.Sorted(maps.Keys(privacy.Names())), ", ")+", or /regular expressions/")
	f.StringSliceVar(&o.forbidden, "forbid-annotations", nil, "settings that pods and namespaces cannot make by annotation, such as off: "+strings.Join(policy.Names(), ", "))
	f.StringArrayVar(&o.config.Containerd.Addresses, "containerd", nil, "socket of containerd (default: "+strings.Join(containerd.DefaultAddresses, ", ")+")")
	f.StringVar(&o.config.Node, "node", node, "name of this node in Kubernetes, in lists and dumps; $NODE_NAME if that is set")
	f.StringVar(&o.kubernetes, "kubernetes", "auto", "ask the API server for the names of this node's pods: on, off, or auto, in a pod and with --kubeconfig")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that says how to reach the API server (default: the service account of the pod that this is)")
	f.StringVar(&o.pod, "pod", "", "NAMESPACE/NAME of the pod that this is; if it ends because its DaemonSet was deleted, programs and recordings are taken off the node")
	f.StringVar(&o.readyFile, "ready-file", "", "file to make when every container is being recorded")
	f.BoolVar(&o.config.Clean, "clean", false, "take the programs and all recordings away at the end")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
}

// flagError says what is wrong with a flag's value.
type flagError struct {
	name string
	err  error
}

func (e *flagError) Error() string { return "--" + e.name + " " + e.err.Error() }
func (e *flagError) Unwrap() error { return e.err }

// check returns all that is wrong with the values of flags, and where it stands.
func (o *options) check() error {
	var errs []error
	fail := func(name, format string, args ...any) {
		errs = append(errs, o.at(&flagError{name, fmt.Errorf(format, args...)}))
	}
	if n := uint64(o.ringSize); n < 64<<10 || n > 64<<20 || n&(n-1) != 0 {
		fail("ring-size", "%s: want a power of two from 64KiB to 64MiB", o.ringSize)
	}
	for _, kind := range o.config.SpoolOn {
		if !slices.Contains(recorder.SpoolKinds, kind) && (kind != "none" || len(o.config.SpoolOn) > 1) {
			fail("spool-on", "%s: want some of %s, or none", kind, strings.Join(recorder.SpoolKinds, ", "))
		}
	}
	if h := o.config.Hang; h != 0 && h < recorder.HangAfter {
		fail("hang", "%s: want 0, or at least %s: a container hangs when its threads have been in calls for so long", h, recorder.HangAfter)
	}
	for _, name := range o.forbidden {
		if !slices.Contains(policy.Names(), name) {
			fail("forbid-annotations", "%s: want some of %s", name, strings.Join(policy.Names(), ", "))
		}
	}
	s := &o.config.Spool
	for _, f := range []struct {
		name string
		bad  bool
	}{
		{"keep-min", o.config.KeepMin < 0}, {"keep-last", o.config.KeepLast < 0}, {"spool-age", s.MaxAge < 0},
		{"spool-first", s.KeepFirst < 0}, {"spool-interval", s.Interval < 0}, {"spool-burst", s.Burst < 0},
	} {
		if f.bad {
			fail(f.name, "is below 0: want 0 or more")
		}
	}
	if o.spoolSize < 1<<20 {
		fail("spool-size", "%s: want at least 1MiB", o.spoolSize)
	}
	for _, f := range []struct {
		name string
		v    size.Bytes
	}{{"capture-stdio", o.stdio}, {"capture-data", o.data}} {
		if f.v > policy.CaptureMax {
			fail(f.name, "%s: want at most 4KiB", f.v)
		}
	}
	if o.kubernetes != "auto" && o.kubernetes != "on" && o.kubernetes != "off" {
		fail("kubernetes", "%s: want auto, on or off", o.kubernetes)
	}
	if ns, name, ok := strings.Cut(o.pod, "/"); o.pod != "" && (!ok || ns == "" || name == "" || strings.Contains(name, "/")) {
		fail("pod", "%s: want NAMESPACE/NAME", o.pod)
	}
	if _, err := o.level(); err != nil {
		fail("log-level", "%s: want debug, info, warn or error", o.logLevel)
	}
	return errors.Join(errs...)
}

// at says where a flag's value stands, if that is in the file.
func (o *options) at(e *flagError) error {
	if o.where == nil {
		return e
	}
	return o.where(e)
}

func (o *options) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return level, fmt.Errorf("log level %q: %w", o.logLevel, err)
	}
	return level, nil
}

// policy is how containers are recorded. The options have been checked.
func (o *options) policy() policy.Policy {
	p := policy.Policy{Base: policy.Settings{Mute: o.mute, CaptureStdio: &o.stdio, CaptureStdioFiles: &o.stdioFiles, CaptureDNS: &o.dns, CaptureData: &o.data, NoArgs: &o.noArgs}, Rules: o.rules, Forbidden: o.forbidden}
	for _, s := range o.blank {
		if patterns, err := privacy.Split(s); err == nil {
			p.Base.Blank = append(p.Base.Blank, patterns...)
		}
	}
	return p
}

// pods says where the names of pods come from; nil: nowhere.
func (o *options) pods() *kubernetes.Config {
	if o.kubernetes == "off" || o.kubernetes == "auto" && o.kubeconfig == "" && !kubernetes.InPod() {
		return nil
	}
	return &kubernetes.Config{Kubeconfig: o.kubeconfig, Node: o.config.Node}
}

// logLimits bound what containers and clients can make the log say.
var logLimits = calmlog.Limits{Burst: 50, Every: 2 * time.Second, By: []string{"peer.uid"}}

// installation knows whether this is uninstalled from a cluster; nil: it is not in one.
func (o *options) installation(log *slog.Logger) (*kubernetes.Installation, error) {
	pods := o.pods()
	if pods == nil || o.pod == "" {
		return nil, nil
	}
	namespace, name, _ := strings.Cut(o.pod, "/")
	return kubernetes.NewInstallation(kubernetes.InstallationConfig{Kubeconfig: pods.Kubeconfig, Namespace: namespace, Pod: name, Log: log})
}

// uninstalled runs the installation until a daemon that ends because of its context knows
// whether that was uninstalled, which the returned function then tells.
func uninstalled(ctx context.Context, in *kubernetes.Installation) func() bool {
	if in == nil {
		return func() bool { return false }
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	go in.Run(running)
	removed := make(chan bool, 1)
	go func() {
		<-ctx.Done()
		defer stop()
		removed <- in.Removed(running)
	}()
	return func() bool { return ctx.Err() != nil && <-removed }
}

// run records until the context ends.
func (o *options) run(ctx context.Context, given *pflag.FlagSet) error {
	// From the beginning, and without a file, too: whoever wants it read again does not want
	// the daemon to end, as the signal has it otherwise.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	var level slog.LevelVar
	if l, err := o.level(); err == nil {
		level.Set(l)
	}
	log := slog.New(calmlog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &level}), logLimits))
	klog.SetSlogLogger(log) // of the Kubernetes client
	cfg := o.config
	cfg.RingSize, cfg.MemoryBudget = uint64(o.ringSize), uint64(o.budget)
	cfg.Spool.MaxBytes, cfg.Spool.MinFree = int64(o.spoolSize), int64(o.spoolFree)
	if len(cfg.SpoolOn) == 1 && cfg.SpoolOn[0] == "none" {
		cfg.SpoolOn = nil
	}
	cfg.CaptureStdio, cfg.CaptureData = uint32(o.stdio), uint32(o.data)
	cfg.Version, cfg.Log = version.String(), log
	cfg.Policy = o.policy()
	cfg.Kubernetes = o.pods()
	cfg.Watch = append([]string{api.RunRoot}, cfg.Watch...)

	// First what can be refused without a trace. Who is not root shall not be told of directories.
	if err := bpf.Allowed(); err != nil {
		return err
	}
	// Clients that connect now wait.
	ln, err := server.Listen(o.socket, o.group)
	if err != nil {
		return startError{err}
	}
	defer ln.Close()
	var groups []uint32
	if o.group != "" {
		gid, err := server.GroupID(o.group)
		if err != nil {
			return startError{err}
		}
		groups = append(groups, gid)
	}
	if o.readyFile != "" { // of a recorderd that was killed
		if err := os.Remove(o.readyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("remove the ready file of an earlier recorderd", "error", err)
		}
	}
	if err := bpf.Mount(cfg.PinDir); err != nil {
		return startError{err}
	}
	if err := dropRights(log); err != nil {
		return err
	}
	in, err := o.installation(log)
	if err != nil {
		return startError{err}
	}
	rec, err := recorder.New(cfg)
	if err != nil {
		return startError{err}
	}
	removed := uninstalled(ctx, in) // of the signal's context: other ends are no uninstallation
	var state configState
	state.set(o.file, o.broken, o.broken != nil, o.ignored)
	if o.broken != nil {
		log.Error("the configuration is broken: the last good one is in force", "error", o.broken)
	}
	o.tellIgnored(log)
	handler := server.New(backend{rec, &state}, server.Options{Version: cfg.Version, Log: log, Notice: state.notice})
	srv := server.HTTP(handler, log, groups...)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-served:
			if !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serve on %s: %w", o.socket, err))
			}
		case <-ctx.Done():
		}
	}()
	again := reloader{given: given, now: o, rec: rec, log: log, level: &level, state: &state}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		again.run(ctx, hup)
	}()
	defer func() { <-ended }()
	defer cancel(nil)
	err = rec.Run(ctx, func() {
		if o.broken == nil {
			o.keepGood(log)
		}
		o.tellReady(log)
	})
	daemon.SdNotify(false, daemon.SdNotifyStopping) //nolint:errcheck // without systemd there is nobody to tell
	if o.readyFile != "" {
		os.Remove(o.readyFile)
	}
	clean := cfg.Clean
	if removed() {
		log.Info("the DaemonSet was deleted: programs and recordings are taken off the node")
		rec.CleanAtClose()
		clean = true
	}
	if err := shutdown(srv, handler); err != nil && !clean {
		// They may need what Close lets go of. The end of the process does that, too.
		log.Warn("requests are still under way", "error", err)
	} else {
		rec.Close()
	}
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// How long requests may take to end by themselves, and how long once they are broken
// off: one that waits for a disk cannot be.
const (
	shutdownTime = 2 * time.Second
	breakOffTime = 5 * time.Second
)

// shutdown answers the requests under way and no others, breaks off those that go on
// (dumps that are followed), and returns when the recorder is not needed any more.
func shutdown(srv *http.Server, h *server.Handler) error {
	stop, done := context.WithTimeout(context.Background(), shutdownTime)
	defer done()
	if srv.Shutdown(stop) == nil {
		return nil
	}
	srv.Close()
	stop, done = context.WithTimeout(context.Background(), breakOffTime)
	defer done()
	return h.Close(stop)
}

func (o *options) tellReady(log *slog.Logger) {
	log.Info("ready", "socket", o.socket)
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		log.Warn("tell systemd", "error", err)
	}
	if o.readyFile != "" {
		if err := os.WriteFile(o.readyFile, []byte("ready\n"), 0o644); err != nil {
			log.Error("write ready file", "error", err)
		}
	}
}
