package strace

import (
	"encoding/binary"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/internal/abi32"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// The oracle: a program is run twice without address randomisation, once under
// strace and once under a tracer here that captures by the plans, as the BPF
// program does. The two must print the same lines.

var oracleShow = flag.Bool("oracle.show", false, "print the lines of the oracle tests that differ")

// tracer captures what a process does into records.
type tracer struct {
	pid   int
	arch  record.Arch
	plans map[layout.SubplanKey]layout.Plan
	sp    uint64 // when the call began
	lines []string
	opt   Options
	links map[uint64]int // netlink sockets and their protocols plus 1
}

// syscallInfo is struct ptrace_syscall_info.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	arch uint32
	at   [2]uint64 // instruction and stack pointers
	data [8]uint64
}

func (t *tracer) read(addr uint64, n int) ([]byte, bool) {
	b := make([]byte, n)
	if n == 0 {
		return b, true
	}
	got, err := unix.ProcessVMReadv(t.pid, []unix.Iovec{{Base: &b[0], Len: uint64(n)}}, []unix.RemoteIovec{{Base: uintptr(addr), Len: n}}, 0)
	if err != nil || got < 0 {
		return nil, false
	}
	return b[:got], got == n
}

func (t *tracer) mem(rec *record.Record, kind layout.ItemKind, arg uint8, addr uint64, n, limit uint64, entry bool) {
	if addr == 0 {
		return
	}
	it := record.Item{Arg: arg, Kind: kind}
	if entry {
		it.Flags |= layout.ItemEntry
	}
	if n > limit {
		n, it.Flags = limit, it.Flags|layout.ItemCut
	}
	b, ok := t.read(addr, int(n))
	if !ok {
		it.Flags |= layout.ItemFault
	}
	it.Data = b
	rec.Items = append(rec.Items, it)
}

func (t *tracer) str(rec *record.Record, kind layout.ItemKind, arg uint8, addr uint64, limit int, entry bool) {
	if addr == 0 {
		return
	}
	it := record.Item{Arg: arg, Kind: kind}
	if entry {
		it.Flags |= layout.ItemEntry
	}
	for len(it.Data) < limit-1 {
		b, ok := t.read(addr+uint64(len(it.Data)), 1)
		if !ok {
			it.Flags |= layout.ItemFault
			break
		}
		if b[0] == 0 {
			rec.Items = append(rec.Items, it)
			return
		}
		it.Data = append(it.Data, b[0])
	}
	if it.Flags&layout.ItemFault == 0 {
		it.Flags |= layout.ItemCut
	}
	rec.Items = append(rec.Items, it)
}

const contents = 256

func (t *tracer) iov(rec *record.Record, arg uint8, addr, n, valid uint64) {
	w := syscalls.Word(t.arch)
	n = min(n, 64)
	t.mem(rec, layout.ItemIov, arg, addr, n*2*uint64(w), uint64(64*w), false)
	b, _ := t.read(addr, int(n)*2*w)
	var data []byte
	room, all := min(valid, contents), uint64(0)
	for i := 0; i < int(n) && (i+1)*2*w <= len(b); i++ {
		base, l := load(b[2*w*i:], w), load(b[2*w*i+w:], w)
		take := min(l, room-uint64(len(data)))
		d, _ := t.read(base, int(take))
		data = append(data, d...)
		all += min(l, valid-all)
	}
	it := record.Item{Arg: arg, Kind: layout.ItemIovdata, Data: data}
	if all > uint64(len(data)) {
		it.Flags |= layout.ItemCut
	}
	rec.Items = append(rec.Items, it)
}

func (t *tracer) msg(rec *record.Record, arg uint8, addr, valid uint64) {
	w := syscalls.Word(t.arch)
	t.mem(rec, layout.ItemMsg, arg, addr, uint64(7*w), uint64(7*w), false)
	b, ok := t.read(addr, 7*w)
	if !ok {
		return
	}
	if name, n := load(b, w), load(b[w:], 4); name != 0 && n != 0 {
		t.mem(rec, layout.ItemName, arg, name, n, 128, false)
	}
	t.iov(rec, arg, load(b[2*w:], w), load(b[3*w:], w), valid)
	if c, n := load(b[4*w:], w), load(b[5*w:], w); c != 0 && n != 0 {
		t.mem(rec, layout.ItemControl, arg, c, n, 256, false)
	}
}

