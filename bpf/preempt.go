package bpf

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Up to some version the kernel runs programs on tracepoints with preemption off.
// Since then a program can be preempted, and while it is, the kernel runs that
// program for no other task on that CPU: all their calls until the first one goes on
// are missed, some milliseconds of them. Programs that hang on a tracepoint's perf
// event run with preemption off on every kernel; they cost a little more. So there
// are two ways to the same program, and this chooses.

// preempt is for tests: which way to take, whatever the kernel.
type preempt int

const (
	byKernel      preempt = iota
	preemptOff            // programs run with preemption off by themselves
	preemptOn             // they can be preempted
	preemptNoPerf         // they can, and there are no perf events
)

// preemptible reports whether programs on tracepoints can be preempted here.
func (c *Config) preemptible() bool {
	if c.preempt != byKernel {
		return c.preempt != preemptOff
	}
	var uts unix.Utsname
	if unix.Uname(&uts) != nil {
		return false
	}
	return preemptibleSince(unix.ByteSliceToString(uts.Release[:]))
}

// preemptibleSince goes by the version: nothing that a program or its loader sees
// tells. A kernel wrongly taken for one costs some nanoseconds a call.
func preemptibleSince(release string) bool {
	var major, minor int
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	return major >= 7
}

// byPerf reports whether the programs of calls shall hang on perf events: where
// programs can be preempted, and perf events can be had. Without them (no tracefs, a
// seccomp profile that refuses perf_event_open) what is missed is counted.
func (c *Config) byPerf() bool {
	if !c.preemptible() || c.preempt == preemptNoPerf {
		return false
	}
	fd, err := openPerf("sys_exit")
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// twice reports whether programs run twice (TWICE in recorder.bpf.c): where they can be
// preempted and can turn that off, as all kernels can that preempt them.
func (c *Config) twice() bool {
	if !c.preemptible() {
		return false
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	for _, name := range []string{"bpf_preempt_disable", "bpf_local_irq_save"} {
		var f *btf.Func
		if spec.TypeByName(name, &f) != nil {
			return false
		}
	}
	return true
}

// attach lets a program run where its section says.
func attach(p *ebpf.Program) (link.Link, error) {
	if p.Type() != ebpf.TracePoint {
		return link.AttachTracing(link.TracingOptions{Program: p})
	}
	info, err := p.Info()
	if err != nil {
		return nil, err
	}
	return attachPerf(p, strings.TrimPrefix(info.Name, "perf_"))
}

// attachPerf hangs a program on the perf event of raw_syscalls/name. The event stays
// disabled: the tracepoint runs the program all the same, and perf does not count.
func attachPerf(p *ebpf.Program, name string) (link.Link, error) {
	fd, err := openPerf(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) // the link holds it
	return link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: p, Attach: ebpf.AttachPerfEvent})
}

func openPerf(name string) (int, error) {
	heldMu.Lock()
	defer heldMu.Unlock()
	if fd, ok := held[name]; ok {
		return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	}
	b, err := os.ReadFile(filepath.Join(tracefs, "events/raw_syscalls", name, "id"))
	if err != nil {
		return -1, fmt.Errorf("ask for the number of a tracepoint: %w", err)
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return -1, fmt.Errorf("ask for the number of a tracepoint: %w", err)
	}
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Size: unix.PERF_ATTR_SIZE_VER0, Bits: unix.PerfBitDisabled,
	}, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open the perf event of raw_syscalls/%s: %w", name, err)
	}
	return fd, nil
}

const tracefs = "/sys/kernel/tracing"

// What was opened by holdPerf, for the life of the process: Debian's kernels give perf
// events to CAP_SYS_ADMIN only, which recorderd gives up before it loads programs.
var (
	heldMu sync.Mutex
	held   = map[string]int{}
)

// holdPerf opens the events while the process may, if this kernel needs them.
func holdPerf() {
	if !(&Config{}).preemptible() {
		return
	}
	for _, name := range []string{"sys_enter", "sys_exit"} {
		heldMu.Lock()
		_, have := held[name]
		heldMu.Unlock()
		if have {
			continue
		}
		if fd, err := openPerf(name); err == nil {
			heldMu.Lock()
			held[name] = fd
			heldMu.Unlock()
		}
	}
}

// mountTracefs mounts it where it is used and missing; systemd does so on first use.
func mountTracefs() error {
	var st unix.Statfs_t
	if !(&Config{}).preemptible() || unix.Statfs(tracefs, &st) != nil || st.Type == unix.TRACEFS_MAGIC {
		return nil
	}
	if err := unix.Mount("tracefs", tracefs, "tracefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount tracefs on %s: %w", tracefs, err)
	}
	return nil
}
