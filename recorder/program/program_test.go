package program

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// elfFile is an ELF file of 64 bits for a machine, with a loader if that is not empty.
func elfFile(machine uint16, loader string) string {
	b := make([]byte, 64+56)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], machine)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	if loader != "" {
		le.PutUint16(b[56:], 1)
		le.PutUint32(b[64:], 3)
		le.PutUint64(b[64+8:], uint64(len(b)))
		le.PutUint64(b[64+32:], uint64(len(loader)+1))
		b = append(append(b, loader...), 0)
	}
	return string(b)
}

// native is the machine that this test runs on, foreign another.
var native, foreign = uint16(elf.EM_X86_64), uint16(elf.EM_AARCH64)

func init() {
	if runtime.GOARCH == "arm64" {
		native, foreign = foreign, native
	}
}

// TestWhy catches a program that cannot be executed and of which it is not said why, and one that
// opens or tells something outside of the container's root.
func TestWhy(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for _, d := range []string{"bin", "lib"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("bin/busybox", elfFile(native, ""), 0o755)
	write("bin/static", elfFile(native, ""), 0o755)
	write("lib/ld.so", "x", 0o755)
	link("/bin/busybox", "bin/sh") // absolute, as on Alpine: in the root
	link("../../../../bin/busybox", "bin/up")
	link("loop", "loop")
	if err := os.WriteFile(filepath.Join(dir, "outside"), []byte("#!/nowhere\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(dir, "outside"), "out")
	link("../outside", "up")
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o755); err != nil {
		t.Fatal(err)
	}
	link("/proc/self/root/etc/passwd", "magic")
	for name, content := range map[string]string{
		"crlf": "#!/bin/sh\r\necho\r\n", "well": "#!/bin/sh -e\n", "upwell": "#! /bin/up\n", "missing": "#!/usr/bin/python3 -u\n", "nothing": "#!\n", "text": "echo hello\n",
		"empty": "", "bom": "\xef\xbb\xbf#!/bin/sh\n", "long": "#!" + strings.Repeat("/x", 300), "dos": "MZ\x90", "selfish": "#!/selfish\n",
		"evil": "#!/\x1b[2J\n", "arm": elfFile(foreign, ""), "musl": elfFile(native, "/lib/ld-musl.so"), "glibc": elfFile(native, "/lib/ld.so"),
		"cut": "\x7fELF\x02\x01", "cutter": elfFile(native, "")[:40], "tofifo": "#!/fifo\n", "armed": "#!/arm\n",
	} {
		write(name, content, 0o755)
	}
	write("plain", "#!/bin/sh\n", 0o644)
	if err := os.WriteFile(filepath.Join(dir, "entry"), []byte("#!/bin/sh\r\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "volume"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "volume/run"), []byte("#!/volume/no/such\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	link("/volume/x", "into")
	elsewhere := "for another architecture: for arm64, and this node is x86-64"
	if runtime.GOARCH == "arm64" {
		elsewhere = "for another architecture: for x86-64, and this node is arm64"
	}
	r := Container{Host: dir, Root: "/root", Binds: []Bind{{"/volume", "/volume"}, {"/entry", "/entry.sh"}, {"/gone", "/gone"}}}
	for name, want := range map[string]string{
		"/crlf": `its first line asks for the interpreter "/bin/sh\r": it ends with a carriage return, as lines do on Windows`,
		"/well": "", "/upwell": "", "/bin/sh": "", "/glibc": "", "/bin/static": "",
		"/missing": `its interpreter "/usr/bin/python3" is not in the container`, "/nothing": "it names no interpreter behind #!",
		"/text": "it is neither a script that begins with #! nor an ELF file", "/empty": "it is empty", "/bom": "it begins with a byte order mark, and so not with #!",
		"/long": "it has a first line that is too long", "/dos": "it is a program for Windows", "/plain": "it is not executable (mode 0644)",
		"/evil": `its interpreter "/?[2J" is not in the container`, "/no/such": "it is not in the container", "/bin": "it is no regular file",
		"/fifo": "it is no regular file", "/tofifo": `its interpreter "/fifo" is no regular file`, "/loop": "it is a link that leads nowhere",
		"/arm": "it is " + elsewhere, "/armed": `its interpreter "/arm" is ` + elsewhere,
		"/musl": `it needs the loader "/lib/ld-musl.so", which is not in the container: it may be for another C library`,
		"/cut":  "it is cut short", "/cutter": "it is cut short", "/selfish": `its interpreter "/selfish" has interpreters of interpreters`,
		"/out": "", "/up": "", "/magic": "", "/into": "", // links: what they lead to may be mounted
		"/entry.sh":   `its first line asks for the interpreter "/bin/sh\r": it ends with a carriage return, as lines do on Windows`,
		"/volume/run": "", "/volume/none": "", "/gone/x": "", "/no/../missing": `its interpreter "/usr/bin/python3" is not in the container`,
	} {
		began := time.Now()
		if got := r.Why(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
	r.Unsure = true
	if got := r.Why("/no/such"); got != "" {
		t.Errorf("where something unknown is mounted, %q", got)
	}
	r = Container{Host: dir, Root: "/no/such"}
	if got := r.Why("/text"); got != "" {
		t.Errorf("where no root is, %q", got)
	}
}

// FuzzWhy catches a file by which a container ends the daemon or has it read for ever.
func FuzzWhy(f *testing.F) {
	for _, s := range []string{"#!/bin/sh\r\n", elfFile(native, "/lib/x"), elfFile(foreign, ""), "\x7fELF", "#!"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, "x"), content, 0o755); err != nil {
			t.Fatal(err)
		}
		r := Container{Host: dir, Root: "/"}
		if why := r.Why("/x"); len(why) > 4*mostName+200 || strings.ContainsAny(why, "\x1b\n\r\x00") {
			t.Errorf("%q", why)
		}
	})
}