// capture does what the BPF program's capture does. phase: as there.
func (t *tracer) capture(rec *record.Record, phase int) {
	plan := syscalls.Plan(t.arch, uint32(rec.Nr))
	if plan.Flags&uint8(layout.PlanSub) != 0 {
		nr := uint32(rec.Nr)
		if t.arch == record.ArchI386 {
			nr += layout.PlanCalls
		}
		cmd := uint32(rec.Args[plan.Sub])
		if sub, ok := t.plans[layout.SubplanKey{Nr: nr, Cmd: cmd}]; ok {
			plan = sub
		}
	}
	args := rec.Args
	if plan.Flags&uint8(layout.PlanArgs) != 0 {
		b, _ := t.read(rec.Args[1], 4*int(plan.Nargs))
		if phase != 1 {
			t.mem(rec, layout.ItemMem, 1, rec.Args[1], 4*uint64(plan.Nargs), 24, phase > 0)
		}
		for i := range args {
			args[i] = load(b[min(4*i, len(b)):], 4)
		}
	}
	for _, op := range plan.Op[:plan.Nops] {
		when := layout.OpWhen(op.When)
		same := when == layout.OpSame && args[op.Arg] != 0 && args[op.Arg] == args[op.Over&^uint8(layout.Over)]
		if phase == 0 && (when == layout.OpEntry || when == layout.OpSame || when == layout.OpOk && rec.Ret < 0) ||
			phase == 1 && when != layout.OpEntry && !same || phase == 2 && (when == layout.OpOk || when == layout.OpSame) ||
			when == layout.OpCaller && rec.Ret == 0 || when == layout.OpParent && rec.Ret <= 0 {
			continue
		}
		addr, carg, n := args[op.Arg], args[op.Carg], uint64(1)
		if op.Over > 0 && rec.Ret >= 0 {
			written := uint64(op.Span)
			if written == 0 {
				written = uint64(rec.Ret)
			}
			if addr-args[op.Over&^uint8(layout.Over)] < written {
				continue
			}
		}
		switch layout.OpTimes(op.Count) {
		case layout.CountArg:
			n = uint64(max(0, int32(carg)))
		case layout.CountArgLong:
			n = carg
		case layout.CountRet:
			n = uint64(max(0, rec.Ret))
		case layout.CountPtr:
			b, _ := t.read(carg, 4)
			n = load(b, 4)
		case layout.CountPages:
			n = (carg + 4095) >> 12
		case layout.CountBits:
			w := uint64(syscalls.Word(t.arch))
			n = (uint64(max(0, int32(carg))) + w*8 - 1) / (w * 8) * w
		}
		n = min(n, 1<<20)
		valid := uint64(max(0, rec.Ret))
		if op.At&uint8(layout.AtInput) != 0 {
			valid = 1<<64 - 1
		}
		switch layout.OpKind(op.Kind) {
		case layout.OpStr:
			t.str(rec, layout.ItemStr, op.Arg, addr, int(op.Max), phase > 0)
		case layout.OpMem, layout.OpSockopt, layout.OpPoll: // the programs set no keys, and poll few
			t.mem(rec, layout.ItemMem, op.Arg, addr, n*uint64(op.Size), uint64(op.Max), phase > 0)
		case layout.OpVia, layout.OpViaStr:
			w := syscalls.Word(t.arch)
			if op.At&uint8(layout.AtWide) != 0 {
				w = 8
			}
			b, _ := t.read(addr+uint64(op.At&^uint8(layout.AtWide)), w)
			if layout.OpKind(op.Kind) == layout.OpViaStr {
				t.str(rec, layout.ItemVia, op.Arg, load(b, w), int(op.Max), phase > 0)
			} else {
				t.mem(rec, layout.ItemVia, op.Arg, load(b, w), uint64(op.Size), uint64(op.Max), phase > 0)
			}
		case layout.OpVec:
			w := syscalls.Word(t.arch)
			for i := range min(n, 32) {
				b, ok := t.read(addr+i*uint64(w), w)
				it := record.Item{Arg: op.Arg, Kind: layout.ItemElem}
				if !ok {
					it.Flags = layout.ItemFault
				}
				if ok && load(b, w) != 0 {
					t.mem(rec, layout.ItemElem, op.Arg, load(b, w), uint64(op.Size), uint64(op.Size), phase > 0)
					continue
				}
				rec.Items = append(rec.Items, it)
				if !ok {
					break
				}
			}
		case layout.OpStack:
			t.mem(rec, layout.ItemMem, op.Arg, t.sp+uint64(op.Max), uint64(op.Size), 64, phase > 0)
		case layout.OpRoom:
			w := syscalls.Word(t.arch)
			if b, _ := t.read(addr, w); load(b, w) != 0 {
				t.mem(rec, layout.ItemLen, op.Arg, addr+uint64(w), 4, 4, phase > 0)
			}
		case layout.OpLen:
			t.mem(rec, layout.ItemLen, op.Arg, addr, uint64(op.Size), 8, phase > 0)
		case layout.OpData:
			t.mem(rec, layout.ItemData, op.Arg, addr, n*uint64(op.Size), contents, phase > 0)
		case layout.OpStrv:
			w := syscalls.Word(t.arch)
			for i := range 33 {
				b, ok := t.read(addr+uint64(i*w), w)
				if ok && i == 0 && load(b, w) == 0 {
					t.mem(rec, layout.ItemCount, op.Arg, addr, 4, 4, phase > 0)
				}
				if !ok || load(b, w) == 0 {
					break
				}
				t.str(rec, layout.ItemStrv, op.Arg, load(b, w), int(op.Max), phase > 0)
			}
		case layout.OpCount:
			w := syscalls.Word(t.arch)
			i := 0
			for ; addr != 0; i++ {
				if b, ok := t.read(addr+uint64(i*w), w); !ok || load(b, w) == 0 {
					break
				}
			}
			rec.Items = append(rec.Items, record.Item{Arg: op.Arg, Kind: layout.ItemCount, Data: binary.LittleEndian.AppendUint32(nil, uint32(i))})
		case layout.OpIov:
			t.iov(rec, op.Arg, addr, n, valid)
		case layout.OpMsg:
			if rec.Ret < 0 && op.At == 0 {
				t.mem(rec, layout.ItemMsg, op.Arg, addr, uint64(7*syscalls.Word(t.arch)), 56, false)
			} else {
				t.msg(rec, op.Arg, addr, valid)
			}
		case layout.OpMmsg:
			size := uint64(8 * syscalls.Word(t.arch))
			t.mem(rec, layout.ItemMmsg, op.Arg, addr, n*size, 8*size, false)
			for i := range min(n, 8) {
				bytes := valid
				if op.At == 0 {
					b, _ := t.read(addr+i*size+size-uint64(syscalls.Word(t.arch)), 4)
					bytes = load(b, 4)
				}
				t.msg(rec, op.Arg, addr+i*size, bytes)
			}
		}
	}
}

