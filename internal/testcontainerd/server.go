// Package testcontainerd runs a private containerd for a test: root, state,
// socket and cgroups of its own, a busybox image, containers started by runc
// without a network of their own. It needs root and the Debian packages
// containerd, runc and busybox-static, and fails the test where they are
// missing.
//
// Everything is gone when the test ends: processes, mounts, cgroups, sockets,
// files. What a killed test binary left behind, the next one removes.
package testcontainerd

import (
	"context"
	"crypto/rand"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"golang.org/x/sys/unix"
)

// Binaries on which the package depends.
const (
	containerdPath = "/usr/bin/containerd"
	busyboxPath    = "/usr/bin/busybox"
)

// dirPrefix begins the names of servers' directories. They are short, since a
// socket's path may have no more than 107 bytes.
const dirPrefix = "testctd-"

// markerName is a file in a server's directory, written once its lock is held:
// its address, and its namespace if that is its own.
const markerName = "server"

// Config says how a server differs from the default one.
type Config struct {
	// Namespace is the containerd namespace of the containers that Run
	// starts, and so the name of their parent cgroup. Default: a unique one.
	Namespace string

	// Address is the socket. Default: one in the server's own directory.
	Address string

	// Stopped leaves starting the server to a later call of Restart.
	Stopped bool
}

// Server is a containerd, running or stopped.
type Server struct {
	// Dir holds everything that the server keeps on disk.
	Dir string

	// Address is the path of the socket.
	Address string

	// Namespace is the containerd namespace of the containers that Run starts.
	Namespace string

	ownNamespace bool     // no other containerd uses this namespace's cgroups
	lock         *os.File // held while this process lives, so that others keep off Dir

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	client *client.Client
	image  client.Image

	cgroups cgroupTracker
}

// Start starts a containerd that ends with the test. It fails the test when
// the machine can't run one.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	if err := requirements(); err != nil {
		t.Fatalf("testcontainerd: %v", err)
	}
	sweep(t)

	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		t.Fatalf("testcontainerd: %v", err)
	}
	s := &Server{Dir: dir, Address: cfg.Address, Namespace: cfg.Namespace}
	if s.Address == "" {
		s.Address = filepath.Join(dir, "containerd.sock")
	}
	if s.Namespace == "" {
		s.Namespace, s.ownNamespace = dirPrefix+randomHex(6), true
	}
	t.Cleanup(func() { s.cleanup(t) })
	if err := s.init(); err != nil {
		t.Fatalf("testcontainerd: %v", err)
	}
	if !cfg.Stopped {
		s.Restart(t)
	}
	return s
}

func requirements() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	for _, bin := range []string{containerdPath, busyboxPath} {
		if _, err := os.Stat(bin); err != nil {
			return fmt.Errorf("%w (apt-get install containerd busybox-static)", err)
		}
	}
	if _, err := exec.LookPath("runc"); err != nil {
		return fmt.Errorf("%w (apt-get install runc)", err)
	}
	f, err := elf.Open(busyboxPath)
	if err != nil {
		return fmt.Errorf("read %s: %w", busyboxPath, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static (apt-get install busybox-static)", busyboxPath)
		}
	}
	return nil
}

// init writes what containerd needs to start.
func (s *Server) init() error {
	lock, err := os.OpenFile(s.lockPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", s.lockPath(), err)
	}
	s.lock = lock
	disabled := []string{
		"io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
		"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
		"io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
		"io.containerd.grpc.v1.cri",
	}
	err = os.WriteFile(s.configPath(), fmt.Appendf(nil, `version = 2
root = %q
state = %q
oom_score = 0
disabled_plugins = ["%s"]
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
`, filepath.Join(s.Dir, "root"), filepath.Join(s.Dir, "state"), strings.Join(disabled, `", "`),
		s.Address, filepath.Join(s.Dir, "opt")), 0o600)
	if err != nil {
		return err
	}
	own := ""
	if s.ownNamespace {
		own = s.Namespace
	}
	return os.WriteFile(filepath.Join(s.Dir, markerName), []byte(s.Address+"\n"+own), 0o600)
}

func (s *Server) lockPath() string   { return filepath.Join(s.Dir, "lock") }
func (s *Server) configPath() string { return filepath.Join(s.Dir, "config.toml") }
func (s *Server) logPath() string    { return filepath.Join(s.Dir, "containerd.log") }

// Restart starts the server again after Stop or Kill; a running one it stops
// first. It returns when the server answers. Containers live on meanwhile.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	if err := s.start(); err != nil {
		log, _ := os.ReadFile(s.logPath())
		t.Fatalf("testcontainerd: start containerd: %v\n%s", err, tail(log, 4096))
	}
}

func (s *Server) start() error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(containerdPath, "--config", s.configPath())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = s.Dir
	// A terminal's ^C is the test's; it ends containerd itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended shows in its log
		close(exited)
	}()
	s.mu.Lock()
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		c, err := s.connect(ctx)
		if err == nil {
			s.mu.Lock()
			s.client = c
			s.mu.Unlock()
			return nil
		}
		select {
		case <-exited:
			return errors.New("it ended")
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// connect returns a client once the server answers calls.
func (s *Server) connect(ctx context.Context) (*client.Client, error) {
	conn, err := net.Dial("unix", s.Address)
	if err != nil {
		return nil, err // the client would back off for a second
	}
	conn.Close()
	c, err := client.New(s.Address, client.WithDefaultNamespace(s.Namespace), client.WithTimeout(2*time.Second))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if ok, err := c.IsServing(ctx); !ok {
		c.Close()
		return nil, errors.Join(errors.New("not serving"), err)
	}
	return c, nil
}

// Stop ends the server with SIGTERM. Containers live on.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(unix.SIGTERM); err != nil {
		t.Errorf("testcontainerd: stop containerd: %v", err)
	}
}

// Kill ends the server as a crash would. Containers live on, and the socket's
// file stays.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.end(unix.SIGKILL); err != nil {
		t.Errorf("testcontainerd: kill containerd: %v", err)
	}
}

func (s *Server) end(sig syscall.Signal) error {
	s.mu.Lock()
	cmd, exited, c := s.cmd, s.exited, s.client
	s.cmd, s.exited, s.client, s.image = nil, nil, nil, nil
	s.mu.Unlock()
	if c != nil {
		c.Close()
	}
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-exited:
		return nil
	case <-time.After(15 * time.Second):
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("still there 15 s after %v", sig)
	}
}

// Client returns the client of the running server, nil of a stopped one. Its
// default namespace is the server's. Restart makes it invalid.
func (s *Server) Client() *client.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// Context returns ctx with the server's namespace, for clients without it.
func (s *Server) Context(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, s.Namespace)
}

// Pid returns containerd's process id, 0 when it is stopped.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

func randomHex(n int) string {
	b := make([]byte, (n+1)/2)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)[:n]
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}
