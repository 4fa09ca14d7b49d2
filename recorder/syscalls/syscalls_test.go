package syscalls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

func archs() (as []record.Arch) {
	for a := record.ArchX86_64; a <= record.ArchARM; a++ {
		as = append(as, a)
	}
	return as
}

// checkPlan reports what the kernel program could not do with a plan.
// subs: a plan of its commands reads at entry.
func checkPlan(t *testing.T, where string, p layout.Plan, subs bool) {
	t.Helper()
	if p.Nargs > 6 || int(p.Nops) > len(p.Op) || p.Sub > 5 {
		t.Errorf("%s: %+v", where, p)
		return
	}
	data, entry, held := true, false, 0
	for _, op := range p.Op[:p.Nops] {
		if op.Kind == uint8(layout.OpStack) {
			if op.When != uint8(layout.OpEntry) || op.Size == 0 || op.Size > 64 || op.Max == 0 {
				t.Errorf("%s: %+v", where, op)
			}
			entry, data = true, false
			held += int(op.Size) + layout.SizeofItem
			continue
		}
		if op.Arg >= p.Nargs || op.Carg >= max(p.Nargs, 1) {
			t.Errorf("%s: an op follows argument %d, counted by %d, of %d", where, op.Arg, op.Carg, p.Nargs)
		}
		if op.Kind < uint8(layout.OpStr) || op.Kind > uint8(layout.OpRoom) || op.Size == 0 || op.Max == 0 && op.Kind != uint8(layout.OpVec) || op.Max > 4096 {
			t.Errorf("%s: %+v", where, op)
		}
		if op.Count == uint8(layout.CountOne) && op.Kind == uint8(layout.OpMem) && op.Size > op.Max {
			t.Errorf("%s: a struct of %d bytes is cut at %d", where, op.Size, op.Max)
		}
		data = data && op.Kind == uint8(layout.OpData)
		if op.When == uint8(layout.OpEntry) || op.When == uint8(layout.OpSame) {
			entry = true
			held += int(op.Max) + layout.SizeofItem
			if op.Count != uint8(layout.CountOne) {
				held -= int(op.Max) // depends on the call; the kernel drops what does not fit
			}
		}
	}
	if held > layout.EntryData {
		t.Errorf("%s: %d bytes at entry, there is room for %d", where, held, layout.EntryData)
	}
	if (entry || subs) != (p.Flags&uint8(layout.PlanEntry) != 0) {
		t.Errorf("%s: PlanEntry and the ops do not agree", where)
	}
	if p.Flags&uint8(layout.PlanData) != 0 && (!data || p.Nops == 0) {
		t.Errorf("%s: PlanData with other ops", where)
	}
	for _, op := range p.Op[p.Nops:] {
		if op != (layout.PlanOp{}) {
			t.Errorf("%s: an op behind the last", where)
		}
	}
}

// TestPlans checks the plan of every number of every ABI, unknown ones included.
func TestPlans(t *testing.T) {
	for _, a := range archs() {
		plans := SubPlans(a)
		for nr := range uint32(layout.PlanCalls + 100) {
			p := Plan(a, nr)
			c := Lookup(a, nr)
			if c == nil {
				if p != (layout.Plan{Nargs: 6}) {
					t.Errorf("%v: unknown number %d: %+v", a, nr, p)
				}
				continue
			}
			where := a.String() + " " + c.Name
			subs := false
			for key, sub := range plans {
				subs = subs || key.Nr%layout.PlanCalls == nr && sub.Flags&uint8(layout.PlanEntry) != 0
			}
			checkPlan(t, where, p, subs)
			if p.Nargs != c.Nargs {
				t.Errorf("%s: %d arguments, the plan has %d", where, c.Nargs, p.Nargs)
			}
			// Ops that found no room are dropped silently: every row must fit.
			want := 0
			for i := range c.Args {
				if _, ok := opOf(a, &c.Args[i]); ok {
					for d := c.Args[i].Dir; d != 0; d &= d - 1 {
						want++
					}
					if a := &c.Args[i]; a.Form == FormMsg && a.Dir&DirOut != 0 || a.Dir == DirIn && same(c, a) {
						want++ // a second time, when the call begins
					}
				}
				if _, ok := viaOf(a, &c.Args[i]); ok {
					want++
				}
			}
			if want != int(p.Nops) {
				t.Errorf("%s: %d things to capture, %d ops", where, want, p.Nops)
			}
		}
		for key, p := range plans {
			nr := key.Nr
			if a == record.ArchI386 || a == record.ArchARM {
				nr -= layout.PlanCalls
			}
			c := Lookup(a, nr)
			if c == nil || c.Sub < 0 && c.Name != "socketcall" && c.Name != "ipc" {
				t.Fatalf("%v: sub-plan of %d, which has no commands", a, nr)
			}
			checkPlan(t, a.String()+" "+c.Name+" "+strconv.Itoa(int(key.Cmd)), p, false)
			if p.Flags&uint8(layout.PlanEntry) != 0 && Plan(a, nr).Flags&uint8(layout.PlanEntry) == 0 {
				t.Errorf("%v %s: a sub-plan reads at entry, and nothing is done there", a, c.Name)
			}
			if Plan(a, nr).Flags&uint8(layout.PlanSub) == 0 {
				t.Errorf("%v %s has sub-plans and no PlanSub", a, c.Name)
			}
		}
	}
}

