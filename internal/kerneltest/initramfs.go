package main

import (
	"bytes"
	"fmt"
	"os"
)

// initramfs is a cpio archive in the "newc" format, which the kernel unpacks into
// its first file system (Documentation/driver-api/early-userspace/buffer-format.rst).
type initramfs struct {
	b   bytes.Buffer
	ino int
}

const (
	modeDir    = 0o040755
	modeFile   = 0o100755
	modeLink   = 0o120777
	modeDevice = 0o020600
)

func (fs *initramfs) add(name string, mode int, data []byte) { fs.entry(name, mode, data, 0, 0) }

// device is a character device. /dev/console has to be there before /init runs.
func (fs *initramfs) device(name string, major, minor int) {
	fs.entry(name, modeDevice, nil, major, minor)
}

func (fs *initramfs) entry(name string, mode int, data []byte, major, minor int) {
	fs.ino++
	fmt.Fprintf(&fs.b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		fs.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	fs.b.WriteString(name + "\x00")
	fs.pad()
	fs.b.Write(data)
	fs.pad()
}

func (fs *initramfs) pad() {
	for fs.b.Len()%4 != 0 {
		fs.b.WriteByte(0)
	}
}

func (fs *initramfs) dir(name string)      { fs.add(name, modeDir, nil) }
func (fs *initramfs) link(name, to string) { fs.add(name, modeLink, []byte(to)) }
func (fs *initramfs) bytes() []byte        { fs.add("TRAILER!!!", 0, nil); return fs.b.Bytes() }
func (fs *initramfs) file(name, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("put %s into the initramfs: %w", name, err)
	}
	fs.add(name, modeFile, data)
	return nil
}
