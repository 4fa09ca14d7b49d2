package bpf

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/internal/abi32"
	"github.com/recorderd/recorderd/recorder/layout"
)

// compatProgram is a program of this machine's 32-bit ABI that calls
// access("/no/such/file", R_OK) and exit(7). It is put together here by hand:
// compilers for it are not everywhere, the emulated machines have none.
func compatProgram(t *testing.T) string {
	t.Helper()
	const base, head = 0x10000, 52 + 32
	var code []byte
	var machine uint16
	var flags uint32
	switch runtime.GOARCH {
	case "amd64":
		machine = 3 // EM_386
		code = []byte{
			0xb8, 33, 0, 0, 0, // mov $33, %eax
			0xbb, 0, 0, 0, 0, // mov $path, %ebx
			0xb9, 4, 0, 0, 0, // mov $4, %ecx
			0xcd, 0x80, // int $0x80
			0xb8, 1, 0, 0, 0, // mov $1, %eax
			0xbb, 7, 0, 0, 0, // mov $7, %ebx
			0xcd, 0x80, // int $0x80
		}
		binary.LittleEndian.PutUint32(code[6:], base+head+uint32(len(code)))
	case "arm64":
		machine, flags = 40, 0x05000000 // EM_ARM, EABI 5
		for _, word := range []uint32{
			0xe3a07021, // mov r7, #33
			0xe28f0010, // add r0, pc, #16: behind the code
			0xe3a01004, // mov r1, #4
			0xef000000, // svc #0
			0xe3a07001, // mov r7, #1
			0xe3a00007, // mov r0, #7
			0xef000000, // svc #0
		} {
			code = binary.LittleEndian.AppendUint32(code, word)
		}
	default:
		t.Fatalf("no 32-bit program for %s", runtime.GOARCH)
	}
	code = append(code, "/no/such/file\x00"...)
	size := uint32(head + len(code))
	var b bytes.Buffer
	b.WriteString("\x7fELF\x01\x01\x01" + string(make([]byte, 9)))
	for _, v := range []any{
		uint16(2), machine, uint32(1), uint32(base + head), uint32(52), uint32(0), flags, uint16(52), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0),
		// one segment: all of the file, readable and executable
		uint32(1), uint32(0), uint32(base), uint32(base), size, size, uint32(5), uint32(4096),
	} {
		binary.Write(&b, binary.LittleEndian, v)
	}
	b.Write(code)
	path := filepath.Join(t.TempDir(), "compat")
	if err := os.WriteFile(path, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Calls of 32-bit programs have other numbers and other registers.
func TestCompatCalls(t *testing.T) {
	abi32.Need(t)
	const access = 33 // i386 and arm
	cfg := testConfig(t)
	// The same number means another call to 64-bit programs.
	plan := layout.Plan{Nargs: 2, Nops: 1}
	plan.Op[0] = layout.PlanOp{Arg: 0, Kind: uint8(layout.OpStr), Max: 256}
	cfg.Plans[layout.PlanCalls+access] = plan
	k := testKernel(t, cfg)
	root := testRoot(t, k)
	_, view := newRing(t, k, 1, 1, 0)
	cmd := inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), compatProgram(t))
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("the program did not run on this kernel: %v", err)
	}
	found := false
	for _, rec := range records(t, k, view, layout.RoleMain) {
		if rec.Type != layout.RecCall || rec.Nr != access || rec.Flags&layout.RecfCompat == 0 {
			continue
		}
		found = true
		if rec.Ret != -int64(unix.ENOENT) || rec.Args[1] != 4 || len(rec.Items) != 1 || string(rec.Items[0].Data) != "/no/such/file" {
			t.Errorf("%+v: want access(\"/no/such/file\", 4) = ENOENT", rec)
		}
	}
	if !found {
		t.Error("the 32-bit call has no record")
	}
}