// TestFastPath names calls that must cost nothing but their registers.
func TestFastPath(t *testing.T) {
	for _, name := range []string{"close", "lseek", "getpid", "mmap", "munmap", "brk", "sched_yield", "dup2", "getrandom", "set_robust_list", "gettid", "madvise", "getdents64"} {
		if p := Plan(record.ArchX86_64, ByName(record.ArchX86_64, name).Nr); p.Nops != 0 || p.Flags&uint8(layout.PlanSub|layout.PlanEntry) != 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for _, name := range []string{"read", "write", "pread64", "pwrite64"} {
		if p := Plan(record.ArchX86_64, ByName(record.ArchX86_64, name).Nr); p.Flags&uint8(layout.PlanData) == 0 {
			t.Errorf("%s reads more than contents: %+v", name, p)
		}
	}
}

// TestFlags names calls whose plans carry a flag.
func TestFlags(t *testing.T) {
	for flag, names := range map[layout.PlanFlag]string{
		layout.PlanEnter: "execve execveat exit exit_group",
		layout.PlanWrite: "write writev pwrite64 pwritev pwritev2 sendto sendmsg",
		layout.PlanEntry: "select pselect6 ppoll accept accept4 getsockopt getsockname getpeername",
		layout.PlanSub:   "ioctl fcntl prctl futex ptrace keyctl",
	} {
		got := map[string]bool{}
		calls := All(record.ArchX86_64)
		for i := range calls {
			if Plan(record.ArchX86_64, calls[i].Nr).Flags&uint8(flag) != 0 {
				got[calls[i].Name] = true
			}
		}
		for _, n := range strings.Fields(names) {
			if !got[n] {
				t.Errorf("%s: no flag %#x", n, flag)
			}
		}
	}
}

// TestSizes checks struct sizes that the ABIs fix, in bytes: x86_64, i386, x32, arm64, arm.
func TestSizes(t *testing.T) {
	for name, want := range map[string][Archs]uint16{
		"timespec": {16, 8, 16, 16, 8}, "timespec64": {16, 16, 16, 16, 16}, "timeval": {16, 8, 16, 16, 8}, "stat": {144, 64, 144, 128, 64},
		"stat64": {104, 96, 104, 104, 104}, "statx": {256, 256, 256, 256, 256}, "iovec": {16, 8, 8, 16, 8}, "epoll_event": {12, 12, 12, 16, 16},
		"pollfd": {8, 8, 8, 8, 8}, "sigaction": {32, 20, 32, 32, 20}, "stack_t": {24, 12, 12, 24, 12}, "rlimit": {16, 8, 16, 16, 8},
		"rusage": {144, 72, 144, 144, 72}, "utsname": {390, 390, 390, 390, 390}, "statfs": {120, 64, 120, 120, 64}, "termios": {36, 36, 36, 36, 36},
		"siginfo": {128, 128, 128, 128, 128}, "clone_args": {88, 88, 88, 88, 88}, "winsize": {8, 8, 8, 8, 8}, "io_uring_params": {120, 120, 120, 120, 120},
		"timex": {208, 128, 208, 208, 128}, "sched_attr": {56, 56, 56, 56, 56}, "cap_data": {12, 12, 12, 12, 12}, "flock": {32, 16, 32, 32, 16},
		"itimerspec": {32, 16, 32, 32, 16}, "tms": {32, 16, 32, 32, 16},
	} {
		s := StructByName(name)
		if s == nil {
			t.Errorf("no struct %s", name)
			continue
		}
		for i, l := range s.Layouts {
			arch := record.ArchX86_64 + record.Arch(i)
			if l == nil {
				t.Errorf("struct %s: none on %v", name, arch)
			} else if l.Size != want[i] {
				t.Errorf("struct %s on %v: %d bytes, want %d", name, arch, l.Size, want[i])
			}
		}
	}
}

// TestNumbers compares the numbers with those of golang.org/x/sys/unix, which has
// them from other sources.
func TestNumbers(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatalf("no module cache: %v", err)
	}
	for arch, file := range map[record.Arch]string{
		record.ArchX86_64: "zsysnum_linux_amd64.go", record.ArchI386: "zsysnum_linux_386.go",
		record.ArchARM64: "zsysnum_linux_arm64.go", record.ArchARM: "zsysnum_linux_arm.go",
	} {
		src, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), "unix", file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		ast.Inspect(src, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			lit, ok := spec.Values[0].(*ast.BasicLit)
			name := strings.ToLower(strings.TrimPrefix(spec.Names[0].Name, "SYS_"))
			if !ok || name == "syscall_mask" || name == "arch_specific_syscall" {
				return true
			}
			want, err := strconv.ParseUint(lit.Value, 0, 32)
			if err != nil {
				t.Fatal(err)
			}
			c := Lookup(arch, uint32(want))
			switch {
			case c == nil:
				t.Errorf("%v: no number %d (%s)", arch, want, name)
			case c.Name != name && !renamed[c.Name+" "+name]:
				t.Errorf("%v: number %d is %s, not %s", arch, want, name, c.Name)
			}
			n++
			return true
		})
		if n < 300 {
			t.Errorf("%v: only %d numbers found", arch, n)
		}
	}
}

