package replay

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// changesFds reports whether a number that was known may be something else after a call.
func changesFds(name string) bool {
	switch name {
	case "close", "close_range", "dup2", "dup3", "fcntl", "ioctl", "unshare",
		"execve", "execveat", "io_uring_setup", "io_uring_enter", "io_uring_register",
		"clone", "clone3", "chroot", "pivot_root", "setns", "fcntl64", "chdir", "fchdir":
		return true
	}
	return false
}

// plainIO are calls that take descriptors, or names, and change none of what is known of them.
var plainIO = map[string]bool{
	"read": true, "write": true, "pread64": true, "pwrite64": true, "readv": true, "writev": true, "preadv": true, "pwritev": true,
	"preadv2": true, "pwritev2": true, "lseek": true, "_llseek": true, "fsync": true, "fdatasync": true, "fadvise64": true, "readahead": true,
	"poll": true, "ppoll": true, "ppoll_time64": true, "select": true, "_newselect": true, "pselect6": true, "pselect6_time64": true,
	"epoll_wait": true, "epoll_pwait": true, "epoll_pwait2": true, "epoll_ctl": true, "sendto": true, "send": true, "sendmsg": true, "sendmmsg": true,
	"recvfrom": true, "recv": true, "sendfile": true, "sendfile64": true, "splice": true, "tee": true, "copy_file_range": true,
	"fstat": true, "fstat64": true, "stat": true, "stat64": true, "lstat": true, "lstat64": true, "newfstatat": true, "fstatat64": true, "statx": true,
	"access": true, "faccessat": true, "faccessat2": true, "readlink": true, "readlinkat": true, "getdents": true, "getdents64": true,
	"mmap": true, "mmap2": true, "setsockopt": true, "getsockopt": true, "wait4": true, "waitid": true, "kill": true, "tgkill": true,
	"timerfd_settime": true, "timerfd_gettime": true, "flock": true, "ftruncate": true, "fallocate": true,
}

// ChangesDescriptors reports whether a call may change what is known of descriptors and of
// directories: by what they are named and which process has them.
func ChangesDescriptors(arch record.Arch, nr uint32) bool {
	c := syscalls.Lookup(arch, nr)
	switch {
	case c == nil:
		return false // no kernel has it
	case changesFds(c.Name) || c.Ret != nil && c.Ret.Kind == syscalls.KindFd:
		return true
	case plainIO[c.Name]:
		return false
	}
	return c.Class&(syscalls.ClassFile|syscalls.ClassDesc|syscalls.ClassProcess|syscalls.ClassNetwork) != 0
}

// anonymous returns what a call opens that has no name, and the register of its flags,
// -1: it has none. "" if it opens no such thing.
func anonymous(name string) (text string, flags int) {
	switch name {
	case "epoll_create":
		return "anon_inode:[eventpoll]", -1
	case "epoll_create1":
		return "anon_inode:[eventpoll]", 0
	case "eventfd":
		return "anon_inode:[eventfd]", -1
	case "eventfd2":
		return "anon_inode:[eventfd]", 1
	case "timerfd_create":
		return "anon_inode:[timerfd]", 1
	case "inotify_init":
		return "anon_inode:inotify", -1
	case "inotify_init1":
		return "anon_inode:inotify", 0
	}
	return "", -1
}