func (t *tracer) info(info *syscallInfo) bool {
	const getSyscallInfo = 0x420e
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(t.pid), unsafe.Sizeof(*info), uintptr(unsafe.Pointer(info)), 0, 0)
	return e == 0
}

// trace runs a command and returns its calls and signals, as text.
func trace(opt Options, argv ...string) ([]string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	cmd.Env = oracleEnv
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &tracer{pid: cmd.Process.Pid, opt: opt}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &ws, 0, nil); err != nil {
		return nil, err
	}
	const opts = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(t.pid, opts); err != nil {
		return nil, err
	}
	var rec *record.Record
	for sig := 0; ; {
		if err := syscall.PtraceSyscall(t.pid, sig); err != nil {
			return t.lines, err
		}
		if _, err := syscall.Wait4(t.pid, &ws, 0, nil); err != nil {
			return t.lines, err
		}
		sig = 0
		switch {
		case ws.Exited() || ws.Signaled():
			code := int64(ws)
			t.lines = append(t.lines, string(AppendExit(nil, &record.Record{Type: layout.RecExit, Ret: code})))
			return t.lines, nil
		case ws.StopSignal() == syscall.SIGTRAP|0x80:
			var si syscallInfo
			if !t.info(&si) {
				continue
			}
			switch si.op {
			case 1: // entry
				t.arch = record.ArchX86_64
				if si.arch == 0x40000003 {
					t.arch = record.ArchI386
				}
				t.plans = syscalls.SubPlans(t.arch)
				rec = &record.Record{Type: layout.RecCall, Nr: uint16(si.data[0])}
				copy(rec.Args[:], si.data[1:7])
				t.sp = si.at[1]
				t.capture(rec, 1)
				if plan := syscalls.Plan(t.arch, uint32(rec.Nr)); plan.Flags&uint8(layout.PlanEnter) != 0 {
					t.capture(rec, 2)
					if c := syscalls.Lookup(t.arch, uint32(rec.Nr)); c.Name[:4] == "exit" {
						rec.Type = layout.RecEnter
						line := AppendEntry(nil, t.arch, rec, t.opt)
						t.lines = append(t.lines, string(AppendNoReturn(line, 0, t.opt)))
						rec.Type = layout.RecCall
					}
				}
			case 2: // exit
				if rec == nil {
					continue
				}
				rec.Ret = int64(si.data[0])
				if plan := syscalls.Plan(t.arch, uint32(rec.Nr)); plan.Flags&uint8(layout.PlanEnter) == 0 || rec.Ret < 0 {
					t.capture(rec, 0)
				} else {
					rec.Type = layout.RecEnter // the memory is gone; what was read at its start is shown
				}
				t.opt.Netlink = t.links[rec.Args[0]]
				t.lines = append(t.lines, string(AppendCall(nil, t.arch, rec, t.opt)))
				switch c := syscalls.Lookup(t.arch, uint32(rec.Nr)); {
				case c == nil:
				case c.Name == "socket" && rec.Args[0] == unix.AF_NETLINK:
					if t.links == nil {
						t.links = make(map[uint64]int)
					}
					t.links[uint64(rec.Ret)] = int(rec.Args[2]) + 1
				case c.Name == "close":
					delete(t.links, rec.Args[0])
				}
				rec = nil
			}
		case ws.StopSignal() == syscall.SIGTRAP:
		default:
			sig = int(ws.StopSignal())
			var si [128]byte
			unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(t.pid), 0, uintptr(unsafe.Pointer(&si)), 0, 0)
			r := &record.Record{Type: layout.RecSignal, Nr: uint16(sig), Items: []record.Item{{Kind: layout.ItemMem, Data: si[:]}}}
			t.lines = append(t.lines, string(AppendSignal(nil, t.arch, r, t.opt)))
		}
	}
}

