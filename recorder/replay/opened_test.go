package replay

import (
	"bytes"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
)

// What the daemon read of a process's descriptors is known from then on, and only
// if nothing changed them meanwhile.
func TestOpenFiles(t *testing.T) {
	const asked = "format=strace&decode-fds&time=none&durations=false&e=read,openat"
	was := dump.OpenFiles{Tgid: 1, From: at(100), To: at(200), Cwd: "/srv", Fds: []dump.OpenFD{
		{Num: 3, Link: "/var/log/a <b>"}, {Num: 4, Link: "pipe:[7]"}, {Num: 5, Link: "/gone (deleted)"}, {Num: 6, Link: "/x", Cloexec: true},
	}}
	for name, c := range map[string]struct {
		read   func(o *dump.OpenFiles)
		before func(b *builder) // calls up to 200 µs
		after  func(b *builder)
		want   string // what stands in read(3…
	}{
		"known":                            {want: "read(3</var/log/a \\074b\\076>, "},
		"a first call":                     {before: func(b *builder) {}, want: "read(3</var/log/a \\074b\\076>, "},
		"closed while it was read":         {before: func(b *builder) { b.call(1, "getpid", 50, 1, 1); b.call(1, "close", 140, 10, 0, 3) }, want: "read(3, "},
		"another closed while it was read": {before: func(b *builder) { b.call(1, "getpid", 50, 1, 1); b.call(1, "close", 140, 10, 0, 9) }, want: "read(3, "},
		"closed before":                    {before: func(b *builder) { b.call(1, "close", 40, 10, 0, 3) }, want: "read(3</var/log/a \\074b\\076>, "},
		"opened while it was read": {before: func(b *builder) {
			b.call(1, "getpid", 50, 1, 1)
			b.call(1, "openat", 140, 10, 3, atCwd, 1, "/etc/x", 0)
		}, want: "read(3</etc/x>, "},
		"closed after":               {after: func(b *builder) { b.call(1, "close", 220, 1, 0, 3) }, want: "read(3, "},
		"closed meanwhile and after": {after: func(b *builder) { b.call(1, "close", 150, 100, 0, 3) }, want: "read(3, "},
		"another process":            {read: func(o *dump.OpenFiles) { o.Tgid = 2 }, want: "read(3, "},
		"before the dump":            {read: func(o *dump.OpenFiles) { o.From = at(1) }, want: "read(3, "},
		"not yet":                    {read: func(o *dump.OpenFiles) { o.To = at(400) }, want: "read(3, "},
		"a process before it":        {read: func(o *dump.OpenFiles) { o.Start = at(1) }, before: func(b *builder) {}, want: "read(3, "},
		"a program that closes it":   {after: func(b *builder) { b.call(1, "dup2", 220, 1, 3, 6, 3); b.exec(1, 1, 230, "/bin/x", "x\x00") }, want: "read(3</x>, "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(t, fdHeader())
			b.task(1, 1, 1, 1, 0, 0, "app", "app")
			b.task(9, 9, 9, 9, 0, 0, "other", "other")
			o := was
			if c.read != nil {
				c.read(&o)
			}
			b.check(b.w.Open(o))
			b.call(9, "getpid", 20, 1, 9)
			if c.before != nil {
				c.before(b)
			} else {
				b.call(1, "getpid", 50, 1, 1)
			}
			if c.after != nil {
				c.after(b)
			}
			b.call(1, "read", 300, 1, 0, 3, 0, 0)
			out := show(t, b.done(), Options{Query: query(t, asked)})
			if !strings.Contains(out, c.want) {
				t.Errorf("want %s in\n%s", c.want, out)
			}
		})
	}
	b := newBuilder(t, fdHeader())
	b.task(1, 1, 1, 1, 0, 0, "app", "app")
	b.check(b.w.Open(was))
	b.call(1, "getpid", 50, 1, 1)
	for i, fd := range []int{4, 5, 6} {
		b.call(1, "read", 300+10*i, 1, 0, fd, 0, 0)
	}
	b.call(1, "openat", 400, 1, -2, atCwd, 1, "x", 0)
	want := []string{"read(4<pipe:[7]>,", "read(5,", "read(6</x>,", `openat(AT_FDCWD</srv>, "x", O_RDONLY) = -1`}
	out := show(t, b.done(), Options{Query: query(t, asked)})
	for _, w := range want {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), w) {
			t.Errorf("want %s in\n%s", w, out)
		}
	}
}

// A process with more descriptors than fit into a frame.
func TestManyOpenFiles(t *testing.T) {
	b := newBuilder(t, fdHeader())
	o := dump.OpenFiles{Tgid: 1, From: 1, To: 2}
	for i := range 100 {
		o.Fds = append(o.Fds, dump.OpenFD{Num: int32(i), Link: "/" + strings.Repeat("\x01", 4094)})
	}
	b.check(b.w.Open(o))
	in, err := dump.NewReader(bytes.NewReader(b.done()))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		f, err := in.Next()
		if err != nil {
			break
		}
		if o := f.Open(); o != nil {
			n += len(o.Fds)
		}
	}
	if n != 100 || in.End() == nil {
		t.Errorf("%d descriptors came back, want 100", n)
	}
}