// apply learns from a call.
func (f *files) apply(ev *Event, c *syscalls.Call, p *proc) {
	rec, tab := &ev.Rec, p.tab
	if ev.NoArgs || ev.State == Killed {
		if ev.Kind == KindExec {
			f.exec(ev, p)
		} else if changesFds(c.Name) {
			p.forget(ev.Time) // it may have come far enough
		}
		return
	}
	if ev.State != Finished {
		return
	}
	arg := func(i int) int32 { return int32(rec.Args[i]) }
	ret := int32(rec.Ret)
	if c.Name == "close" && rec.Ret != -9 {
		tab.drop(arg(0), ev.Time) // also if it failed
		return
	}
	if ev.Failed() {
		if c.Name == "dup2" || c.Name == "dup3" {
			if rec.Ret == -4 { // EINTR
				tab.drop(arg(1), ev.Time)
			}
		}
		if c.Name == "connect" && rec.Ret == -115 { // EINPROGRESS
			f.address(ev, c, p)
		}
		return
	}
	if text, flags := anonymous(c.Name); text != "" {
		tab.set(ret, &file{text: text}, flags >= 0 && rec.Args[max(flags, 0)]&cloexecFlag != 0, ev)
		return
	}
	switch c.Name {
	case "execve", "execveat":
		f.exec(ev, p)
	case "fork", "vfork", "clone", "clone3":
		if rec.Ret > 0 {
			f.left(ev, p)
		}
	case "open", "creat", "openat", "openat2":
		f.opened(ev, c, p)
	case "dup":
		tab.set(ret, tab.fileOf(arg(0), ev), false, ev)
	case "dup2":
		if arg(0) != arg(1) {
			tab.set(ret, tab.fileOf(arg(0), ev), false, ev)
		}
	case "dup3":
		tab.set(ret, tab.fileOf(arg(0), ev), rec.Args[2]&cloexecFlag != 0, ev)
	case "fcntl", "fcntl64":
		switch rec.Args[1] & 0xffffffff {
		case 0: // F_DUPFD
			tab.set(ret, tab.fileOf(arg(0), ev), false, ev)
		case 1030: // F_DUPFD_CLOEXEC
			tab.set(ret, tab.fileOf(arg(0), ev), true, ev)
		case 2: // F_SETFD
			tab.mark(arg(0), rec.Args[2]&1 != 0, ev)
		}
	case "ioctl":
		switch rec.Args[1] & 0xffffffff {
		case 0x5451: // FIOCLEX
			tab.mark(arg(0), true, ev)
		case 0x5450: // FIONCLEX
			tab.mark(arg(0), false, ev)
		case 0x40182103: // SECCOMP_IOCTL_NOTIF_ADDFD: into another process
			f.forget(ev.Time)
		default:
			f.returned(ev, c, p)
		}
	case "close_range":
		f.closeRange(ev, p)
	case "pipe", "pipe2", "socketpair":
		f.pair(ev, c, p)
	case "signalfd", "signalfd4":
		if arg(0) == -1 {
			tab.set(ret, &file{text: "anon_inode:[signalfd]"}, c.Name == "signalfd4" && rec.Args[3]&cloexecFlag != 0, ev)
		}
	case "pidfd_open":
		tab.set(ret, &file{text: "anon_inode:[pidfd]"}, true, ev)
	case "memfd_create":
		if it := itemOf(rec, 0, layout.ItemStr); it != nil && !it.Cut() && !it.Fault() {
			name := "/memfd:" + string(it.Data)
			tab.set(ret, newFile(name), rec.Args[1]&1 != 0, ev)
		} else {
			tab.drop(ret, ev.Time)
		}
	case "socket":
		s := &sock{kind: sockKind(int(arg(0)), int(arg(1)), int(arg(2)))}
		tab.set(ret, &file{sock: s}, rec.Args[1]&cloexecFlag != 0, ev)
	case "accept", "accept4":
		f.accepted(ev, c, p)
	case "bind", "connect", "getsockname", "getpeername":
		f.address(ev, c, p)
	case "chdir", "fchdir", "getcwd":
		f.moved(ev, c, p)
	case "chroot", "setns":
		p.forget(ev.Time) // names mean something else from here on
	case "pivot_root":
		f.forget(ev.Time)
	case "unshare":
		const cloneFiles, cloneFs, cloneNewns = 0x400, 0x200, 0x20000
		switch {
		case !(p.whole && p.threads == 1) && rec.Args[0]&cloneFiles != 0:
			p.forget(ev.Time)
			p.strange = true
		case !(p.whole && p.threads == 1) && rec.Args[0]&(cloneFs|cloneNewns) != 0:
			p.ownCwd = true
		}
	case "io_uring_setup", "io_uring_enter", "io_uring_register":
		p.forget(ev.Time)
		p.strange = true // it opens and closes without a call
	default:
		f.returned(ev, c, p)
	}
}

// returned forgets the number that a call returned of which nothing is known here.
func (f *files) returned(ev *Event, c *syscalls.Call, p *proc) {
	if c.Ret != nil && c.Ret.Kind == syscalls.KindFd {
		p.tab.drop(int32(ev.Rec.Ret), ev.Time)
	}
}

// fileOf returns what a number was open on when a call began, nil if that is not known.
func (t *fdTable) fileOf(num int32, ev *Event) *file {
	e, _ := t.fds.get(num)
	if ev.NoDur() || e.changed > ev.Start {
		return nil
	}
	return e.file
}

// base returns the path of the directory in which a call looks a name up, "" if that is not known.
func (p *proc) base(dirfd int32, ev *Event) string {
	if dirfd != cwdFD {
		if fl := p.tab.fileOf(dirfd, ev); fl != nil && strings.HasPrefix(fl.path, "/") {
			return fl.path
		}
		return ""
	}
	if p.ownCwd || ev.NoDur() || p.cwdAt > ev.Start || !strings.HasPrefix(p.cwd, "/") {
		return ""
	}
	return p.cwd
}

