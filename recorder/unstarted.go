package recorder

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/program"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Why a container's program could not be executed is in its file, which is gone a moment after its
// runtime has given up. So the file is looked at as soon as the tasks of a container are gone in
// which nothing was executed: below the root that the runtime has mounted for it, as the recording
// says. What a runtime does is believed of containers directly on the node alone; in others
// somebody may only call it a runtime.

const (
	// mostLooking is how many programs are looked at at a time. Of more nothing is told.
	mostLooking = 4
	// lookWait is how long the end of a recording waits for that.
	lookWait = 3 * briefly
	// hostRoot is the root of the node.
	hostRoot = "/proc/1/root"
)

// lookAtProgramLocked has the program looked at that a container was to execute, if its tasks are
// gone and it has executed none. It is looked at again only if another task has ended since: the
// first may have been a helper of the runtime's. r.mu is held.
func (r *Recorder) lookAtProgramLocked(rec *recording, h *layout.RingHead) {
	last := atomic.LoadUint64(&h.LastExit)
	if last == rec.lookedAt || rec.in.around != nil || atomic.LoadUint32(&h.BeganLate) != 0 || rec.notStarted != "" {
		return
	}
	if args := argv(h); atomic.LoadUint32(&h.InitExeced) != 0 && !(len(args) == 2 && args[1] == "init" && path.Base(args[0]) == "runc") {
		return
	}
	rec.lookedAt, rec.looking = last, make(chan struct{})
	done := rec.looking
	if r.lookers.Add(1) > mostLooking || r.stuck.Load() >= mostStuck {
		r.lookers.Add(-1)
		close(done)
		return
	}
	go func() {
		defer close(done)
		defer r.lookers.Add(-1)
		why := r.lookAtProgram(rec)
		r.mu.Lock()
		defer r.mu.Unlock()
		rec.notStarted = why
	}()
}

// lookAtProgram says what is wrong with the program that a container was to execute.
func (r *Recorder) lookAtProgram(rec *recording) string {
	var s snapshot
	if err := s.read(rec, noWait, layout.RoleMain, layout.RoleGuard); err != nil {
		return ""
	}
	defer s.release()
	c, file := wasToExecute(&s, r.native)
	if c.Root == "" || file == "" {
		return ""
	}
	why, late := soon(func() string {
		c.Host = hostRoot
		if f, err := os.Open(hostRoot); err != nil {
			c.Host = "/" // process 1 is none of ours, or may not be looked at
		} else {
			f.Close()
		}
		return c.Why(file)
	})
	if late != nil { // a file system that hangs
		r.stuck.Add(1)
		go func() {
			<-late
			r.stuck.Add(-1)
		}()
	}
	return why
}

// mostFds is how many descriptors of a runtime are remembered, mostBinds how many mounts.
const mostFds, mostBinds = 256, 256

// wasToExecute finds in a recording the root that a runtime has mounted and what it has mounted in
// there, as the node sees both, and the program that it could not execute.
func wasToExecute(s *snapshot, native record.Arch) (c program.Container, file string) {
	fds := map[int32]string{}
	var rec record.Record
	for rest := s.main.Records; len(rest) > 0; {
		raw, next, err := record.Next(rest)
		if err != nil {
			break
		}
		rest = next
		if record.Parse(raw, &rec) != nil || rec.Type != layout.RecCall {
			continue
		}
		call := syscalls.Lookup(native.ABI(rec.Flags), uint32(rec.Nr))
		if call == nil {
			continue
		}
		switch {
		case call.Name == "execve" && rec.Ret < 0:
			if name := stringOf(&rec, 0); strings.HasPrefix(name, "/") {
				file = name
			}
		case rec.Ret < 0:
		case call.Name == "openat" || call.Name == "openat2":
			name := stringOf(&rec, 1)
			if dir := fds[int32(rec.Args[0])]; dir != "" && !strings.HasPrefix(name, "/") {
				name = path.Join(dir, name)
			}
			delete(fds, int32(rec.Ret))
			if strings.HasPrefix(name, "/") && len(fds) < mostFds {
				fds[int32(rec.Ret)] = name
			}
		case call.Name == "move_mount":
			c.Unsure = true
		case call.Name == "mount" && rec.Args[3]&unix.MS_BIND != 0 && rec.Args[3]&unix.MS_REMOUNT == 0:
			bound(&c, stringOf(&rec, 0), stringOf(&rec, 1), fds)
		}
	}
	return c, file
}

// bound takes a bind mount: the container's root is mounted on itself, others below it by way of a
// descriptor.
func bound(c *program.Container, from, to string, fds map[int32]string) {
	for _, dir := range [...]string{"/proc/self/fd/", "/proc/thread-self/fd/"} {
		if n, ok := strings.CutPrefix(to, dir); ok {
			fd, _ := strconv.ParseInt(n, 10, 32) //nolint:errcheck // 0 is none of them
			to = fds[int32(fd)]
		}
	}
	if c.Root == "" {
		if from == to && strings.HasPrefix(from, "/") && from != "/" {
			c.Root = from
		}
		return
	}
	at, below := strings.CutPrefix(to, c.Root+"/")
	if !below || !strings.HasPrefix(from, "/") || strings.HasPrefix(from, "/proc/") || len(c.Binds) >= mostBinds {
		c.Unsure = true
		return
	}
	c.Binds = append(c.Binds, program.Bind{From: from, At: "/" + at})
}

// stringOf is the string that an argument points to, "" if not all of it is there.
func stringOf(rec *record.Record, arg uint8) string {
	for i := range rec.Items {
		if it := &rec.Items[i]; it.Arg == arg && it.Kind == layout.ItemStr && it.Flags&(layout.ItemCut) == 0 && !it.Fault() {
			name, _, _ := bytes.Cut(it.Data, []byte{0})
			return string(name)
		}
	}
	return ""
}

// looked waits for what is looked at of a recording's program, if anything is.
func (r *Recorder) looked(rec *recording) {
	r.mu.Lock()
	done := rec.looking
	r.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-time.After(lookWait):
	}
}
