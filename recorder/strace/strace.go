// Package strace shows a recorded system call, signal or exit as strace does, and
// as structured values.
package strace

import (
	"strconv"
	"sync"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
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
	p := newPrinter(dst, arch, rec, opt)
	p.name()
	p.args(0, len(p.call.Args))
	p.result()
	return p.done()
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
	p := newPrinter(dst, arch, rec, opt)
	p.entering = true
	p.name()
	if n := p.firstOutput(); n < len(p.call.Args) {
		if p.args(0, n) > 0 {
			p.dst = append(p.dst, ", "...)
		}
	} else {
		p.args(0, n)
	}
	return p.done()
}

// AppendNoReturn appends the end of a call that does not return, such as
// exit_group: ") = ?". start is where its line's text begins in dst, for Align.
func AppendNoReturn(dst []byte, start int, opt Options) []byte {
	dst = append(dst, ')')
	dst = alignTo(dst, start, opt)
	return append(dst, " = ?"...)
}

// AppendResumed appends the rest of a call of which AppendEntry was shown before:
//
//	<... read resumed>"hello", 4096) = 5
func AppendResumed(dst []byte, arch record.Arch, rec *record.Record, opt Options) []byte {
	p := newPrinter(dst, arch, rec, opt)
	p.dst = append(p.dst, "<... "...)
	p.appendName()
	p.dst = append(p.dst, " resumed>"...)
	p.args(p.firstOutput(), len(p.call.Args))
	p.result()
	return p.done()
}

// AppendName appends the name of a call, syscall_0x1c3 if its number is unknown.
func AppendName(dst []byte, arch record.Arch, nr uint32) []byte {
	if c := syscalls.Lookup(arch, nr); c != nil {
		return append(dst, c.Name...)
	}
	dst = append(dst, "syscall_0x"...)
	return strconv.AppendUint(dst, uint64(nr), 16)
}

// printer is the state of showing one record.
type printer struct {
	dst   []byte
	start int // where this record's text begins in dst
	arch  record.Arch
	rec   *record.Record
	opt   Options
	call  *syscalls.Call // of the variant
	word  int            // bytes of a long

	entering bool          // the call has not returned
	extended record.Record // rec, with a result that is sign-extended
	via      *record.Item  // what the pointer in the struct points to that is being shown, or nil
	depth    int
	asSized  bool // the struct that is shown ends where its caller says, and not because it was cut
}

var printers = sync.Pool{New: func() any { return new(printer) }}

// unknown is the call of unknown numbers.
var unknown = func() *syscalls.Call {
	c := &syscalls.Call{Nargs: 6, Sub: -1}
	hex := &syscalls.Type{Name: "hex", Kind: syscalls.KindHex}
	for i := range uint8(6) {
		c.Args = append(c.Args, syscalls.Arg{Name: "arg" + strconv.Itoa(int(i)+1), Type: hex, Reg: i, Regs: 1})
	}
	return c
}()

func newPrinter(dst []byte, arch record.Arch, rec *record.Record, opt Options) *printer {
	p := printers.Get().(*printer)
	*p = printer{dst: dst, start: len(dst), arch: arch, rec: rec, opt: opt, word: syscalls.Word(arch)}
	if p.word == 4 && rec.Ret>>12 == 0xfffff {
		p.extended = *rec // what a handler returns to is not sign-extended
		p.extended.Ret = int64(int32(rec.Ret))
		p.rec = &p.extended
	}
	p.call = syscalls.Lookup(arch, uint32(rec.Nr))
	if p.call == nil {
		p.call = unknown
	} else {
		p.call = p.call.Variant(&rec.Args)
		switch p.call.Name {
		case "socketcall":
			p.unpackSocketcall()
		case "ipc":
			p.unpackIPC()
		}
	}
	return p
}

func (p *printer) done() []byte {
	dst := p.dst
	*p = printer{}
	printers.Put(p)
	return dst
}

func (p *printer) name() {
	p.appendName()
	p.dst = append(p.dst, '(')
}

func (p *printer) appendName() {
	if p.call.Name == "" {
		p.dst = AppendName(p.dst, p.arch, uint32(p.rec.Nr))
		return
	}
	p.dst = append(p.dst, p.call.Name...)
}

// failed reports whether the call returned an error.
func (p *printer) failed() bool { return p.rec.Ret < 0 && p.rec.Ret >= -4095 }

// wroteNothing reports whether the call left its output as it was: it failed, or
// it waited for a child without finding one that has ended.
func (p *printer) wroteNothing() bool {
	return p.failed() || p.rec.Ret == 0 && (p.call.Name == "wait4" || p.call.Name == "waitpid")
}

// firstOutput is the index of the first argument that is known only at the end.
func (p *printer) firstOutput() int {
	for i := range p.call.Args {
		if a := &p.call.Args[i]; a.Dir != 0 && a.Dir&(syscalls.DirIn|syscalls.DirEntry) == 0 || a.Cond == syscalls.CondInterrupted {
			return i
		}
		if a := &p.call.Args[i]; a.Form == syscalls.FormLen || a.Form == syscalls.FormDents {
			return i
		}
	}
	return len(p.call.Args)
}