func (f *files) opened(ev *Event, c *syscalls.Call, p *proc) {
	rec := &ev.Rec
	dir, reg, flags := int32(cwdFD), uint8(0), rec.Args[1]
	switch c.Name {
	case "openat":
		dir, reg, flags = int32(rec.Args[0]), 1, rec.Args[2]
	case "openat2":
		dir, reg, flags = int32(rec.Args[0]), 1, 0
		it := itemOf(rec, 2, layout.ItemMem)
		if it == nil || len(it.Data) < 24 || binary.LittleEndian.Uint64(it.Data[16:])&0x10 != 0 { // RESOLVE_IN_ROOT
			p.tab.drop(int32(rec.Ret), ev.Time)
			return
		}
		flags = binary.LittleEndian.Uint64(it.Data)
	case "creat":
		flags = 0
	}
	const tmpfile = 0o20000000
	it := itemOf(rec, reg, layout.ItemStr)
	if it == nil || it.Cut() || it.Fault() || len(it.Data) == 0 || flags&tmpfile != 0 {
		p.tab.drop(int32(rec.Ret), ev.Time)
		return
	}
	path := tidyPath(p.base(dir, ev), string(it.Data))
	if len(path) > maxPath {
		p.tab.drop(int32(rec.Ret), ev.Time)
		return
	}
	p.tab.set(int32(rec.Ret), newFile(path), flags&cloexecFlag != 0, ev)
}

func (f *files) closeRange(ev *Event, p *proc) {
	const unshare, cloexec = 2, 4
	first, last, flags := uint32(ev.Rec.Args[0]), uint32(ev.Rec.Args[1]), ev.Rec.Args[2]
	if flags&unshare != 0 && !(p.whole && p.threads == 1) {
		p.forget(ev.Time)
		p.strange = true
		return
	}
	if flags&cloexec != 0 {
		p.tab.fds.edit(&f.books, func(_ *fdNode, from, to uint32) bool { return from <= last && first <= to }, func(num uint32, e *fdEntry) bool {
			if num >= first && num <= last {
				e.mark(true, ev)
			}
			return true
		})
	} else {
		p.tab.fds.cut(&f.books, first, last)
	}
	p.tab.floor = max(p.tab.floor, ev.Time) // what is being opened meanwhile may be among them
}

func (f *files) pair(ev *Event, c *syscalls.Call, p *proc) {
	reg, cloexec := uint8(0), c.Name == "pipe2" && ev.Rec.Args[1]&cloexecFlag != 0
	fl := [2]*file{{text: "pipe"}, {text: "pipe"}}
	if c.Name == "socketpair" {
		reg, cloexec = 3, ev.Rec.Args[1]&cloexecFlag != 0
		for i := range fl {
			fl[i] = &file{sock: &sock{kind: sockKind(int(int32(ev.Rec.Args[0])), int(int32(ev.Rec.Args[1])), int(int32(ev.Rec.Args[2])))}}
		}
	}
	it := itemOf(&ev.Rec, reg, layout.ItemMem)
	if it == nil || len(it.Data) < 8 {
		return // they were free before
	}
	for i := range fl {
		p.tab.set(int32(binary.LittleEndian.Uint32(it.Data[4*i:])), fl[i], cloexec, ev)
	}
}

// moved takes a change of the working directory.
func (f *files) moved(ev *Event, c *syscalls.Call, p *proc) {
	before := p.base(cwdFD, ev)
	raced := ev.NoDur() || p.cwdAt > ev.Start
	if c.Name == "getcwd" {
		it := itemOf(&ev.Rec, 0, layout.ItemMem)
		if !raced && it != nil && !it.Cut() && !it.Fault() {
			if name := strings.TrimRight(string(it.Data), "\x00"); strings.HasPrefix(name, "/") && len(name) <= maxPath {
				p.cwd, p.cwdAt = name, ev.Time
			}
		}
		return
	}
	p.cwd, p.cwdAt = "", max(p.cwdAt, ev.Time)
	if raced {
		return
	}
	if c.Name == "fchdir" {
		p.cwd = p.base(int32(ev.Rec.Args[0]), ev)
	} else if it := itemOf(&ev.Rec, 0, layout.ItemStr); it != nil && !it.Cut() && !it.Fault() && len(it.Data) > 0 {
		if name := tidyPath(before, string(it.Data)); strings.HasPrefix(name, "/") && len(name) <= maxPath {
			p.cwd = name
		}
	}
}

