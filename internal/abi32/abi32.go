// Package abi32 tells tests whether the kernel executes 32-bit programs. Some virtual machines
// cannot, whatever their kernel was built with: there execve says ENOEXEC.
package abi32

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Need skips a test where no 32-bit program can be executed at all. That is no missing tool, and
// nothing that the project could install; `make kernels` runs such programs on kernels that do.
func Need(t testing.TB) {
	t.Helper()
	if !Runs(t) {
		t.Skip("this machine executes no 32-bit programs (ENOEXEC)")
	}
}

// Runs reports whether the kernel executes 32-bit programs. Only x86-64 is asked; elsewhere the
// answer is yes, and a test finds out for itself.
func Runs(t testing.TB) bool {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		return true
	}
	name := filepath.Join(t.TempDir(), "exit")
	if err := os.WriteFile(name, exitProgram(), 0o755); err != nil {
		t.Fatal(err)
	}
	err := exec.Command(name).Run()
	if errors.Is(err, unix.ENOEXEC) {
		return false
	}
	if err != nil {
		t.Fatalf("a 32-bit program that only exits: %v", err)
	}
	return true
}

// exitProgram returns an i386 program that does exit(0).
func exitProgram() []byte {
	const base, header = 0x8048000, 52 + 32
	code := []byte{0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80} // mov $1, %eax; xor %ebx, %ebx; int $0x80
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	size := uint32(header + len(code))
	for _, v := range []any{
		uint16(2), uint16(3), uint32(1), uint32(base + header), uint32(52), uint32(0), uint32(0),
		uint16(52), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0), // the file's header
		uint32(1), uint32(0), uint32(base), uint32(base), size, size, uint32(5), uint32(0x1000), // one segment
	} {
		_ = binary.Write(&b, binary.LittleEndian, v) // a bytes.Buffer takes all
	}
	b.Write(code)
	return b.Bytes()
}
