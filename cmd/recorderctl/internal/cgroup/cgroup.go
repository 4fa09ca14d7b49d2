// Package cgroup starts a command in a cgroup of its own, so that what it does is
// recorded from its first system call on.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Group is a cgroup that was made for one command.
type Group struct {
	dir   string
	mount string // where the cgroup file system is
	v2    bool
	made  []string // cgroups above it that were made for it, the lowest first
}

// madeMark is an extended attribute of cgroups that this program made above others: the
// last command that leaves one removes it, whichever made it.
const madeMark = "trusted.recorderctl.made"

// ErrInUse says that a cgroup has processes already.
var ErrInUse = errors.New("it has processes already")

// Make makes the cgroup path below mount, and those above it that are missing. An
// empty one that an earlier command left behind is taken over.
func Make(mount, path string) (*Group, error) {
	if !strings.HasPrefix(path, "/") || path != filepath.Clean(path) || path == "/" {
		return nil, fmt.Errorf("make cgroup %q: not the clean path of a cgroup", path)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(mount, &st); err != nil {
		return nil, fmt.Errorf("make cgroup %s: %s, where recorderd has cgroups: %w", path, mount, err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC && st.Type != unix.CGROUP_SUPER_MAGIC {
		return nil, fmt.Errorf("make cgroup %s: %s is no cgroup file system, but recorderd has it there: run this in recorderd's mount namespace", path, mount)
	}
	g := &Group{dir: filepath.Join(mount, path), mount: filepath.Clean(mount), v2: st.Type == unix.CGROUP2_SUPER_MAGIC}
	// Another command that ends may remove what is above before this one is in it.
	var err error
	for range 100 {
		if err = g.mkdirs(path); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w", path, errors.Join(err, g.removeAbove()))
	}
	if used, err := g.populated(); err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w", path, err)
	} else if used {
		return nil, fmt.Errorf("make cgroup %s: %w", path, ErrInUse)
	}
	return g, nil
}

// mkdirs makes a cgroup and those above it that are missing.
func (g *Group) mkdirs(path string) error {
	at := g.mount
	for part := range strings.SplitSeq(path[1:], "/") {
		at = filepath.Join(at, part)
		err := os.Mkdir(at, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if at != g.dir {
			g.made = append([]string{at}, g.made...)
			unix.Setxattr(at, madeMark, []byte{1}, 0) //nolint:errcheck // then it goes only if this command is the last
		}
		if err := inheritCpuset(at); err != nil {
			return err
		}
	}
	return nil
}

// removeAbove removes the cgroups above it that were made for commands, as far as nothing
// else is in them.
func (g *Group) removeAbove() error {
	for at := filepath.Dir(g.dir); at != g.mount && at != "/"; at = filepath.Dir(at) {
		if _, err := unix.Getxattr(at, madeMark, make([]byte, 1)); err != nil && !slices.Contains(g.made, at) {
			return nil //nolint:nilerr // it was there before
		}
		err := os.Remove(at)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, unix.EBUSY), errors.Is(err, unix.ENOTEMPTY):
			return nil // others are in it
		default:
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

// inheritCpuset fills in what a new cgroup of the v1 controller cpuset lacks; no
// task can enter it before.
func inheritCpuset(dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.TrimSpace(string(own)) != "" {
			continue // no such controller, or nothing to do
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		if err != nil || strings.TrimSpace(string(above)) == "" {
			continue // cgroup v2: empty is inherited
		}
		if err := os.WriteFile(filepath.Join(dir, name), above, 0); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) populated() (bool, error) {
	b, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	return len(b) > 0, err
}

// Start starts the program path with the arguments args, args[0] among them, in
// the cgroup, with this process's standard input, output and error.
func (g *Group) Start(path string, args []string) (*exec.Cmd, error) {
	if g.v2 {
		cmd, err := g.clone(path, args)
		if !errors.Is(err, syscall.ENOSYS) { // seccomp filters know no clone3
			return cmd, err
		}
	}
	return g.enter(path, args)
}

// clone has the kernel put the child into the cgroup before it does anything.
func (g *Group) clone(path string, args []string) (*exec.Cmd, error) {
	dir, err := os.Open(g.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	cmd := command(path, args)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return cmd, cmd.Start()
}

// enterName is the name under which this program runs itself to enter a cgroup.
const enterName = "recorderctl: entering a cgroup"

// enter runs this program once more: it moves itself into the cgroup and becomes
// the command. See init.
func (g *Group) enter(path string, args []string) (*exec.Cmd, error) {
	// In v1 a thread can move alone. The others, Go's own, end with the exec.
	name := "tasks"
	if g.v2 {
		name = "cgroup.procs"
	}
	f, err := os.OpenFile(filepath.Join(g.dir, name), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := command("/proc/self/exe", append([]string{enterName, path}, args...))
	cmd.ExtraFiles = []*os.File{f}
	return cmd, cmd.Start()
}

func command(path string, args []string) *exec.Cmd {
	return &exec.Cmd{Path: path, Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// init is the other half of enter. It comes before main so that the thread that
// executes the command is the process's first: the event of a process that moves
// into a cgroup names that one only.
func init() {
	if len(os.Args) < 3 || os.Args[0] != enterName {
		return
	}
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&[]byte("recorderctl\x00")[0])), 0, 0, 0) // it is "exe" otherwise
	f := os.NewFile(3, "cgroup")
	if _, err := f.WriteString("0"); err != nil {
		fmt.Fprintf(os.Stderr, "recorderctl: enter the cgroup of the command: %v\n", err)
		os.Exit(1)
	}
	f.Close()
	err := syscall.Exec(os.Args[1], os.Args[2:], os.Environ())
	fmt.Fprintf(os.Stderr, "recorderctl: run %s: %v\n", os.Args[1], err)
	os.Exit(ExitStatus(err))
}

// ExitStatus returns the status that shells have for a command that could not be
// started: 127 if there is none, else 126.
func ExitStatus(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return 127
	}
	return 126
}

// Remove removes the cgroup, and those above it that were made for commands and are empty
// now. If processes are left in it, it stays, and the error
// wraps ErrInUse.
func (g *Group) Remove() error {
	// A process that has just ended may still count.
	var err error
	for deadline := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		err = os.Remove(g.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return g.removeAbove()
		}
		if used, perr := g.populated(); perr == nil && used {
			return fmt.Errorf("remove cgroup %s: %w", g.dir, ErrInUse)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
}
