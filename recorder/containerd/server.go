package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// A server that fails is tried again after firstRetry, then after twice
	// that, at last every lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second

	// absentRetry is how often a socket is looked for that is not there.
	absentRetry = time.Second

	// hintDelay is waited after an event, since they come in bursts, and
	// hintSpacing between two reads that events asked for.
	hintDelay   = 50 * time.Millisecond
	hintSpacing = 500 * time.Millisecond
)

// errAbsent says that there is no socket.
var errAbsent = errors.New("no socket")

// server is one containerd: a socket, now and then a connection to it.
type server struct {
	src     *Source
	address string // as configured
	path    string // below Root

	// reading is held by who reads, so that reads don't overlap. It guards the
	// fields down to mu.
	reading   chan struct{}
	begun     time.Time // when the last whole read began, and how it ended
	result    error
	swept     time.Time // when all tasks were listed last
	attempted socketID  // the socket that was tried last
	retryAt   time.Time
	delay     time.Duration
	state     linkState

	mu     sync.Mutex
	client *client.Client // nil: not connected

	wake chan struct{} // tells run to read soon
}

// linkState is what was logged last.
type linkState int

const (
	linkNew linkState = iota // nothing yet, or only absent
	linkUp
	linkDown
)

// socketID tells one socket from another at the same path.
type socketID struct{ dev, ino uint64 }

func newServer(src *Source, address string) *server {
	return &server{
		src:     src,
		address: address,
		path:    filepath.Join("/", src.cfg.Root, address),
		reading: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
	}
}

// run reads until the context ends.
func (sv *server) run(ctx context.Context) {
	var (
		watched   *client.Client
		stopWatch = func() {}
	)
	defer func() {
		stopWatch()
		sv.reading <- struct{}{}
		sv.disconnect()
		<-sv.reading
	}()
	for {
		err := sv.refresh(ctx, true)
		if ctx.Err() != nil {
			return
		}
		if c := sv.connection(); c != watched {
			stopWatch()
			watched, stopWatch = c, func() {}
			if c != nil {
				stopWatch = sv.watch(ctx, c)
			}
		}
		wait := time.NewTimer(sv.pause(err))
		earliest := time.Now().Add(hintSpacing)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		case <-sv.wake:
			wait.Reset(max(time.Until(earliest), hintDelay))
			select {
			case <-ctx.Done():
				wait.Stop()
				return
			case <-wait.C:
			}
		}
	}
}

// pause returns how long to wait after a read that ended like this.
func (sv *server) pause(err error) time.Duration {
	interval := sv.src.cfg.Interval
	switch {
	case err == nil:
		return interval
	case errors.Is(err, errAbsent):
		return min(interval, absentRetry)
	}
	sv.reading <- struct{}{}
	defer func() { <-sv.reading }()
	return max(time.Until(sv.retryAt), time.Millisecond)
}

// refresh reads, or waits for another's read that began after the call. poll
// marks a read of run's, which now and then lists all tasks.
func (sv *server) refresh(ctx context.Context, poll bool) error {
	called := time.Now()
	select {
	case sv.reading <- struct{}{}:
	case <-ctx.Done():
		return sv.wrap(ctx.Err())
	}
	defer func() { <-sv.reading }()
	if sv.begun.After(called) {
		return sv.result
	}

	id, err := socketOf(sv.path)
	if err != nil {
		sv.attempted, sv.retryAt, sv.delay = socketID{}, time.Time{}, 0
		sv.lost(errAbsent)
		return sv.wrap(errAbsent)
	}
	sv.src.setStatus(sv, func(st *ServerStatus) { st.Present = true })
	if id != sv.attempted { // another server: no reason to wait, and none to stay
		sv.disconnect()
		sv.attempted, sv.retryAt, sv.delay = id, time.Time{}, 0
	}
	if time.Now().Before(sv.retryAt) {
		return sv.result
	}

	begun := time.Now()
	rctx, cancel := context.WithTimeout(ctx, sv.src.cfg.Timeout)
	defer cancel()
	err = sv.read(rctx, poll)
	if err != nil && ctx.Err() != nil {
		return sv.wrap(ctx.Err()) // the caller's doing, not the server's
	}
	sv.begun, sv.result = begun, sv.wrap(err)
	if err != nil {
		sv.delay = min(max(2*sv.delay, firstRetry), lastRetry)
		sv.retryAt = time.Now().Add(sv.delay)
		sv.lost(err)
		return sv.result
	}
	sv.retryAt, sv.delay = time.Time{}, 0
	return nil
}

func (sv *server) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read containerd at %s: %w", sv.address, err)
}

// socketOf identifies the socket at a path, or says that there is none.
func socketOf(path string) (socketID, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return socketID{}, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || fi.Mode().Type() != fs.ModeSocket {
		return socketID{}, fmt.Errorf("%s is not a socket", path)
	}
	return socketID{uint64(st.Dev), st.Ino}, nil
}

