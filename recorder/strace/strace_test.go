package strace

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/internal/race"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// words packs numbers as memory: int32, uint64, … and strings as they are.
func words(vs ...any) []byte {
	var b []byte
	for _, v := range vs {
		switch v := v.(type) {
		case string:
			b = append(b, v...)
		default:
			b, _ = binary.Append(b, binary.LittleEndian, v)
		}
	}
	return b
}

func item(arg uint8, kind layout.ItemKind, data []byte, flags ...layout.ItemFlag) record.Item {
	it := record.Item{Arg: arg, Kind: kind, Data: data}
	for _, f := range flags {
		it.Flags |= f
	}
	return it
}

func str(arg uint8, s string) record.Item         { return item(arg, layout.ItemStr, []byte(s)) }
func mem(arg uint8, vs ...any) record.Item        { return item(arg, layout.ItemMem, words(vs...)) }
func args(a ...uint64) (r [6]uint64)              { copy(r[:], a); return r }
func nr(arch record.Arch, name string) (n uint16) { return uint16(syscalls.ByName(arch, name).Nr) }
func lenItem(arg uint8, n uint32, f layout.ItemFlag) record.Item {
	return item(arg, layout.ItemLen, words(n), f)
}

const (
	x64   = record.ArchX86_64
	x86   = record.ArchI386
	arm64 = record.ArchARM64
	arm32 = record.ArchARM
	cwd   = 0xffffff9c
)

