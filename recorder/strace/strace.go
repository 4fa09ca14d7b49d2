// Package strace decodes system calls, signals and ends of threads into trees of values,
// with the names and in the order in which strace shows them, and writes them as strace does.
package strace

import (
	"math"
	"strconv"
	"sync"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// Options say how calls are shown. The zero value shows everything that was captured.
type Options struct {
	// StringLimit is the number of bytes of contents and of other strings that are
	// shown; file names are always shown whole. 0: all that was captured. strace
	// shows 32.
	StringLimit int
	// Align is the column before which "=" never stands; strace's is 40. 0: one
	// space before it.
	Align int
	// Column is the number of columns that stand before the call in its line
	// (thread id, time). It matters for Align only.
	Column int
	// Verbose shows the fields of structs that strace shows with -v only.
	Verbose bool
	// Fd returns what a file descriptor is open on, to be shown between < and >, or
	// "". -100 is the working directory. result: it is what the call returned.
	Fd func(fd int32, result bool) string
	// Netlink is the protocol of the socket in the call's first argument plus 1, if it is
	// known to be a netlink socket; 0 otherwise.
	Netlink int
	// Resumes is the name of the call that a restart_syscall resumes, if that is known.
	Resumes string
}

// AppendCall appends a finished call (REC_CALL) and its result:
//
//	openat(AT_FDCWD, "/etc/app.conf", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
//
// arch is the call's ABI, see record.Arch.ABI. There is no line end. What was not
// captured is shown as the address at which it stands.
func AppendCall(dst []byte, arch record.Arch, rec *record.Record, opt Options) []byte {
	d := newDecoder(arch, rec)
	d.resumes, d.protocol = opt.Resumes, opt.Netlink
	d.args(0, len(d.call.Args))
	d.result()
	dst = d.appendCall(dst, &opt)
	d.done()
	return dst
}

// AppendEntry appends what is known of a call that has not ended: its name, "(" and
// the arguments up to the first that the call is to fill in.
//
//	read(3,
//
// rec is a REC_ENTER, or is made of what a task is in (its Type is REC_ENTER, too).
// The caller goes on with " <unfinished ...>", or, where the call never returns,
// with AppendNoReturn.
func AppendEntry(dst []byte, arch record.Arch, rec *record.Record, opt Options) []byte {
	d := newDecoder(arch, rec)
	d.resumes, d.protocol = opt.Resumes, opt.Netlink
	d.entering = true
	n := d.firstOutput()
	d.args(0, n)
	dst = append(d.appendName(dst), '(')
	if dst = d.appendArgs(dst, &opt); n < len(d.call.Args) && len(d.Args) > 0 {
		dst = append(dst, ", "...)
	}
	d.done()
	return dst
}

// AppendNoReturn appends the end of a call that does not return, such as
// exit_group: ") = ?". start is where its line's text begins in dst, for Align.
func AppendNoReturn(dst []byte, start int, opt Options) []byte {
	dst = append(dst, ')')
	dst = alignTo(dst, start, &opt)
	return append(dst, " = ?"...)
}

// AppendName appends the name of a call, syscall_0x1c3 if its number is unknown.
func AppendName(dst []byte, arch record.Arch, nr int64) []byte {
	if nr >= 0 && nr <= math.MaxInt32 {
		if c := syscalls.Lookup(arch, uint32(nr)); c != nil {
			return append(dst, c.Name...)
		}
	}
	dst = append(dst, "syscall_0x"...)
	return strconv.AppendUint(dst, uint64(nr), 16)
}

// Decoder decodes one record after another into the same memory.
type Decoder struct{ d decoder }

// Call decodes a call. entering: it has not ended, and what it is to fill in is not known.
// netlink: see Options. The tree is valid until the next call of a method.
func (x *Decoder) Call(arch record.Arch, rec *record.Record, entering bool, netlink int) *value.Tree {
	d := &x.d
	d.begin(arch, rec)
	d.entering, d.protocol = entering, netlink
	d.args(0, len(d.call.Args))
	if !entering {
		d.result()
	}
	return &d.Tree
}

// AppendCall appends the finished call that Call has decoded, as the function of that name does.
func (x *Decoder) AppendCall(dst []byte, opt Options) []byte { return x.d.appendCall(dst, &opt) }

// AppendName appends the name of the call that Call has decoded: of a socketcall the name of
// the call in it.
func (x *Decoder) AppendName(dst []byte) []byte { return x.d.appendName(dst) }

// Signal decodes what a REC_SIGNAL tells of its signal: the tree's first node.
func (x *Decoder) Signal(arch record.Arch, rec *record.Record) *value.Tree {
	d := &x.d
	d.begin(arch, rec)
	d.signal()
	return &d.Tree
}

// decoder is the state of decoding one record.
type decoder struct {
	value.Tree
	arch record.Arch
	rec  *record.Record
	call *syscalls.Call // of the variant
	word int            // bytes of a long

	entering bool          // the call has not returned
	extended record.Record // rec, with a result that is sign-extended
	unpacked record.Record // the call in a socketcall or ipc
	via      *record.Item  // what the pointer in the struct points to that is being decoded, or nil
	depth    int
	asSized  bool // the struct that is decoded ends where its caller says, and not because it was cut
	resumes  string
	protocol int // of the netlink socket in the first argument plus 1, 0: not known

	text value.Text
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// unknown is the call of unknown numbers.
var unknown = func() *syscalls.Call {
	c := &syscalls.Call{Nargs: 6, Sub: -1}
	hex := &syscalls.Type{Name: "hex", Kind: syscalls.KindHex}
	for i := range uint8(6) {
		c.Args = append(c.Args, syscalls.Arg{Name: "arg" + strconv.Itoa(int(i)+1), Type: hex, Reg: i, Regs: 1})
	}
	return c
}()

func newDecoder(arch record.Arch, rec *record.Record) *decoder {
	d := decoders.Get().(*decoder)
	d.begin(arch, rec)
	return d
}

func (d *decoder) begin(arch record.Arch, rec *record.Record) {
	d.Reset()
	d.arch, d.rec, d.word = arch, rec, syscalls.Word(arch)
	d.entering, d.asSized, d.via, d.depth, d.resumes, d.protocol = false, false, nil, 0, "", 0
	if d.word == 4 && rec.Ret>>12 == 0xfffff {
		d.extended = *rec // what a handler returns to is not sign-extended
		d.extended.Ret = int64(int32(rec.Ret))
		d.rec = &d.extended
	}
	d.call = syscalls.Lookup(arch, uint32(rec.Nr))
	if d.call == nil {
		d.call = unknown
	} else {
		d.call = d.call.Variant(&rec.Args)
		switch d.call.Name {
		case "socketcall":
			d.unpackSocketcall()
		case "ipc":
			d.unpackIPC()
		}
	}
	d.Tree.Call = d.call.Name
}

// done gives the decoder back. Until it is used again it keeps the record from being freed.
func (d *decoder) done() { decoders.Put(d) }

// args decodes the arguments from one index to another.
func (d *decoder) args(from, to int) {
	if decode := wholeCalls[d.call.Name]; decode != nil {
		decode(d)
		return
	}
	for i := from; i < to; i++ {
		if a := &d.call.Args[i]; a.Name != "-" && d.cond(a) {
			d.arg(a)
		}
	}
}

// addArg adds an argument whose value decode adds. It is one node, with what is below it.
func (d *decoder) addArg(name, typ string, raw uint64, decode func()) {
	root := d.Len()
	decode()
	d.Args = append(d.Args, value.Arg{Name: name, Type: typ, Raw: raw, Root: int32(root)})
}

// failed reports whether the call returned an error.
func (d *decoder) failed() bool { return d.rec.Ret < 0 && d.rec.Ret >= -4095 }

// wroteNothing reports whether the call left its output as it was: it failed, or
// it waited for a child without finding one that has ended.
func (d *decoder) wroteNothing() bool {
	return d.failed() || d.rec.Ret == 0 && (d.call.Name == "wait4" || d.call.Name == "waitpid")
}

// firstOutput is the index of the first argument that is known only at the end.
func (d *decoder) firstOutput() int {
	for i := range d.call.Args {
		if a := &d.call.Args[i]; a.Dir != 0 && a.Dir&(syscalls.DirIn|syscalls.DirEntry) == 0 || a.Cond == syscalls.CondInterrupted {
			return i
		}
		if a := &d.call.Args[i]; a.Form == syscalls.FormLen || a.Form == syscalls.FormDents {
			return i
		}
	}
	return len(d.call.Args)
}

// cond reports whether an argument is shown.
func (d *decoder) cond(a *syscalls.Arg) bool {
	switch a.Cond {
	case syscalls.CondCreat:
		for i := range d.call.Args {
			if f := &d.call.Args[i]; f.Type.Set != nil && len(f.Type.Name) > 4 && f.Type.Name[:4] == "open" {
				flags := d.rec.Args[f.Reg]
				tmpfile := uint64(020000000)
				return flags&0100 != 0 || flags&tmpfile != 0
			}
		}
	case syscalls.CondDevice:
		for i := range d.call.Args {
			if f := &d.call.Args[i]; f.Type.Kind == syscalls.KindFileMode {
				mode := d.rec.Args[f.Reg] & 0170000
				return mode == 0020000 || mode == 0060000
			}
		}
	case syscalls.CondMremapFixed:
		return d.rec.Args[3]&2 != 0
	case syscalls.CondFilterMode:
		return d.rec.Args[1] == 2
	case syscalls.CondMembarrierCPU:
		return d.rec.Args[1] != 0
	}
	return true
}

// result decodes what the call returned, unless it is an error.
func (d *decoder) result() {
	if d.failed() {
		return
	}
	ret := d.rec.Ret
	d.Ret = int32(d.Len())
	if d.call.Ret == nil {
		d.Uint(uint64(ret) & d.longMask())
		return
	}
	switch t := d.call.Ret; t.Kind {
	case syscalls.KindHex, syscalls.KindPtr:
		d.Hex(uint64(ret) & d.longMask())
	case syscalls.KindMode:
		d.Octal(uint64(ret))
	case syscalls.KindFd:
		d.Add(value.Node{Kind: value.Fd, Num: uint64(ret), Flags: value.Result})
	case syscalls.KindCustom:
		hex := t.Set != nil && (!t.Set.Pure || t.Name == "locktype_ret") && t.Name != "nstype_ret"
		if results[t.Name] != nil {
			hex = t.Name == "personality_ret"
		}
		if hex {
			d.Hex(uint64(ret))
		} else {
			d.Int(ret)
		}
		means := d.Len()
		if decode := results[t.Name]; decode != nil {
			decode(d, ret)
		} else if t.Set != nil {
			d.flagsResult(t, ret)
		}
		if d.Len() > means {
			d.Means = int32(means)
		}
	default:
		d.Int(ret)
	}
}

// flagsResult decodes a result that holds flags or an enumeration:
// 0x8002 (flags O_RDWR|O_LARGEFILE), 1 (SUID_DUMP_USER).
func (d *decoder) flagsResult(t *syscalls.Type, ret int64) {
	s := t.Set.On(d.arch)
	switch {
	case t.Set.Pure && s.Enum(uint64(ret)) == "", ret == 0 && t.Set.Mask == 0 && !t.Set.Pure:
		return
	case t.Name == "openflags_ret" || t.Name == "fdflags_ret":
		d.With(flagsForm)
	case t.Name == "seals_ret":
		d.With(sealsForm)
	default:
		d.With(parenthesis)
	}
	d.Set(s, uint64(ret), true)
}

var (
	parenthesis = &value.Form{Pre: " (", Post: ")"}
	flagsForm   = &value.Form{Pre: " (flags ", Post: ")"}
	sealsForm   = &value.Form{Pre: " (seals ", Post: ")"}
)

// textOf returns the writer of text for some options.
func (d *decoder) textOf(opt *Options) *value.Text {
	d.text.Limit, d.text.Verbose, d.text.Fd = opt.StringLimit, opt.Verbose, opt.Fd
	return &d.text
}

// appendCall appends a call that has been decoded whole.
func (d *decoder) appendCall(dst []byte, opt *Options) []byte {
	start := len(dst)
	dst = append(d.appendName(dst), '(')
	dst = append(d.appendArgs(dst, opt), ')')
	dst = alignTo(dst, start, opt)
	dst = append(dst, " = "...)
	if d.Ret < 0 {
		return appendErrno(dst, int(-d.rec.Ret))
	}
	dst = d.text.Append(dst, &d.Tree, d.Ret)
	if d.Means >= 0 {
		dst = d.text.Append(dst, &d.Tree, d.Means)
	}
	return dst
}

func (d *decoder) appendName(dst []byte) []byte {
	if d.call.Name == "" {
		return AppendName(dst, d.arch, d.rec.Number())
	}
	return append(dst, d.call.Name...)
}

// appendArgs appends the arguments that have been decoded.
func (d *decoder) appendArgs(dst []byte, opt *Options) []byte {
	w := d.textOf(opt)
	more := false
	for i := range d.Args {
		root := d.Args[i].Root
		if d.Nodes[root].Flags&value.NoText != 0 {
			continue
		}
		if more {
			dst = append(dst, ", "...)
		}
		more = true
		dst = w.Append(dst, &d.Tree, root)
	}
	return dst
}

func appendErrno(dst []byte, n int) []byte {
	name, text := syscalls.Errno(n)
	switch {
	case name == "":
		dst = append(dst, "-1 (errno "...)
		dst = strconv.AppendInt(dst, int64(n), 10)
		return append(dst, ')')
	case n >= 512 && n <= 516 && n != 515:
		dst = append(dst, "? "...)
	case n > 516:
		dst = append(dst, "-1 "...)
		dst = append(dst, name...)
		dst = append(dst, " (Unknown error "...) // the C library does not know it, from which strace has its texts
		dst = strconv.AppendInt(dst, int64(n), 10)
		return append(dst, ')')
	default:
		dst = append(dst, "-1 "...)
	}
	dst = append(dst, name...)
	dst = append(dst, " ("...)
	dst = append(dst, text...)
	return append(dst, ')')
}

const blanks = "                                                                                "

// alignTo appends blanks up to the column of the "=".
func alignTo(dst []byte, start int, opt *Options) []byte {
	n := opt.Align - 1 - opt.Column - (len(dst) - start)
	for n > 0 {
		k := min(n, len(blanks))
		dst = append(dst, blanks[:k]...)
		n -= k
	}
	return dst
}

// longMask masks what a register holds to the ABI's width.
func (d *decoder) longMask() uint64 {
	if d.word == 4 {
		return 0xffffffff
	}
	return 1<<64 - 1
}

// item returns what was captured of the pointer in a register: kinds first come
// first, read at the call's start or end. nil if nothing was.
func (d *decoder) item(reg uint8, kind layout.ItemKind, entry bool) *record.Item {
	for i := range d.rec.Items {
		if it := &d.rec.Items[i]; it.Arg == reg && it.Kind == kind && it.Entry() == entry {
			if it.Fault() && len(it.Data) == 0 {
				return nil
			}
			return it
		}
	}
	return nil
}