var oracleEnv = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "TZ=UTC"}

// straceLines runs a command under strace.
func straceLines(tb testing.TB, argv ...string) []string {
	tb.Helper()
	out := tb.TempDir() + "/out"
	cmd := exec.Command("strace", append([]string{"-o", out, "--"}, argv...)...)
	cmd.Env = oracleEnv
	cmd.Run()
	b, err := os.ReadFile(out)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// What differs between two runs, or by design, and what is put in its place.
var different = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`^getrandom\([^,]*`), "getrandom(BUF"}, // never captured
	{regexp.MustCompile(` /\* \d+ entries \*/`), ""},           // the entries of a directory are not captured
	{regexp.MustCompile(`^(get(?:random|dents).*\)) +=`), "$1 ="},
	{regexp.MustCompile(`f_(bfree|bavail|files|ffree)=\d+`), "f_$1=N"},
	{regexp.MustCompile(`left \{tv_sec=0, tv_(u|n)sec=\d+\}`), "left {tv_sec=0, tv_${1}sec=N}"},
	{regexp.MustCompile(`^(shm|msg|sem)(ctl|op)\(\d+`), "$1$2(N"}, // the ids are new ones in each run
	{regexp.MustCompile(`^semget(\(.*\)) += .*`), "semget$1"},
	{regexp.MustCompile(`_(ctime|otime|cpid)=(\d+|PID)`), "_$1=N"},
	{regexp.MustCompile(`^(semctl\(N, 0, IPC_INFO.*\)) += \d+$`), "$1 = N"},
	{regexp.MustCompile(`nlmsg_pid=(-?\d+|PID)`), "nlmsg_pid=N"},
	{regexp.MustCompile(`^sysinfo\(.*`), "sysinfo"},
	{regexp.MustCompile(`^(shmget|msgget)(\(.*\)) += .*`), "$1$2"}, // the id, or that it exists now
	{regexp.MustCompile(`^(set_tid_address\([^)]*\)|get[tp]p?id\(\)) += \d+`), "$1 = PID"},
}

