package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// The ABIs, in the order of record.Arch less one and of kernel.tsv's columns.
var archNames = []string{"x86_64", "i386", "x32", "arm64", "arm"}

const archs = 5

// Where the kernel keeps each ABI's numbers, and which of a table's ABIs count.
var numberTables = [archs]struct {
	path   string
	abis   string
	compat bool // the compat entry point is the one called
}{
	{"arch/x86/entry/syscalls/syscall_64.tbl", "common 64", false},
	{"arch/x86/entry/syscalls/syscall_32.tbl", "i386", true},
	{"arch/x86/entry/syscalls/syscall_64.tbl", "common x32", false},
	{"scripts/syscall.tbl", "common 64 renameat rlimit memfd_secret", false},
	{"arch/arm64/tools/syscall_32.tbl", "common", true},
}

// entry is one number of one ABI.
type entry struct {
	nr   int
	name string
	sig  string // "int fd, char __user * buf", "-" if no definition was found
}

// writeCalls writes kernel.tsv.
func writeCalls(dir, src, source string) error {
	sigs, err := signatures(src)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# System calls by ABI: number, name, signature of the kernel's entry point (-: not defined there).\n")
	fmt.Fprintf(&out, "# Written by gensyscalls facts from %s; do not edit.\n", source)
	for a, t := range numberTables {
		entries, err := readTable(filepath.Join(src, t.path), t.abis, t.compat, sigs)
		if err != nil {
			return err
		}
		for _, e := range entries {
			fmt.Fprintf(&out, "%s\t%d\t%s\t%s\n", archNames[a], e.nr, e.name, e.sig)
		}
	}
	return os.WriteFile(filepath.Join(dir, "kernel.tsv"), out.Bytes(), 0o644)
}

func readTable(path, abis string, compat bool, sigs map[string]string) ([]entry, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, a := range strings.Fields(abis) {
		wanted[a] = true
	}
	var entries []entry
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 3 || f[0][0] == '#' || !wanted[f[1]] {
			continue
		}
		nr, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		e := entry{nr: nr, name: f[2], sig: "-"}
		if len(f) > 3 {
			e.sig = lookupSig(sigs, f[3])
		}
		if compat && len(f) > 4 && f[4] != "-" {
			e.sig = lookupSig(sigs, f[4])
		}
		entries = append(entries, e)
	}
	sort.SliceStable(entries, func(i, j int) bool { return entries[i].nr < entries[j].nr })
	return entries, sc.Err()
}

func lookupSig(sigs map[string]string, sym string) string {
	if sym == "sys_ni_syscall" {
		return "-" // no such call on this ABI, or any more
	}
	for _, s := range []string{sym, strings.TrimSuffix(sym, "_wrapper"), strings.Replace(sym, "sys_ia32_", "sys_", 1)} {
		if sig, ok := sigs[s]; ok {
			return sig
		}
	}
	return "-"
}

var (
	reDefine = regexp.MustCompile(`(?m)^(?:ARCH_)?(COMPAT_)?SYSCALL(?:32)?_DEFINE([0-6])\(([^)]*)\)`)
	reSpace  = regexp.MustCompile(`\s+`)
	reCmt    = regexp.MustCompile(`(?s)/\*.*?\*/`)
)

// signatures finds every SYSCALL_DEFINE of the tree: entry point to parameters.
// Where a call is defined several times (clone, mmap by configuration) the one
// with most parameters counts; calls.txt says what each ABI really has.
func signatures(src string) (map[string]string, error) {
	sigs := map[string]string{}
	arity := map[string]int{}
	for _, top := range []string{
		"arch/x86/kernel", "arch/x86/entry", "arch/arm64/kernel", "arch/arm64/mm", "arch/arm/kernel",
		"block", "drivers/char", "drivers/pci", "fs", "init", "io_uring", "ipc", "kernel", "mm", "net", "security",
	} {
		err := filepath.WalkDir(filepath.Join(src, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".c") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(b, []byte("SYSCALL")) {
				return err
			}
			b = reCmt.ReplaceAll(b, nil)
			for _, m := range reDefine.FindAllSubmatch(b, -1) {
				n, _ := strconv.Atoi(string(m[2]))
				parts := strings.Split(reSpace.ReplaceAllString(string(m[3]), " "), ",")
				if len(parts) < 1+2*n {
					continue
				}
				sym := string(m[1])
				if sym != "" {
					sym = "compat_"
				}
				sym += "sys_" + strings.TrimSpace(parts[0])
				if had, ok := arity[sym]; ok && had >= n {
					continue
				}
				var params []string
				for i := range n {
					params = append(params, strings.TrimSpace(parts[1+2*i])+" "+strings.TrimSpace(parts[2+2*i]))
				}
				arity[sym] = n
				sigs[sym] = strings.Join(params, ", ")
				if n == 0 {
					sigs[sym] = "void"
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sigs, nil
}