// connect dials the socket, if it isn't connected, and asks for the version.
// The reading lock is held.
func (sv *server) connect(ctx context.Context) (*client.Client, error) {
	if c := sv.connection(); c != nil {
		return c, nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", sv.path)
	if err != nil {
		return nil, err
	}
	sv.src.setPlace(sv, peerOf(conn))
	// A client has this one connection and never dials another: what answers
	// at the socket next may be another server.
	dialed := make(chan net.Conn, 1)
	dialed <- conn
	dial := func(context.Context, string) (net.Conn, error) {
		select {
		case c := <-dialed:
			return c, nil
		default:
			return nil, net.ErrClosed
		}
	}
	gc, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(defaults.DefaultMaxRecvMsgSize)),
	)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c, err := client.NewWithConn(gc)
	if err != nil {
		gc.Close()
		return nil, err
	}
	v, err := c.Version(ctx)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("ask for version: %w", errgrpc.ToNative(err))
	}
	sv.mu.Lock()
	sv.client = c
	sv.mu.Unlock()
	sv.swept = time.Time{}
	sv.src.setStatus(sv, func(st *ServerStatus) { st.Version = v.Version })
	return c, nil
}

// peerOf returns the process at the other end of a Unix socket, 0 if that is not known.
func peerOf(conn net.Conn) int {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	raw.Control(func(fd uintptr) { //nolint:errcheck // 0 then
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// setPlace notes where a server runs.
func (s *Source) setPlace(sv *server, pid int) {
	var p place
	if s.cfg.Where != nil && pid != 0 {
		p.home, p.root = s.cfg.Where(pid)
	}
	if p.root == "" {
		p.root = "/"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[sv] = p
}

// connection returns the client, nil if there is no connection.
func (sv *server) connection() *client.Client {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	return sv.client
}

func (sv *server) disconnect() {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.client != nil {
		sv.client.Close()
		sv.client = nil
	}
}

// found notes that a read worked, lost that it did not: each logs once when
// that is news. The reading lock is held.
func (sv *server) found(containers int, taskErr error) {
	var version string
	sv.src.setStatus(sv, func(st *ServerStatus) {
		st.Connected, st.LastError, st.LastRead, st.Containers = true, "", time.Now(), containers
		if taskErr != nil {
			st.LastError = taskErr.Error()
		}
		version = st.Version
	})
	if sv.state != linkUp {
		sv.state = linkUp
		sv.src.cfg.Log.Info("containerd connected", "address", sv.address, "version", version, "containers", containers)
	}
}

func (sv *server) lost(err error) {
	sv.disconnect()
	never := sv.state == linkNew && errors.Is(err, errAbsent)
	sv.src.setStatus(sv, func(st *ServerStatus) {
		st.Connected, st.LastError = false, ""
		if !never {
			st.LastError = err.Error()
		}
	})
	if sv.state != linkDown && !never {
		sv.state = linkDown
		sv.src.cfg.Log.Warn("containerd not readable", "address", sv.address, "err", err)
	}
}

func (s *Source) setStatus(sv *server, change func(*ServerStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status[sv]
	change(&st)
	s.status[sv] = st
}

// watch has events make reads come sooner, until the returned function is
// called. When the stream ends, so probably did the server: then too.
func (sv *server) watch(ctx context.Context, c *client.Client) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		envelopes, errs := c.EventService().Subscribe(ctx, `topic~="^/(tasks/(start|exit|paused|resumed)|containers/)"`)
		for {
			select {
			case <-ctx.Done():
				return
			case <-errs:
				sv.hint()
				return
			case env := <-envelopes:
				sv.event(ctx, c, env)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// event looks at what an event is about: at a task at once, since whoever
// waited for its end deletes it now, at containers soon.
func (sv *server) event(ctx context.Context, c *client.Client, env *events.Envelope) {
	v, err := typeurl.UnmarshalAny(env.Event)
	if err != nil {
		return // an event of a kind that this client doesn't know
	}
	var id string
	switch ev := v.(type) {
	case *apievents.TaskExit:
		if ev.ID != ev.ContainerID {
			return // a process that was exec'd, such as a probe
		}
		id = ev.ContainerID
	case *apievents.TaskStart:
		id = ev.ContainerID
	case *apievents.TaskPaused:
		id = ev.ContainerID
	case *apievents.TaskResumed:
		id = ev.ContainerID
	}
	if id == "" || !sv.src.knows(key{sv, env.Namespace, id}) {
		sv.hint()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, taskTimeout)
	defer cancel()
	if sv.readTask(ctx, c, env.Namespace, id) != nil {
		sv.hint()
	}
}

// hint makes run read soon.
func (sv *server) hint() {
	select {
	case sv.wake <- struct{}{}:
	default:
	}
}