func normal(line, pid string) string {
	line = regexp.MustCompile(`\b`+pid+`\b`).ReplaceAllString(line, "PID")
	for _, d := range different {
		line = d.re.ReplaceAllString(line, d.by)
	}
	return line
}

// deviations are the lines of strace 6.1 that are shown in another way, and why.
// Every other line must be the same.
var deviations = []struct {
	line *regexp.Regexp // of strace
	why  string
}{
	{regexp.MustCompile(`^[fl]?setxattr\(.*, "value", 5, `), "values are not captured"},
	{regexp.MustCompile(`^setsockopt\(\d+, SOL_SOCKET, SO_(RCV|SND)TIMEO_(OLD|NEW), "`), "timeouts are decoded"},
	{regexp.MustCompile(`^recvmsg\(\d+, \{msg_namelen=\d+\}, \w+\) += -1 `), "nothing is captured of one that failed"},
	{regexp.MustCompile(`^sendmmsg\(.*iov_base="one"`), "contents are not captured"},
	{regexp.MustCompile(`^sigreturn\(\{mask=`), "the frame of the old call is not captured"},
	{regexp.MustCompile(`^clock_gettime(64)?\(0xf[0-9a-f]+ /\* CLOCK_`), "clocks of processes are decoded"},
	{regexp.MustCompile(`^sethostname\(0x[0-9a-f]+, 4294967295\)`), "of an impossible length"},
	{regexp.MustCompile(`^syscall_0x1ce\(`), "mseal: unknown to strace 6.1"},
	{regexp.MustCompile(`^mount\("x", "/nonexistent", 0x`), "strings that the kernel ignores are shown"},
	{regexp.MustCompile(`^futex(_time64)?\(.* /\* FUTEX_`), "operations that do not exist"},
	{regexp.MustCompile(`^ioctl\(.*TCSETS, .*0xffff`), "flags that do not exist"},
	{regexp.MustCompile(`^sendmsg\(-1, \{msg_name=\{sa_family=AF_NETLINK`), "contents of what failed are not captured"},
	{regexp.MustCompile(`^fanotify_mark\(-1, .*0xfffff800, `), "newer events"},
	{regexp.MustCompile(`^landlock_create_ruleset\(\{handled_access_fs=.*\|0x`), "the struct has grown"},
	{regexp.MustCompile(`^ioctl\(-1, _IOC\(_IOC_WRITE, 0x66, 0x2, 0x8\)`), "the 64-bit request of a 32-bit program"},
}

// flagsAside matches flags. Lines that differ in nothing else, and of which strace
// says that it does not know all bits, are the same: the names are of newer kernels,
// or the bits are above those that the kernel looks at.
var flagsAside = regexp.MustCompile(`(?:0x[0-9a-f]+ /\* \w+ \*/|[A-Z][A-Za-z0-9_]+)(?:\|0x[0-9a-f]+|\|[A-Z0-9_]+)+`)

