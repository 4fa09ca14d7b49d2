// Command gensyscalls makes the tables of package recorder/syscalls, in two steps.
//
//	gensyscalls facts -src KERNEL_TREE -headers INCLUDE_DIR -source TEXT
//
// reads a kernel's source tree and its user-space headers and writes what is
// taken from them: kernel.tsv (numbers and signatures) and consts.tsv (the values
// of the constants that sets.txt names, and every ioctl request of the headers).
// It needs a C compiler and is run by hand when a new kernel is out.
//
//	gensyscalls tables
//
// turns those two files and the hand-written calls.txt, structs.txt and sets.txt
// into Go. It is fast, needs nothing else, and its output depends on nothing else.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gensyscalls:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: gensyscalls facts|tables [flags]")
	}
	fs := flag.NewFlagSet(args[0], flag.ExitOnError)
	dir := fs.String("dir", ".", "folder of package recorder/syscalls")
	switch args[0] {
	case "facts":
		src := fs.String("src", "", "kernel source tree")
		headers := fs.String("headers", "/usr/include", "folder with linux/ and asm-generic/ (linux-libc-dev)")
		source := fs.String("source", "", "where the tree is from, for the files' first lines")
		cc := fs.String("cc", "cc", "C compiler")
		if err := fs.Parse(args[1:]); err != nil {
			return err
		}
		if *src == "" || *source == "" {
			return fmt.Errorf("facts: -src and -source are needed")
		}
		if err := writeCalls(*dir, *src, *source); err != nil {
			return err
		}
		return writeConsts(*dir, *headers, *cc, *source)
	case "tables":
		if err := fs.Parse(args[1:]); err != nil {
			return err
		}
		return writeTables(*dir)
	}
	return fmt.Errorf("unknown step %q", args[0])
}