// golden are calls as they are recorded and the lines that strace prints for
// them. What strace leaves to the reader's imagination (uncaptured contents) is ours.
var golden = []struct {
	arch record.Arch
	name string
	args [6]uint64
	ret  int64
	data []record.Item
	want string
}{
	{x64, "openat", args(cwd, 0x1000, 02000000, 0xdead), -2, []record.Item{str(1, "/etc/app.conf")},
		`openat(AT_FDCWD, "/etc/app.conf", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)`},
	{x64, "openat", args(cwd, 0x1000, 0102|02000, 0644), 3, []record.Item{str(1, "a\nb\"\x01")},
		`openat(AT_FDCWD, "a\nb\"\1", O_RDWR|O_CREAT|O_APPEND, 0644) = 3`},
	{x64, "openat", args(cwd, 0x1000, 0), -14, []record.Item{item(1, layout.ItemStr, nil, layout.ItemFault)},
		`openat(AT_FDCWD, 0x1000, O_RDONLY) = -1 EFAULT (Bad address)`},
	{arm64, "openat", args(cwd, 0x1000, 040000|0100000), 3, []record.Item{str(1, "/")},
		`openat(AT_FDCWD, "/", O_RDONLY|O_NOFOLLOW|O_DIRECTORY) = 3`},
	{x64, "read", args(3, 0x7f00, 4096), 5, nil, `read(3, 0x7f00, 4096) = 5`},
	{x64, "read", args(3, 0x7f00, 4096), 5, []record.Item{item(1, layout.ItemData, []byte("hell\x00"))}, `read(3, "hell\0", 4096) = 5`},
	{x64, "read", args(3, 0x7f00, 4096), 0, nil, `read(3, "", 4096) = 0`},
	{x64, "read", args(3, 0x7f00, 4096), -512, nil, `read(3, 0x7f00, 4096) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)`},
	{x64, "write", args(1, 0x7f00, 100), 100, []record.Item{item(1, layout.ItemData, []byte(strings.Repeat("x", 40)), layout.ItemCut)},
		`write(1, "` + strings.Repeat("x", 32) + `"..., 100) = 100`},
	{x64, "times", args(0x10), 7, []record.Item{mem(0, int64(6), int64(0), int64(119), int64(0))},
		`times({tms_utime=6 /* 0.06 s */, tms_stime=0, tms_cutime=119 /* 1.19 s */, tms_cstime=0}) = 7`},
	{x64, "clone3", args(0x10, 88), 9, []record.Item{mem(0, uint64(0x1000), uint64(0x20), uint64(0), uint64(0), uint64(17), [6]uint64{}), item(0, layout.ItemVia, words(int32(4)))},
		`clone3({flags=CLONE_PIDFD, pidfd=0x20, exit_signal=SIGCHLD, stack=NULL, stack_size=0} => {pidfd=[4]}, 88) = 9`},
	{x64, "rt_sigreturn", args(), -1648062863613455940, []record.Item{mem(0, uint64(0))}, `rt_sigreturn({...}) = 16798681210096095676`},
	{x86, "getpid", args(), 4294967292, nil, `getpid() = -1 EINTR (Interrupted system call)`},
	{x64, "bpf", args(999, 0x10, 4), -524, nil, `bpf(0x3e7 /* BPF_??? */, 0x10, 4) = -1 ENOTSUPP (Unknown error 524)`},
	{x64, "sched_setaffinity", args(0, 512, 0x10), 0, []record.Item{item(2, layout.ItemMem, words(uint64(5)), layout.ItemCut)}, `sched_setaffinity(0, 512, [0 2 ...]) = 0`},
	{x64, "clone", args(0x400011, 0, 0, 0, 0), 9, nil, `clone(child_stack=NULL, flags=0x400000 /* CLONE_??? */|SIGCHLD) = 9`},
	{x64, "sendto", args(3, 0x10, 36, 0, 0x20, 12), 36, []record.Item{item(1, layout.ItemData, words(uint32(32), uint16(16), uint16(1), uint64(7), "\x03\x01\x00\x00\x0b\x00\x02\x00nlctrl\x00\x00")), mem(4, uint16(16), [10]byte{})},
		`sendto(3, [{nlmsg_len=32, nlmsg_type=0x10 /* NLMSG_??? */, nlmsg_flags=NLM_F_REQUEST, nlmsg_seq=7, nlmsg_pid=0}, "\x03\x01\x00\x00\x0b\x00\x02\x00\x6e\x6c\x63\x74\x72\x6c\x00\x00"], 36, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 36`},
	{x64, "execve", args(0x10, 0x20, 0x30), -2, []record.Item{str(0, "/bin/x"), item(1, layout.ItemStrv, []byte("x")), item(1, layout.ItemStrv, []byte("-l")),
		item(1, layout.ItemStrv, nil, layout.ItemCut), item(2, layout.ItemCount, words(uint32(23)))},
		`execve("/bin/x", ["x", "-l", ...], 0x30 /* 23 vars */) = -1 ENOENT (No such file or directory)`},
	{x64, "mmap", args(0, 8192, 3, 0x22, 0xffffffff, 0), 0x7f0000001000, nil,
		`mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000`},
	{x64, "connect", args(3, 0x10, 16), -115, []record.Item{mem(1, uint16(2), "\x00\x50\x7f\x00\x00\x01", uint64(0))},
		`connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)`},
	{x64, "accept4", args(3, 0x10, 0x20, 02004000), 5, []record.Item{lenItem(2, 128, layout.ItemEntry), mem(1, uint16(1), "\x00abc"), lenItem(2, 6, 0)},
		`accept4(3, {sa_family=AF_UNIX, sun_path=@"abc"}, [128 => 6], SOCK_CLOEXEC|SOCK_NONBLOCK) = 5`},
	{x64, "poll", args(0x10, 2, 1000), 1, []record.Item{mem(0, int32(3), uint16(1), uint16(1), int32(4), uint16(4), uint16(0))},
		`poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, 1000) = 1 ([{fd=3, revents=POLLIN}])`},
	{x64, "poll", args(0x10, 1, 0), 0, []record.Item{mem(0, int32(3), uint16(1), uint16(0))}, `poll([{fd=3, events=POLLIN}], 1, 0) = 0 (Timeout)`},
	{x64, "epoll_wait", args(4, 0x10, 64, 0xffffffff), 1, []record.Item{mem(1, uint32(1), uint64(5))},
		`epoll_wait(4, [{events=EPOLLIN, data={u32=5, u64=5}}], 64, -1) = 1`},
	{arm64, "epoll_pwait", args(4, 0x10, 64, 10, 0, 8), 1, []record.Item{mem(1, uint32(1), uint32(0), uint64(5))},
		`epoll_pwait(4, [{events=EPOLLIN, data={u32=5, u64=5}}], 64, 10, NULL, 8) = 1`},
	{x64, "futex", args(0x7f10, 128, 2, 0), -11, nil, `futex(0x7f10, FUTEX_WAIT_PRIVATE, 2, NULL) = -1 EAGAIN (Resource temporarily unavailable)`},
	{x64, "futex", args(0x7f10, 129, 1), 1, nil, `futex(0x7f10, FUTEX_WAKE_PRIVATE, 1) = 1`},
	{x64, "fstat", args(3, 0x10), 0, []record.Item{mem(1, uint64(1), uint64(2), uint64(1), uint32(0100644), uint32(0), uint32(0), uint32(0), uint64(0), int64(220), make([]byte, 88))},
		`fstat(3, {st_mode=S_IFREG|0644, st_size=220, ...}) = 0`},
	{x86, "fstat64", args(3, 0x10), 0, []record.Item{mem(1, uint64(1), uint32(0), uint32(0), uint32(020620), uint32(1), uint32(0), uint32(0), uint64(0x8801), make([]byte, 56))},
		`fstat64(3, {st_mode=S_IFCHR|0620, st_rdev=makedev(0x88, 0x1), ...}) = 0`},
	{x64, "rt_sigaction", args(2, 0x10, 0x20, 8), 0, []record.Item{mem(0+1, uint64(0x4000), uint64(0x14000000), uint64(0x7f00), uint64(1<<16)), mem(2, make([]byte, 32))},
		`rt_sigaction(SIGINT, {sa_handler=0x4000, sa_mask=[CHLD], sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x7f00}, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, 8) = 0`},
	{x64, "rt_sigprocmask", args(2, 0x10, 0, 8), 0, []record.Item{mem(1, uint64(0xfffffffe7ffbfeff))}, `rt_sigprocmask(SIG_SETMASK, ~[KILL STOP RTMIN RT_1], NULL, 8) = 0`},
	{x64, "wait4", args(0xffffffff, 0x10, 0, 0), 77, []record.Item{mem(1, int32(0x8b))}, `wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}], 0, NULL) = 77`},
	{x64, "wait4", args(0xffffffff, 0x10, 1, 0), 7, []record.Item{mem(1, int32(0x300))}, `wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], WNOHANG, NULL) = 7`},
	{x64, "clone", args(0x1200011, 0, 0, 0x7f10, 0), 99, nil, `clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f10) = 99`},
	{arm64, "clone", args(0x1200011, 0, 0, 0, 0x7f10), 99, nil, `clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f10) = 99`},
	{x64, "clone3", args(0x10, 88), 99, []record.Item{mem(0, uint64(0x3d0f00), uint64(0x1), uint64(0x2), uint64(0x3), uint64(0), uint64(0x7000), uint64(0x8000), uint64(0x9000), make([]byte, 24))},
		`clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, child_tid=0x2, parent_tid=0x3, exit_signal=0, stack=0x7000, stack_size=0x8000, tls=0x9000} => {parent_tid=[99]}, 88) = 99`},
	{x64, "prlimit64", args(0, 3, 0, 0x10), 0, []record.Item{mem(3, uint64(8<<20), ^uint64(0))}, `prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0`},
	{x64, "fcntl", args(3, 3), 0x8002, nil, `fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)`},
	{x64, "ioctl", args(1, 0x5413, 0x10), 0, []record.Item{mem(2, uint16(24), uint16(80), uint16(0), uint16(0))},
		`ioctl(1, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0`},
	{x64, "ioctl", args(1, 0x80047a07, 0x10), -25, nil, `ioctl(1, _IOC(_IOC_READ, 0x7a, 0x7, 0x4), 0x10) = -1 ENOTTY (Inappropriate ioctl for device)`},
	{x64, "prctl", args(15, 0x10), 0, []record.Item{str(1, "worker")}, `prctl(PR_SET_NAME, "worker") = 0`},
	{x64, "nanosleep", args(0x10, 0x20), 0, []record.Item{mem(0, int64(1), int64(5)), mem(1, int64(7), int64(7))}, `nanosleep({tv_sec=1, tv_nsec=5}, 0x20) = 0`},
	{x64, "nanosleep", args(0x10, 0x20), -516, []record.Item{mem(0, int64(1), int64(5)), mem(1, int64(0), int64(7))},
		`nanosleep({tv_sec=1, tv_nsec=5}, {tv_sec=0, tv_nsec=7}) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)`},
	{x86, "clock_gettime", args(1, 0x10), 0, []record.Item{mem(1, int32(-1), int32(5))}, `clock_gettime(CLOCK_MONOTONIC, {tv_sec=-1, tv_nsec=5}) = 0`},
	{x86, "clock_gettime64", args(1, 0x10), 0, []record.Item{mem(1, int64(1)<<33, int64(5))}, `clock_gettime64(CLOCK_MONOTONIC, {tv_sec=8589934592, tv_nsec=5}) = 0`},
	{x86, "pread64", args(3, 0x10, 4, 5, 1), 0, nil, `pread64(3, "", 4, 4294967301) = 0`},
	{arm32, "pread64", args(3, 0x10, 4, 0, 5, 1), 0, nil, `pread64(3, "", 4, 4294967301) = 0`},
	{x86, "socketcall", args(1, 0x10), 3, []record.Item{mem(1, int32(2), int32(1), int32(0), make([]byte, 12))}, `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3`},
	{x64, "writev", args(1, 0x10, 2), 5, []record.Item{item(1, layout.ItemIov, words(uint64(0x1), uint64(3), uint64(0x2), uint64(2))), item(1, layout.ItemIovdata, []byte("abcde"))},
		`writev(1, [{iov_base="abc", iov_len=3}, {iov_base="de", iov_len=2}], 2) = 5`},
	{x64, "sendmsg", args(3, 0x10, 0x4000), 1, []record.Item{item(1, layout.ItemMsg, words(uint64(0), uint64(0), uint64(0x20), uint64(1), uint64(0x30), uint64(24), uint64(0))),
		item(1, layout.ItemIov, words(uint64(0x40), uint64(1))), item(1, layout.ItemIovdata, []byte("x")), item(1, layout.ItemControl, words(uint64(20), int32(1), int32(1), int32(5), int32(0)))},
		`sendmsg(3, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5]}], msg_controllen=24, msg_flags=0}, MSG_NOSIGNAL) = 1`},
	{x64, "getrandom", args(0x7f00, 16, 1), 16, nil, `getrandom(0x7f00, 16, GRND_NONBLOCK) = 16`},
	{x64, "mseal", args(0x1000, 4096, 0), 0, nil, `mseal(0x1000, 4096, 0) = 0`},
	{x64, "mount", args(0x10, 0x20, 0x30, 0xc0ed0000|2), 0, []record.Item{str(0, "none"), str(1, "/x"), str(2, "tmpfs")}, `mount("none", "/x", "tmpfs", MS_MGC_VAL|MS_NOSUID, NULL) = 0`},
	{x64, "mount", args(0x10, 0x20, 0x30, 0xc0ed0000), 0, []record.Item{str(0, "none"), str(1, "/x"), str(2, "tmpfs")}, `mount("none", "/x", "tmpfs", MS_MGC_VAL, NULL) = 0`},
	{x64, "getsockopt", args(3, 0, 64, 0x10, 0x20), -1, nil, `getsockopt(3, SOL_IP, IPT_SO_GET_INFO, 0x10, 0x20) = -1 EPERM (Operation not permitted)`},
	{x64, "getsockopt", args(3, 0, 80, 0x10, 0x20), -1, nil, `getsockopt(3, SOL_IP, SO_ORIGINAL_DST, 0x10, 0x20) = -1 EPERM (Operation not permitted)`},
	{x64, "getsockopt", args(3, 41, 65, 0x10, 0x20), -1, nil, `getsockopt(3, SOL_IPV6, IP6T_SO_GET_ENTRIES, 0x10, 0x20) = -1 EPERM (Operation not permitted)`},
	{x64, "setsockopt", args(3, 0, 64, 0, 0), -1, nil, `setsockopt(3, SOL_IP, IPT_SO_SET_REPLACE, NULL, 0) = -1 EPERM (Operation not permitted)`},
	{x64, "setsockopt", args(3, 41, 65, 0, 0), -1, nil, `setsockopt(3, SOL_IPV6, IP6T_SO_SET_ADD_COUNTERS, NULL, 0) = -1 EPERM (Operation not permitted)`},
	{x64, "mprotect", args(0, 0, 0xdead000000000003), -22, nil, `mprotect(NULL, 0, PROT_READ|PROT_WRITE|0xdead000000000000) = -1 EINVAL (Invalid argument)`},
	{x64, "mknod", args(0x10, 020666, 0xffffffffff), -2, []record.Item{str(0, "/x")}, `mknod("/x", S_IFCHR|0666, makedev(0xfff, 0xfffff)) = -1 ENOENT (No such file or directory)`},
	{x64, "ioctl", args(3, 0, 0), -25, nil, `ioctl(3, _IOC(_IOC_NONE, 0, 0, 0), 0) = -1 ENOTTY (Inappropriate ioctl for device)`},
	{x64, "socket", args(99, 0xffff, 255), -22, nil, `socket(0x63 /* AF_??? */, SOCK_NONBLOCK|0xf7ff, 255) = -1 EINVAL (Invalid argument)`},
	{x64, "poll", args(0x10, 200, 0), 2, []record.Item{item(0, layout.ItemMem, words(int32(3), uint16(1), uint16(1)), layout.ItemCut)},
		`poll([{fd=3, events=POLLIN}, ...], 200, 0) = 2 ([{fd=3, revents=POLLIN}, ...])`},
	{x64, "poll", args(0x10, 200, 0), 1, []record.Item{item(0, layout.ItemMem, words(int32(3), uint16(1), uint16(0)), layout.ItemCut)},
		`poll([{fd=3, events=POLLIN}, ...], 200, 0) = 1 ([...])`},
	{x64, "poll", args(0x10, 200, 0), 1, []record.Item{item(0, layout.ItemMem, words(int32(3), uint16(1), uint16(1)), layout.ItemCut)},
		`poll([{fd=3, events=POLLIN}, ...], 200, 0) = 1 ([{fd=3, revents=POLLIN}])`},
	{x64, "select", args(2000, 0x10), 1, []record.Item{item(1, layout.ItemMem, []byte{8, 0}, layout.ItemEntry, layout.ItemCut), item(1, layout.ItemMem, []byte{0, 0}, layout.ItemCut)},
		`select(2000, [3 ...], NULL, NULL, NULL) = 1 (in [...])`},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		rec := &record.Record{Type: layout.RecCall, Nr: nr(g.arch, g.name), Args: g.args, Ret: g.ret, Items: g.data}
		if got := string(AppendCall(nil, g.arch, rec, Options{StringLimit: 32})); got != g.want {
			t.Errorf("%v\ngot  %s\nwant %s", g.arch, got, g.want)
		}
	}
}

