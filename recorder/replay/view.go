package replay

import (
	"net/netip"
	"strings"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Call returns the row of a call in the table of system calls, nil if it has none.
func (ev *Event) Call() *syscalls.Call {
	if c := syscalls.Lookup(ev.abi, uint32(ev.Rec.Nr)); c != nil {
		return c.Variant(&ev.Rec.Args)
	}
	return nil
}

// FD returns what is known of a descriptor that a call was given, and false if nothing
// is. It wants Query.Fds.
func (ev *Event) FD(num int32) (FD, bool) {
	for _, fd := range ev.fds {
		if fd.Num == num && !fd.result {
			return fd, true
		}
	}
	return FD{}, false
}

// Path returns the first path that a call names, after its directory if Query.Fds has
// made that known; "" if it names none, or not all of it was captured.
func (ev *Event) Path() string {
	if ev.path.known {
		return ev.path.text
	}
	ev.path = firstPath{ev.findPath(), true}
	return ev.path.text
}

// firstPath is what Event.Path has returned before.
type firstPath struct {
	text  string
	known bool
}

func (ev *Event) findPath() string {
	c := syscalls.Lookup(ev.abi, uint32(ev.Rec.Nr))
	if c == nil {
		return ""
	}
	for i := range c.Args {
		if c.Args[i].Form != syscalls.FormPath {
			continue
		}
		if it := itemOf(&ev.Rec, c.Args[i].Reg, layout.ItemStr); it != nil && !it.Cut() && !it.Fault() && len(it.Data) > 0 {
			return tidyPath(ev.dir(c, i), string(it.Data))
		}
	}
	return ""
}

// Address returns the socket address that a call names in its second argument, as
// connect, bind and accept do: 10.0.0.3:5432, "/run/x.sock"; "" if it is not known. An
// IPv4 address is shown as such, whether its socket is one of IPv6 or not.
func (ev *Event) Address() string {
	text, _ := addressOf(ev)
	return Unmapped(text)
}

// Copy is an event that stays valid. Its memory is used again when it is set again.
type Copy struct {
	h   held
	buf []byte
	fds []FD
	set bool
}

// Set makes c a copy of ev.
func (c *Copy) Set(ev *Event) {
	b := c.buf[:0]
	if ev.Raw != nil {
		b = append(b, ev.Raw...)
	} else {
		b = record.Append(b, &ev.Rec)
	}
	n := len(b)
	c.buf = append(b, ev.program...)
	c.h, c.set = ev.brief(), true
	c.fds = append(c.fds[:0], ev.fds...)
	c.h.raw = c.buf[:n:n]
	if ev.program != nil {
		program := c.buf[n:]
		c.h.program = &program
	}
}

// Event makes *ev what was copied, and reports whether something was.
func (c *Copy) Event(ev *Event) bool {
	if c.set {
		c.h.restore(ev)
		ev.fds = c.fds
	}
	return c.set
}

// Formatter shows single events as text, without times and who it was.
type Formatter struct{ f formatter }

// NewFormatter returns a Formatter for the events of a dump. Contents and strings that
// are no file names are cut at limit bytes, 0: not at all.
func NewFormatter(h *dump.Header, limit int) *Formatter {
	f := &Formatter{newFormatter(h)}
	f.f.opt.StringLimit = limit
	f.f.decodeFds()
	return f
}

// Append appends an event. Nothing in it is obeyed by a terminal.
func (f *Formatter) Append(b []byte, ev *Event) []byte {
	return kinds[ev.Kind].shown.text(&f.f, b, ev)
}

// SocketAddress shows a struct sockaddr as Address does, "" if it is of another family.
func SocketAddress(b []byte) string {
	text, _ := sockaddr(b)
	return Unmapped(text)
}

// Unmapped shows the IPv4 addresses in a text that sockets of IPv6 have, such as
// [::ffff:10.0.0.3]:80, as others are shown.
func Unmapped(text string) string {
	const mapped = "[::ffff:"
	var b strings.Builder
	for {
		head, rest, ok := strings.Cut(text, mapped)
		ip, tail, closed := strings.Cut(rest, "]")
		if !ok || !closed {
			break
		}
		if a, err := netip.ParseAddr(ip); err != nil || !a.Is4() {
			ip = mapped + ip + "]"
		}
		b.WriteString(head + ip)
		text = tail
	}
	if b.Len() == 0 {
		return text
	}
	return b.String() + text
}

// Arch returns the ABI of a call.
func (ev *Event) Arch() record.Arch { return ev.abi }

// Coverage says in a sentence which time a recording covers, and how much of it.
func Coverage(c *api.Coverage, loc *time.Location) string { return coverage(c, loc) }

// Missing says what else a recording lacks, "" if nothing.
func Missing(r *api.Recording) string { return missing(r) }

// Command joins an argv as a shell would need it.
func Command(argv []string) string { return command(argv) }

// Safe returns s without what a terminal would obey.
func Safe(s string) string { return safe(s) }
