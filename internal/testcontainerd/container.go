package testcontainerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	snapshotter = "overlayfs"

	// timeout bounds what takes milliseconds on an idle machine.
	timeout = time.Minute
)

var errStopped = errors.New("containerd is stopped")

// Options say what a container runs and how.
type Options struct {
	// ID of the container. Default: 64 random hex digits, as Docker, nerdctl
	// and the CRI plugin have it.
	ID string

	// Args is the command. Default: sleep for an hour.
	Args []string

	// Env is added to the image's environment.
	Env []string

	// Labels of the container in containerd.
	Labels map[string]string

	// Image is the name of an imported image. Default: BusyboxImage.
	Image string

	// CgroupPath is the container's cgroup in every hierarchy. Default:
	// /NAMESPACE/ID, as ctr has it.
	CgroupPath string

	// Group names the shim that this container shares with others of the same
	// group, as a pod's do; "" is a shim of its own. A shared one saves 10 MiB
	// a container. It ends with the last container of its group, and takes one
	// with it that is just being started: let one stay to the end.
	Group string

	// Mounts are added to the container's.
	Mounts []specs.Mount

	// Spec holds further changes to the runtime spec, made last.
	Spec []oci.SpecOpts
}

// Container is a container that Run started.
type Container struct {
	// ID is its id in containerd.
	ID string

	// Pid is its first process, as the host sees it.
	Pid uint32

	// CgroupPath is its cgroup in the hierarchies that runc uses.
	CgroupPath string

	server *Server
	output string
}

// Run starts a container, or fails the test.
func (s *Server) Run(t testing.TB, o Options) *Container {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	c, err := s.RunContext(ctx, o)
	if err != nil {
		t.Fatalf("testcontainerd: %v", err)
	}
	return c
}

// RunContext starts a container. It may be called by many goroutines at once.
// The network is the host's.
func (s *Server) RunContext(ctx context.Context, o Options) (*Container, error) {
	if o.ID == "" {
		o.ID = randomHex(64)
	}
	c, err := s.run(s.Context(ctx), o)
	if err != nil {
		return nil, fmt.Errorf("run container %s: %w", o.ID, err)
	}
	return c, nil
}

func (s *Server) run(ctx context.Context, o Options) (_ *Container, err error) {
	cl := s.Client()
	if cl == nil {
		return nil, errStopped
	}
	var image client.Image
	if o.Image == "" {
		image, err = s.Image(ctx)
	} else {
		image, err = cl.GetImage(ctx, o.Image)
	}
	if err != nil {
		return nil, err
	}
	if len(o.Args) == 0 {
		o.Args = []string{"sleep", "3600"}
	}
	if o.CgroupPath == "" {
		o.CgroupPath = path.Join("/", s.Namespace, o.ID)
	}
	if err := s.cgroups.add(o.CgroupPath); err != nil {
		return nil, err
	}
	spec := []oci.SpecOpts{
		oci.WithImageConfig(image),
		oci.WithEnv(o.Env),
		oci.WithProcessArgs(o.Args...),
		oci.WithHostNamespace(specs.NetworkNamespace),
		oci.WithMounts(o.Mounts),
		oci.WithCgroup(o.CgroupPath),
	}
	if o.Group != "" {
		spec = append(spec, oci.WithAnnotations(map[string]string{"io.containerd.runc.v2.group": o.Group}))
	}
	ctr, err := cl.NewContainer(ctx, o.ID,
		client.WithImage(image),
		client.WithSnapshotter(snapshotter),
		client.WithNewSnapshot(o.ID, image),
		client.WithContainerLabels(o.Labels),
		client.WithNewSpec(append(spec, o.Spec...)...),
	)
	if err != nil {
		return nil, err
	}
	output := filepath.Join(s.Dir, "output", o.ID)
	if err := os.MkdirAll(filepath.Dir(output), 0o700); err != nil {
		return nil, err
	}
	task, err := ctr.NewTask(ctx, cio.LogFile(output))
	if err != nil {
		return nil, fmt.Errorf("create task: %w", err)
	}
	if err := task.Start(ctx); err != nil {
		return nil, fmt.Errorf("start task: %w", err)
	}
	return &Container{ID: o.ID, Pid: task.Pid(), CgroupPath: o.CgroupPath, server: s, output: output}, nil
}

// Wait waits for the container's end, and returns its exit status.
func (c *Container) Wait(t testing.TB) uint32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	task, err := c.task(ctx)
	if err != nil {
		t.Fatalf("testcontainerd: wait for container %s: %v", c.ID, err)
	}
	status, err := task.Wait(ctx)
	if err != nil {
		t.Fatalf("testcontainerd: wait for container %s: %v", c.ID, err)
	}
	st := <-status
	if err := st.Error(); err != nil {
		t.Fatalf("testcontainerd: wait for container %s: %v", c.ID, err)
	}
	return st.ExitCode()
}

// Signal sends a signal to the container's first process.
func (c *Container) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	task, err := c.task(ctx)
	if err == nil {
		err = task.Kill(ctx, sig)
	}
	if err != nil {
		t.Fatalf("testcontainerd: send %v to container %s: %v", sig, c.ID, err)
	}
}

// DeleteTask deletes the container's task, killing it if it runs: what the CRI
// plugin and Docker do when a container exits. The container stays.
func (c *Container) DeleteTask(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := c.deleteTask(ctx); err != nil {
		t.Fatalf("testcontainerd: delete task of container %s: %v", c.ID, err)
	}
}

// Delete deletes the container, its snapshot and its task, killing it if it
// runs.
func (c *Container) Delete(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := c.DeleteContext(ctx); err != nil {
		t.Fatalf("testcontainerd: %v", err)
	}
}

// DeleteContext is Delete for goroutines that can't fail a test.
func (c *Container) DeleteContext(ctx context.Context) error {
	ctr, err := c.load(ctx)
	if err == nil {
		err = c.deleteTask(ctx)
	}
	if err == nil {
		err = ctr.Delete(c.server.Context(ctx), client.WithSnapshotCleanup)
	}
	if err != nil {
		return fmt.Errorf("delete container %s: %w", c.ID, err)
	}
	return nil
}

func (c *Container) deleteTask(ctx context.Context) error {
	task, err := c.task(ctx)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = task.Delete(c.server.Context(ctx), client.WithProcessKill)
	return err
}

// Output returns what the container has written to stdout and stderr so far.
func (c *Container) Output(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(c.output)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("testcontainerd: output of container %s: %v", c.ID, err)
	}
	return string(b)
}

// Cgroups returns the cgroups of the container's first process, by the fields
// that name the hierarchy in /proc/PID/cgroup: "" for v2, "memory" and
// "name=systemd" for v1's.
func (c *Container) Cgroups(t testing.TB) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.Pid))
	if err != nil {
		t.Fatalf("testcontainerd: cgroups of container %s: %v", c.ID, err)
	}
	cgroups := map[string]string{}
	for line := range bytes.Lines(b) {
		if f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3); len(f) == 3 {
			cgroups[f[1]] = f[2]
		}
	}
	return cgroups
}

func (c *Container) load(ctx context.Context) (client.Container, error) {
	cl := c.server.Client()
	if cl == nil {
		return nil, errStopped
	}
	return cl.LoadContainer(c.server.Context(ctx), c.ID)
}

func (c *Container) task(ctx context.Context) (client.Task, error) {
	ctr, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	return ctr.Task(c.server.Context(ctx), nil)
}