// args shows the arguments from one index to another and returns how many it showed.
func (p *printer) args(from, to int) int {
	if show := wholeCalls[p.call.Name]; show != nil {
		return show(p)
	}
	shown := 0
	for i := from; i < to; i++ {
		a := &p.call.Args[i]
		if a.Name == "-" || !p.cond(a) {
			continue
		}
		if shown > 0 {
			p.dst = append(p.dst, ", "...)
		}
		p.arg(a)
		shown++
	}
	return shown
}

// cond reports whether an argument is shown.
func (p *printer) cond(a *syscalls.Arg) bool {
	switch a.Cond {
	case syscalls.CondCreat:
		for i := range p.call.Args {
			if f := &p.call.Args[i]; f.Type.Set != nil && len(f.Type.Name) > 4 && f.Type.Name[:4] == "open" {
				flags := p.rec.Args[f.Reg]
				tmpfile := uint64(020000000)
				return flags&0100 != 0 || flags&tmpfile != 0
			}
		}
	case syscalls.CondDevice:
		for i := range p.call.Args {
			if f := &p.call.Args[i]; f.Type.Kind == syscalls.KindFileMode {
				mode := p.rec.Args[f.Reg] & 0170000
				return mode == 0020000 || mode == 0060000
			}
		}
	case syscalls.CondMremapFixed:
		return p.rec.Args[3]&2 != 0
	case syscalls.CondFilterMode:
		return p.rec.Args[1] == 2
	case syscalls.CondMembarrierCPU:
		return p.rec.Args[1] != 0
	}
	return true
}

// result shows the closing parenthesis and what the call returned.
func (p *printer) result() {
	p.dst = append(p.dst, ')')
	p.dst = alignTo(p.dst, p.start, p.opt)
	p.dst = append(p.dst, " = "...)
	ret := p.rec.Ret
	if p.failed() {
		p.errno(int(-ret))
		return
	}
	if p.call.Ret == nil {
		p.dst = strconv.AppendUint(p.dst, uint64(ret)&p.longMask(), 10)
		return
	}
	switch t := p.call.Ret; t.Kind {
	case syscalls.KindHex, syscalls.KindPtr:
		p.hex(uint64(ret) & p.longMask())
	case syscalls.KindMode:
		p.dst = appendOctal(p.dst, uint64(ret))
	case syscalls.KindCustom:
		if show := results[t.Name]; show != nil {
			show(p, ret)
			return
		}
		if t.Set != nil {
			p.flagsResult(t, ret)
			return
		}
		fallthrough
	default:
		p.dst = strconv.AppendInt(p.dst, ret, 10)
		if t.Kind == syscalls.KindFd {
			p.openOn(int32(ret), true)
		}
	}
}

// openOn shows what a file descriptor is open on, if that is asked for and known.
func (p *printer) openOn(fd int32, result bool) {
	if p.opt.Fd == nil {
		return
	}
	if text := p.opt.Fd(fd, result); text != "" {
		p.dst = append(p.dst, '<')
		p.dst = append(p.dst, text...)
		p.dst = append(p.dst, '>')
	}
}

func (p *printer) errno(n int) {
	name, text := syscalls.Errno(n)
	switch {
	case name == "":
		p.dst = append(p.dst, "-1 (errno "...)
		p.dst = strconv.AppendInt(p.dst, int64(n), 10)
		p.dst = append(p.dst, ')')
		return
	case n >= 512 && n <= 516 && n != 515:
		p.dst = append(p.dst, "? "...)
	case n > 516:
		p.dst = append(p.dst, "-1 "...)
		p.dst = append(p.dst, name...)
		p.dst = append(p.dst, " (Unknown error "...) // the C library does not know it, from which strace has its texts
		p.dst = strconv.AppendInt(p.dst, int64(n), 10)
		p.dst = append(p.dst, ')')
		return
	default:
		p.dst = append(p.dst, "-1 "...)
	}
	p.dst = append(p.dst, name...)
	p.dst = append(p.dst, " ("...)
	p.dst = append(p.dst, text...)
	p.dst = append(p.dst, ')')
}

const blanks = "                                                                                "

// alignTo appends blanks up to the column of the "=".
func alignTo(dst []byte, start int, opt Options) []byte {
	n := opt.Align - 1 - opt.Column - (len(dst) - start)
	for n > 0 {
		k := min(n, len(blanks))
		dst = append(dst, blanks[:k]...)
		n -= k
	}
	return dst
}

// longMask masks what a register holds to the ABI's width.
func (p *printer) longMask() uint64 {
	if p.word == 4 {
		return 0xffffffff
	}
	return 1<<64 - 1
}

// item returns what was captured of the pointer in a register: kinds first come
// first, read at the call's start or end. nil if nothing was.
func (p *printer) item(reg uint8, kind layout.ItemKind, entry bool) *record.Item {
	for i := range p.rec.Items {
		if it := &p.rec.Items[i]; it.Arg == reg && it.Kind == kind && it.Entry() == entry {
			if it.Fault() && len(it.Data) == 0 {
				return nil
			}
			return it
		}
	}
	return nil
}