func TestUnknownNumber(t *testing.T) {
	rec := &record.Record{Type: layout.RecCall, Nr: 0x1c3 + 1000, Args: args(1, 0, 3), Ret: -38}
	const want = `syscall_0x5ab(0x1, 0, 0x3, 0, 0, 0) = -1 ENOSYS (Function not implemented)`
	for arch := record.Arch(0); arch < 8; arch++ {
		if got := string(AppendCall(nil, arch, rec, Options{})); got != want {
			t.Errorf("%v: got %s, want %s", arch, got, want)
		}
	}
	rec.Ret = -4000
	if got := string(AppendCall(nil, x64, rec, Options{})); !strings.HasSuffix(got, ") = -1 (errno 4000)") {
		t.Errorf("unknown errno: %s", got)
	}
}

func TestEntry(t *testing.T) {
	entryStr := func(arg uint8, s string) record.Item {
		return item(arg, layout.ItemStr, []byte(s), layout.ItemEntry)
	}
	for _, c := range []struct {
		name  string
		args  [6]uint64
		data  []record.Item
		entry string
	}{
		{"read", args(3, 0x7f00, 10), []record.Item{item(1, layout.ItemData, []byte("ab"))}, `read(3, `},
		{"wait4", args(0xffffffff, 0, 0, 0), nil, `wait4(-1, `},
		{"futex", args(0x10, 128, 2), nil, `futex(0x10, FUTEX_WAIT_PRIVATE, 2, NULL`},
		{"vfork", args(), nil, `vfork(`},
		{"epoll_wait", args(4, 0x10, 5, 7), nil, `epoll_wait(4, `},
		{"exit_group", args(3), nil, `exit_group(3`},
		{"execve", args(0x10, 0x20, 0x30), []record.Item{entryStr(0, "/bin/true")}, `execve("/bin/true", 0x20, 0x30`},
	} {
		rec := &record.Record{Type: layout.RecEnter, Nr: nr(x64, c.name), Args: c.args, Items: c.data}
		if got := string(AppendEntry(nil, x64, rec, Options{})); got != c.entry {
			t.Errorf("entry:   got %q, want %q", got, c.entry)
		}
	}
	rec := &record.Record{Type: layout.RecEnter, Nr: nr(x64, "exit_group"), Args: args(3)}
	line := AppendEntry([]byte("x "), x64, rec, Options{})
	if got := string(AppendNoReturn(line, 2, Options{Align: 40})); got != "x exit_group(3)                           = ?" {
		t.Errorf("got %q", got)
	}
}