// deviates returns why a line is not strace's, "" if there is no reason.
func deviates(got, want string) string {
	for _, d := range deviations {
		if d.line.MatchString(want) {
			return d.why
		}
	}
	if strings.Contains(want, "|0x") && flagsAside.ReplaceAllString(got, "FLAGS") == flagsAside.ReplaceAllString(want, "FLAGS") {
		return "newer flags"
	}
	return ""
}

var reTid = regexp.MustCompile(`^set_tid_address\(.*= (\d+)`)

// pidOf finds a process's id in what it did.
func pidOf(lines []string) string {
	for _, l := range lines {
		if m := reTid.FindStringSubmatch(l); m != nil {
			return m[1]
		}
	}
	return "-"
}

// compareWithStrace runs a command under both and reports the lines that differ.
func compareWithStrace(t *testing.T, argv ...string) {
	t.Helper()
	// Inherited by what is started: addresses are the same in every run.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const addrNoRandomize = 0x40000
	was, _, _ := unix.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	unix.Syscall(unix.SYS_PERSONALITY, was|addrNoRandomize, 0, 0)
	defer unix.Syscall(unix.SYS_PERSONALITY, was, 0, 0)

	want := straceLines(t, argv...)
	got, err := trace(Options{StringLimit: 32, Align: 40}, argv...)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) > 0 && strings.HasPrefix(want[0], "execve(") {
		want = want[1:] // ours begins after the first exec
	}
	gotPid, wantPid := pidOf(got), pidOf(want)
	same, known := 0, 0
	for i, j := 0, 0; i < len(got) && j < len(want); i, j = i+1, j+1 {
		g, w := normal(got[i], gotPid), normal(want[j], wantPid)
		switch {
		case g == w:
			same++
		case deviates(g, w) != "":
			known++
		default:
			t.Errorf("%s\ngot  %s\nwant %s", argv[0], got[i], want[j])
		}
		if *oracleShow && g != w {
			t.Logf("\ngot  %s\nwant %s", got[i], want[j])
		}
	}
	if len(got) != len(want) || same < 30 {
		t.Errorf("%v: %d lines, strace has %d, %d are the same", argv, len(got), len(want), same)
	}
	t.Logf("%v: %d lines are strace's, %d differ as they should", argv, same, known)
}

// TestAgainstStrace compares whole programs with strace 6.1, whose lines the
// formats follow.
func TestAgainstStrace(t *testing.T) {
	out, err := exec.Command("strace", "-V").Output()
	if err != nil {
		t.Fatal("strace is needed")
	}
	if !strings.HasPrefix(string(out), "strace -- version 6.1\n") {
		t.Skipf("another version: %s", strings.SplitN(string(out), "\n", 2)[0])
	}
	if err := exec.Command("strace", "-o", "/dev/null", "true").Run(); err != nil {
		t.Fatalf("strace may not trace here: %v", err)
	}
	for _, argv := range [][]string{
		{"/bin/ls", "-l", "/etc/apt"}, {"/bin/cat", "/etc/passwd", "/nonexistent"}, {"/bin/tar", "cf", "/dev/null", "/etc/apt"},
		{"/usr/bin/stat", "/dev/null"}, {"/bin/date", "-u", "-d", "@0"}, {"/usr/bin/find", "/etc/apt"},
	} {
		if _, err := os.Stat(argv[0]); err == nil {
			compareWithStrace(t, argv...)
		}
	}
	abis := []string{"-m64"}
	if abi32.Runs(t) {
		abis = append(abis, "-m32")
	}
	for _, abi := range abis {
		dir := t.TempDir()
		bin := filepath.Join(dir, "oracle")
		if msg, err := exec.Command("cc", abi, "-w", "-O0", "-o", bin, "testdata/oracle.c").CombinedOutput(); err != nil {
			if abi == "-m64" {
				t.Fatalf("%v\n%.1000s", err, msg)
			}
			t.Logf("not with %s: %v %.200s", abi, err, msg)
			continue
		}
		was, _ := os.Getwd()
		if err := os.Chdir(dir); err != nil {
			t.Fatal(err)
		}
		compareWithStrace(t, bin)
		if err := os.Chdir(was); err != nil {
			t.Fatal(err)
		}
	}
}