// sock is a socket.
type sock struct {
	kind          string // TCP, UNIX-STREAM …; "socket" if it has no name here
	local, remote string // "" is unknown
	any           bool   // local is an address of all interfaces
	text          string // what String returned; "" once an address has changed
}

// String shows a socket as strace -yy does, but for inode numbers.
func (s *sock) String() string {
	switch {
	case s.text != "":
	case s.remote != "":
		local := s.local
		if s.any {
			local = ""
		}
		s.text = s.kind + ":[" + local + "->" + s.remote + "]"
	case s.local != "":
		s.text = s.kind + ":[" + s.local + "]"
	default:
		return s.kind
	}
	return s.text
}

func sockKind(domain, typ, proto int) string {
	typ &= 0xf
	v6 := ""
	switch domain {
	case 1:
		switch typ {
		case 1:
			return "UNIX-STREAM"
		case 2, 3:
			return "UNIX-DGRAM"
		case 5:
			return "UNIX-SEQPACKET"
		}
	case 10:
		v6 = "v6"
		fallthrough
	case 2:
		switch {
		case typ == 1 && (proto == 0 || proto == 6):
			return "TCP" + v6
		case typ == 2 && (proto == 0 || proto == 17):
			return "UDP" + v6
		case typ == 3:
			return "RAW" + v6
		}
	case 16:
		return "NETLINK"
	case 17:
		return "PACKET"
	}
	return "socket"
}

// sockaddr shows an address of the families in which sockets are shown with them.
// any: it is that of all interfaces, or of any port.
func sockaddr(d []byte) (text string, any bool) {
	if len(d) < 2 {
		return "", false
	}
	switch family := binary.LittleEndian.Uint16(d); {
	case family == 1:
		path := d[2:]
		if len(path) > 0 && path[0] == 0 {
			return `@"` + string(appendName(nil, string(path[1:]))) + `"`, false
		}
		name, _, _ := strings.Cut(string(path), "\x00")
		if name == "" {
			return "", false
		}
		return `"` + string(appendName(nil, name)) + `"`, false
	case family == 2 && len(d) >= 8:
		ip := netip.AddrFrom4([4]byte(d[4:8]))
		return ip.String() + ":" + strconv.Itoa(int(binary.BigEndian.Uint16(d[2:]))), ip.IsUnspecified()
	case family == 10 && len(d) >= 24:
		ip := netip.AddrFrom16([16]byte(d[8:24]))
		return "[" + ip.String() + "]:" + strconv.Itoa(int(binary.BigEndian.Uint16(d[2:]))), ip.IsUnspecified()
	}
	return "", false
}

// addressOf returns the address at a call's second argument, "" if it is not known.
func addressOf(ev *Event) (text string, any bool) {
	it := itemOf(&ev.Rec, 1, layout.ItemMem)
	if it == nil || it.Cut() || it.Fault() {
		return "", false
	}
	return sockaddr(it.Data)
}

func (f *files) accepted(ev *Event, c *syscalls.Call, p *proc) {
	s := &sock{kind: "socket"}
	if fl := p.tab.fileOf(int32(ev.Rec.Args[0]), ev); fl != nil && fl.sock != nil {
		s.kind, s.local, s.any = fl.sock.kind, fl.sock.local, fl.sock.any
		if s.any {
			s.local = ""
		}
	}
	s.remote, _ = addressOf(ev)
	p.tab.set(int32(ev.Rec.Ret), &file{sock: s}, c.Name == "accept4" && ev.Rec.Args[3]&cloexecFlag != 0, ev)
}

// address takes what a call says about a socket's addresses.
func (f *files) address(ev *Event, c *syscalls.Call, p *proc) {
	fl := p.tab.fileOf(int32(ev.Rec.Args[0]), ev)
	if fl == nil || fl.sock == nil {
		return
	}
	text, any := addressOf(ev)
	switch c.Name {
	case "bind", "getsockname":
		if strings.HasSuffix(text, ":0") {
			text = "" // the kernel chooses
		}
		fl.sock.local, fl.sock.any, fl.sock.text = text, any, ""
	case "connect", "getpeername":
		fl.sock.remote, fl.sock.text = text, ""
	}
}

// appendName appends a name as strace does between < and >.
func appendName(b []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case c < ' ' || c > '~' || strings.IndexByte(`<>"\`, c) >= 0:
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			b = append(b, c)
		}
	}
	return b
}