func TestSignalsAndExits(t *testing.T) {
	si := func(sig, code int32, rest ...any) record.Record {
		b := words(sig, int32(0), code, int32(0))
		b = append(b, words(rest...)...)
		return record.Record{Type: layout.RecSignal, Nr: uint16(sig), Ret: int64(code), Items: []record.Item{item(0, layout.ItemMem, append(b, make([]byte, 64)...))}}
	}
	for _, c := range []struct {
		rec  record.Record
		want string
	}{
		{si(11, 1, uint64(8)), `--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x8} ---`},
		{si(15, 0, int32(7), int32(1000)), `--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=7, si_uid=1000} ---`},
		{si(17, 1, int32(7), int32(0), int32(3)), `--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, si_uid=0, si_status=3, si_utime=0, si_stime=0} ---`},
		{si(17, 2, int32(7), int32(0), int32(9)), `--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=7, si_uid=0, si_status=SIGKILL, si_utime=0, si_stime=0} ---`},
		{si(11, 128), `--- SIGSEGV {si_signo=SIGSEGV, si_code=SI_KERNEL, si_addr=NULL} ---`},
		{si(31, 1, uint64(0x10), int32(0), uint32(0xc000003e)), `--- SIGSYS {si_signo=SIGSYS, si_code=SYS_SECCOMP, si_call_addr=0x10, si_syscall=__NR_read, si_arch=AUDIT_ARCH_X86_64} ---`},
		{si(34, -6, int32(1), int32(2)), `--- SIGRT_2 {si_signo=SIGRT_2, si_code=SI_TKILL, si_pid=1, si_uid=2} ---`},
		{record.Record{Nr: 9, Ret: 0}, `--- SIGKILL {si_signo=SIGKILL, si_code=SI_USER} ---`},
		{record.Record{Nr: 900, Ret: -77}, `--- 900 {si_signo=900, si_code=0xffffffb3} ---`},
	} {
		if got := string(AppendSignal(nil, x64, &c.rec, Options{})); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	for code, want := range map[int64]string{0x300: "+++ exited with 3 +++", 9: "+++ killed by SIGKILL +++", 0x8b: "+++ killed by SIGSEGV (core dumped) +++"} {
		if got := string(AppendExit(nil, &record.Record{Ret: code})); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// argsJSON and resultJSON return what programs get of a call.
func argsJSON(arch record.Arch, rec *record.Record) string {
	var d Decoder
	var w value.JSON
	return string(w.Base64(w.Args(nil, d.Call(arch, rec, rec.Type == layout.RecEnter, 0))))
}

func resultJSON(arch record.Arch, rec *record.Record) string {
	var d Decoder
	var w value.JSON
	switch t := d.Call(arch, rec, false, 0); {
	case t.Ret < 0:
		return `"error"`
	case t.Means < 0:
		return string(w.Append(nil, t, t.Ret))
	default:
		return string(w.Means(append(w.Append([]byte{'['}, t, t.Ret), ','), t)) + "]"
	}
}

func siginfoJSON(rec *record.Record) string {
	var d Decoder
	var w value.JSON
	return string(w.Append(nil, d.Signal(x64, rec), 0))
}

// TestObjects checks that what has a text of its own is an object in JSON.
func TestObjects(t *testing.T) {
	si := append(words(int32(17), int32(0), int32(1), int32(0), int32(7), int32(1000), int32(3), int32(0), int64(250), int64(0)), make([]byte, 64)...)
	name := append(words(uint16(1)), "/run/x\x00"...)
	cmsg := words(uint64(20), uint32(1), uint32(1), int32(5), int32(0))
	msg := words(uint64(0x10), uint64(9), uint64(0x20), uint64(1), uint64(0x30), uint64(24), uint64(0))
	for _, c := range []struct{ got, want string }{
		{siginfoJSON(&record.Record{Type: layout.RecSignal, Nr: 17, Items: []record.Item{item(0, layout.ItemMem, si)}}),
			`{"si_signo":"SIGCHLD","si_code":"CLD_EXITED","si_pid":7,"si_uid":1000,"si_status":3,"si_utime":250,"si_stime":0}`},
		{siginfoJSON(&record.Record{Type: layout.RecSignal, Nr: 11, Ret: 1}), `{"si_signo":"SIGSEGV","si_code":"SEGV_MAPERR"}`},
		{argsJSON(x64, &record.Record{Type: layout.RecCall, Nr: nr(x64, "recvmsg"), Args: args(3, 0x1000, 0), Ret: 2, Items: []record.Item{
			item(1, layout.ItemMsg, msg), item(1, layout.ItemName, name), item(1, layout.ItemIov, words(uint64(0x40), uint64(8))),
			item(1, layout.ItemIovdata, []byte("hi")), item(1, layout.ItemControl, cmsg)}}),
			`[{"name":"sockfd","type":"fd","raw":3,"value":3},{"name":"msg","type":"msg","raw":4096,"value":` +
				`{"msg_name":{"sa_family":"AF_UNIX","sun_path":"/run/x"},"msg_namelen":9,"msg_iov":[{"iov_base":"hi","iov_len":8}],"msg_iovlen":1,` +
				`"msg_control":[{"cmsg_len":20,"cmsg_level":"SOL_SOCKET","cmsg_type":"SCM_RIGHTS","cmsg_data":[5]}],"msg_controllen":24,"msg_flags":[]}},` +
				`{"name":"flags","type":"msgflags","raw":0,"value":[]}]`},
		{argsJSON(x64, &record.Record{Type: layout.RecCall, Nr: nr(x64, "select"), Args: args(8, 0x1000), Ret: 1, Items: []record.Item{
			item(1, layout.ItemMem, []byte{0x28, 0, 0, 0, 0, 0, 0, 0}, layout.ItemEntry)}}),
			`[{"name":"nfds","type":"int","raw":8,"value":8},{"name":"readfds","type":"fdset","raw":4096,"value":[3,5]},{"name":"writefds","type":"fdset","raw":0},` +
				`{"name":"exceptfds","type":"fdset","raw":0},{"name":"timeout","type":"timeval","raw":0}]`},
		{argsJSON(x64, &record.Record{Type: layout.RecCall, Nr: nr(x64, "unlink"), Args: args(0x1000), Items: []record.Item{str(0, "a\xff")}}),
			`[{"name":"path","type":"path","raw":4096,"value":"a�"}],"base64":{"/args/0/value":"Yf8="}`},
		{argsJSON(x64, &record.Record{Type: layout.RecCall, Nr: nr(x64, "writev"), Args: args(1, 0x10, 2), Ret: 5, Items: []record.Item{
			item(1, layout.ItemIov, words(uint64(0x1), uint64(3), uint64(0x2), uint64(2))), item(1, layout.ItemIovdata, []byte("abc\xfe\xff"))}}),
			`[{"name":"fd","type":"fd","raw":1,"value":1},{"name":"iov","type":"iov","raw":16,"value":[{"iov_base":"abc","iov_len":3},{"iov_base":"��","iov_len":2}]},` +
				`{"name":"iovcnt","type":"size","raw":2}],"base64":{"/args/1/value/1/iov_base":"/v8="}`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

// An earlier decoder for JSON alone said what text did not: what a failed call left in memory, an
// unanswered address, the address of a mask as a mask, what lay behind a buffer.
func TestJSONDoesNotInvent(t *testing.T) {
	addr := mem(1, uint16(2), "\x00\x50\x7f\x00\x00\x01", uint64(0))
	for _, c := range []struct {
		arch       record.Arch
		name, want string
		rec        record.Record
	}{
		{x64, "getsockname", `[{"name":"sockfd","type":"fd","raw":3,"value":3},{"name":"addr","type":"sockaddr","raw":16},{"name":"addrlen","type":"len","raw":32,"value":{"in":0,"out":16}}]`,
			record.Record{Args: args(3, 0x10, 0x20), Items: []record.Item{lenItem(2, 0, layout.ItemEntry), addr, lenItem(2, 16, 0)}}},
		{x64, "rt_sigprocmask", `[{"name":"how","type":"sighow","raw":2,"value":"SIG_SETMASK"},{"name":"set","type":"sigset","raw":4096},{"name":"oldset","type":"sigset","raw":0},{"name":"sigsetsize","type":"size","raw":4}]`,
			record.Record{Args: args(2, 0x1000, 0, 4), Ret: -22, Items: []record.Item{mem(1, uint64(1))}}},
		{x64, "listxattr", `[{"name":"path","type":"path","raw":4096,"value":"/x"},{"name":"list","type":"chars","raw":16},{"name":"size","type":"size","raw":0}]`,
			record.Record{Args: args(0x1000, 0x10, 0), Ret: 5, Items: []record.Item{str(0, "/x"), item(1, layout.ItemMem, []byte("stale"))}}},
		{arm32, "recv", `[{"name":"sockfd","type":"fd","raw":3,"value":3},{"name":"buf","type":"data","raw":16,"value":"hell"},{"name":"len","type":"size","raw":4},{"name":"flags","type":"msgflags","raw":32,"value":["MSG_TRUNC"]}]`,
			record.Record{Args: args(3, 0x10, 4, 0x20), Ret: 11, Items: []record.Item{item(1, layout.ItemData, []byte("hellSECRET!"))}}},
	} {
		rec := c.rec
		rec.Type, rec.Nr = layout.RecCall, nr(c.arch, c.name)
		if got := argsJSON(c.arch, &rec); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestArgsJSON keeps the form in which programs get arguments.
func TestArgsJSON(t *testing.T) {
	var b bytes.Buffer
	for _, g := range golden {
		rec := &record.Record{Type: layout.RecCall, Nr: nr(g.arch, g.name), Args: g.args, Ret: g.ret, Items: g.data}
		fmt.Fprintf(&b, `{"name":%q,"args":%s,"return":%s}`+"\n", g.name, argsJSON(g.arch, rec), resultJSON(g.arch, rec))
	}
	const path = "testdata/args.golden"
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		got, want := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
		for i := range got {
			if i >= len(want) || got[i] != want[i] {
				t.Fatalf("line %d (go test -update writes it anew):\ngot  %s\nwant %s", i+1, got[i], want[min(i, len(want)-1)])
			}
		}
		t.Fatal("fewer lines than before")
	}
}

// TestAlign checks that "=" stands in strace's column, whatever stands before the call.
func TestAlign(t *testing.T) {
	rec := &record.Record{Type: layout.RecCall, Nr: nr(x64, "close"), Args: args(3)}
	if got := string(AppendCall(nil, x64, rec, Options{Align: 40})); got != "close(3)                                = 0" {
		t.Errorf("got %q", got)
	}
	if got := string(AppendCall([]byte("12345 "), x64, rec, Options{Align: 40, Column: 35})); got != "12345 close(3) = 0" {
		t.Errorf("got %q", got)
	}
}

// TestNoAllocs keeps the hot path free of garbage.
func TestNoAllocs(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for _, g := range golden[:20] {
		rec := &record.Record{Type: layout.RecCall, Nr: nr(g.arch, g.name), Args: g.args, Ret: g.ret, Items: g.data}
		if n := testing.AllocsPerRun(100, func() { AppendCall(buf, g.arch, rec, Options{StringLimit: 32}) }); n > 0 && !race.Enabled {
			t.Errorf("%s: %v allocations", g.name, n)
		}
	}
}

func BenchmarkAppendCall(b *testing.B) {
	var recs []record.Record
	var archs []record.Arch
	for _, g := range golden {
		recs = append(recs, record.Record{Type: layout.RecCall, Nr: nr(g.arch, g.name), Args: g.args, Ret: g.ret, Items: g.data})
		archs = append(archs, g.arch)
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		AppendCall(buf[:0], archs[i], &recs[i], Options{StringLimit: 32, Align: 40})
		if i++; i == len(recs) {
			i = 0
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// FuzzCall feeds the decoder with what a ring may hold: any call, any values, any items.
func FuzzCall(f *testing.F) {
	for _, g := range golden {
		b := words(byte(g.arch), nr(g.arch, g.name), g.ret, g.args[:])
		for _, it := range g.data {
			b = append(b, it.Arg|byte(it.Flags), byte(it.Kind), byte(len(it.Data)))
			b = append(b, it.Data...)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 59 {
			return
		}
		arch := record.Arch(b[0] % 8)
		rec := &record.Record{Type: layout.RecCall, Nr: binary.LittleEndian.Uint16(b[1:]), Ret: int64(binary.LittleEndian.Uint64(b[3:]))}
		if calls := syscalls.All(arch); len(calls) > 0 && b[0]&0x80 == 0 {
			rec.Nr %= uint16(len(calls))
		}
		for i := range rec.Args {
			rec.Args[i] = binary.LittleEndian.Uint64(b[11+8*i:])
		}
		for b = b[59:]; len(b) >= 3; {
			n := min(int(b[2]), len(b)-3)
			rec.Items = append(rec.Items, record.Item{Arg: b[0] & 15, Flags: layout.ItemFlag(b[0] & 0xf0), Kind: layout.ItemKind(b[1]), Data: b[3 : 3+n]})
			b = b[3+n:]
		}
		for _, opt := range []Options{{}, {StringLimit: 3, Align: 40, Column: 10, Verbose: true, Netlink: 1}} {
			check(t, AppendCall(nil, arch, rec, opt))
			check(t, AppendSignal(nil, arch, rec, opt))
			check(t, AppendExit(nil, rec))
			enter := *rec
			enter.Type = layout.RecEnter
			check(t, AppendEntry(nil, arch, &enter, opt))
		}
		for _, text := range []string{argsJSON(arch, rec), resultJSON(arch, rec), siginfoJSON(rec)} {
			text, _, _ = strings.Cut(text, `,"base64":`)
			if !json.Valid([]byte(text)) {
				t.Fatalf("not JSON: %s", text)
			}
			check(t, bytes.Map(func(r rune) rune {
				if r >= 0xa0 {
					return 'x'
				}
				return r
			}, []byte(text)))
		}
	})
}

// check: a line is one line of printable ASCII, so that what a process wrote
// cannot forge another or reach the terminal.
func check(t *testing.T, line []byte) {
	t.Helper()
	for _, c := range line {
		if c < 0x20 || c > 0x7e {
			t.Fatalf("byte %#x in %q", c, line)
		}
	}
}

func TestSignalNumber(t *testing.T) {
	for sig := 1; sig <= value.SignalMax; sig++ {
		if got := SignalNumber(SignalName(sig)); got != sig {
			t.Errorf("%s is %d", SignalName(sig), got)
		}
	}
	for name, want := range map[string]int{"SIG35": 35, "SIG0": 0, "SIG65": 0, "SIG": 0, "": 0, "SIGX": 0, "35": 0, "SIG-1": 0} {
		if got := SignalNumber(name); got != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
}