// Names that the kernel's tables and its headers give differently.
var renamed = map[string]bool{
	"umount umount2": true, "newfstatat fstatat": true, "fadvise64 fadvise64": true, "sync_file_range2 arm_sync_file_range": true,
	"arm_sync_file_range sync_file_range2": true, "arm_sync_file_range arm_sync_file_range": true,
}

// TestVariants: every command finds its variant.
func TestVariants(t *testing.T) {
	for _, a := range archs() {
		for i := range All(a) {
			c := &All(a)[i]
			for j, v := range c.Subs {
				if j > 0 && c.Subs[j-1].Cmd >= v.Cmd {
					t.Errorf("%v %s: commands are not sorted", a, c.Name)
				}
				var args [6]uint64
				args[c.Args[c.Sub].Reg] = uint64(v.Cmd)
				if c.Variant(&args) != v.Call || v.Call.Nargs > c.Nargs {
					t.Errorf("%v %s %#x: its variant is not found, or has more arguments", a, c.Name, v.Cmd)
				}
			}
		}
	}
}

func TestClasses(t *testing.T) {
	for name, want := range map[string]Class{
		"openat": ClassFile | ClassDesc, "read": ClassDesc, "socket": ClassNetwork, "mmap": ClassMemory | ClassDesc, "kill": ClassSignal | ClassProcess,
		"execve": ClassFile | ClassProcess, "semop": ClassIPC, "setuid": ClassCreds, "futex": 0, "stat": ClassFile | ClassStat, "getcwd": ClassFile, "clock_gettime": ClassClock,
	} {
		if c := ByName(record.ArchX86_64, name); c == nil || c.Class != want {
			t.Errorf("%s: class %#x, want %#x", name, c.Class, want)
		}
	}
	if ClassByName("%file") != ClassFile || ClassByName("net") != ClassNetwork || ClassByName("x") != 0 {
		t.Error("ClassByName")
	}
}

// TestRows: the calls that programs really make have a row of their own.
func TestRows(t *testing.T) {
	for _, a := range []record.Arch{record.ArchX86_64, record.ArchARM64} {
		var guessed []string
		for i := range All(a) {
			if c := &All(a)[i]; c.Flags&FlagGuessed != 0 {
				guessed = append(guessed, c.Name)
			}
		}
		if len(guessed) > 40 {
			t.Errorf("%v: %d calls without a row: %v", a, len(guessed), guessed)
		}
	}
}

func TestErrno(t *testing.T) {
	for n, want := range map[int]string{2: "ENOENT No such file or directory", 11: "EAGAIN Resource temporarily unavailable", 95: "EOPNOTSUPP Operation not supported",
		133: "EHWPOISON Memory page has hardware error", 512: "ERESTARTSYS To be restarted if SA_RESTART is set", 41: " ", -1: " ", 9999: " "} {
		if name, text := Errno(n); name+" "+text != want {
			t.Errorf("%d: %s %s, want %s", n, name, text, want)
		}
	}
}

// TestGenerated: the generated files are what the generator makes of the facts and the rows.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"kernel.tsv", "consts.tsv", "calls.txt", "structs.txt", "sets.txt"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "run", "../../internal/gensyscalls", "tables", "-dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range []string{"zcalls.go", "ztypes.go", "zsets.go"} {
		got, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := os.ReadFile(f); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what go generate makes (%v)", f, err)
		}
	}
}
