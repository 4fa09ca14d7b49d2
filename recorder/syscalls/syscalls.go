// Package syscalls is the one table of system calls: their numbers by ABI, the
// names and types of their arguments, and what their pointers point to. The
// kernel's capture plans and the decoder's formatting both come from it.
//
// The tables are generated from kernel.tsv and consts.tsv (facts of the Linux
// kernel) and calls.txt, structs.txt and sets.txt (written by hand); see
// docs/syscalls.md.
package syscalls

import (
	"strings"
	"sync"

	"github.com/recorderd/recorderd/recorder/record"
)

//go:generate go run ../../internal/gensyscalls tables

// Archs is the number of ABIs, record.ArchX86_64 to record.ArchARM.
const Archs = 5

// Index returns the place of an ABI in the arrays of this package, -1 if there is
// no such ABI.
func Index(arch record.Arch) int {
	if arch < record.ArchX86_64 || arch > record.ArchARM {
		return -1
	}
	return int(arch - record.ArchX86_64)
}

// Call is a system call of one ABI, or one of its variants, chosen by a command
// such as ioctl's request.
type Call struct {
	Name    string
	Nr      uint32 // x32: without bit 30
	Args    []Arg
	Nargs   uint8 // registers that hold arguments, 0..6
	Flags   CallFlag
	Class   Class
	Ret     *Type     // how a result is printed, nil: as a decimal number
	Sub     int8      // index in Args of the command that chooses a variant, -1: none
	Subs    []Variant // sorted by Cmd
	SubMask uint32    // bits of the command that choose
}

// Variant is what a call is for one command.
type Variant struct {
	Cmd  uint32
	Call *Call
}

// CallFlag is a property of a call.
type CallFlag uint8

// The properties.
const (
	FlagEnter   CallFlag = 1 << iota // may not return: recorded when it begins, too
	FlagWrite                        // writes the contents at argument 1 to the file descriptor in argument 0
	FlagFork                         // a new task sees its end, too, with 0 as result
	FlagGuessed                      // no row in calls.txt: the arguments are the kernel's signature
)

// Class is a set of classes of calls, as filters name them.
type Class uint16

// The classes, after strace's.
const (
	ClassFile    Class = 1 << iota // takes a file name
	ClassDesc                      // takes or makes a file descriptor
	ClassNetwork                   // network
	ClassProcess                   // begins, ends, replaces or waits for a process
	ClassSignal                    // signals
	ClassMemory                    // maps memory
	ClassIPC                       // System V IPC
	ClassCreds                     // user and group ids, capabilities
	ClassClock                     // reads or sets a clock
	ClassStat                      // stat by name
	ClassLstat                     // lstat
	ClassFstat                     // fstat, fstatat, statx
	ClassStatfs                    // statfs
	ClassFstatfs                   // fstatfs
	ClassUstat                     // ustat
	ClassPure                      // has no arguments and always succeeds
)

// classCalls are the classes that rows do not say, as names do.
var classCalls = map[string]Class{
	"stat": ClassStat, "stat64": ClassStat, "oldstat": ClassStat, "lstat": ClassLstat, "lstat64": ClassLstat, "oldlstat": ClassLstat,
	"fstat": ClassFstat, "fstat64": ClassFstat, "oldfstat": ClassFstat, "newfstatat": ClassFstat, "fstatat64": ClassFstat, "statx": ClassFstat,
	"statfs": ClassStatfs, "statfs64": ClassStatfs, "fstatfs": ClassFstatfs, "fstatfs64": ClassFstatfs, "ustat": ClassUstat,
	"getpid": ClassPure, "getppid": ClassPure, "gettid": ClassPure, "getpgrp": ClassPure, "getuid": ClassPure, "geteuid": ClassPure, "getgid": ClassPure,
	"getegid": ClassPure, "getuid32": ClassPure, "geteuid32": ClassPure, "getgid32": ClassPure, "getegid32": ClassPure,
}

func init() {
	for _, calls := range tables {
		for i := range calls {
			calls[i].Class |= classCalls[calls[i].Name]
		}
	}
}

var classNames = []struct {
	name  string
	class Class
}{
	{"file", ClassFile}, {"desc", ClassDesc}, {"network", ClassNetwork}, {"net", ClassNetwork},
	{"process", ClassProcess}, {"signal", ClassSignal}, {"memory", ClassMemory}, {"ipc", ClassIPC},
	{"creds", ClassCreds}, {"clock", ClassClock},
	{"stat", ClassStat}, {"lstat", ClassLstat}, {"fstat", ClassFstat}, {"%stat", ClassStat | ClassLstat | ClassFstat},
	{"statfs", ClassStatfs}, {"fstatfs", ClassFstatfs}, {"%statfs", ClassStatfs | ClassFstatfs | ClassUstat}, {"pure", ClassPure},
}

// ClassByName returns the class of a name such as "file" or "%file", 0 if there
// is none.
func ClassByName(name string) Class {
	name = strings.TrimPrefix(name, "%")
	for _, c := range classNames {
		if c.name == name {
			return c.class
		}
	}
	return 0
}

// ClassNames returns the names that ClassByName knows, without "%".
func ClassNames() []string {
	var names []string
	for _, c := range classNames {
		names = append(names, c.name)
	}
	return names
}

// Arg is an argument of a call.
type Arg struct {
	Name  string // "-": not shown
	Type  *Type  // of the value, or of what the pointer points to
	Form  Form
	Reg   uint8 // the first register
	Regs  uint8 // 2 where a 32-bit ABI passes 64 bits; 1 otherwise
	Dir   Dir
	Count Count
	Carg  uint8  // register that counts, if Count says so
	N     uint16 // elements, if Count is CountFixed
	Cond  Cond
}

// Form says what stands in an argument's register.
type Form uint8

// The forms.
const (
	FormValue   Form = iota // a value of Type
	FormPointer             // a pointer to Count elements of Type
	FormPath                // a pointer to a file name; never cut in text
	FormString              // a pointer to a string
	FormChars               // a pointer to Count bytes of text without a NUL
	FormPathN               // the same, holding a file name
	FormData                // a pointer to Count bytes of contents
	FormStrings             // a pointer to a vector of strings, NULL at its end
	FormCount               // the same, of which only the number is of interest (environment)
	FormIovec               // a pointer to Count struct iovec, and contents
	FormMsg                 // a pointer to a struct msghdr
	FormMmsg                // a pointer to Count struct mmsghdr
	FormLen                 // a pointer to a length (4 bytes)
	FormVector              // a pointer to Count pointers to one Type each
	FormStack               // no register: what the stack holds when the call begins, a signal mask
	FormDents               // a pointer to Count bytes of directory entries, not captured
)

// Dir says when what a pointer points to is of interest.
type Dir uint8

// Directions can be combined.
const (
	DirIn    Dir = 1 << iota // read at the end of the call, whatever its result
	DirOut                   // read at the end of the call if it succeeded
	DirEntry                 // read when the call begins, as the kernel overwrites it
)

// Count says how many elements a pointer points to.
type Count uint8

// The counts. Those of elements print as an array.
const (
	CountOne      Count = iota // one
	CountFixed                 // Arg.N elements
	CountArg                   // elements: the value of argument Carg, an int
	CountArgLong               // elements: the value of argument Carg, a long
	CountRet                   // elements: the result
	CountPtr                   // bytes: the 4-byte number that argument Carg points to
	CountBits                  // bits: the value of argument Carg; whole longs are read
	CountPages                 // pages: the value of argument Carg is bytes of memory
	CountBytes                 // bytes: the value of argument Carg, a long
	CountBytesInt              // bytes: the value of argument Carg, an int
)

// Cond is a condition for an argument to be shown.
type Cond uint8

// The conditions.
const (
	CondAlways        Cond = iota
	CondCreat              // the flags of an open have O_CREAT or O_TMPFILE
	CondDevice             // the mode of a mknod is a device's
	CondMremapFixed        // mremap's flags have MREMAP_FIXED
	CondInterrupted        // what it points to is shown only if the call was interrupted
	CondMembarrierCPU      // membarrier has flags
	CondFilterMode         // prctl's second argument is SECCOMP_MODE_FILTER
)

// Kind says how a value is shown.
type Kind uint8

// The kinds.
const (
	KindInt      Kind = iota // signed decimal
	KindUint                 // unsigned decimal
	KindHex                  // hexadecimal
	KindPtr                  // an address, NULL if 0
	KindFd                   // a file descriptor
	KindDirfd                // the same, or AT_FDCWD
	KindUID                  // a user or group id, -1 for none
	KindMode                 // permission bits in octal
	KindFileMode             // type of a file and its permission bits
	KindDev                  // a device's number
	KindSig                  // a signal's number
	KindSet                  // Type.Set
	KindStruct               // Type.Struct
	KindCustom               // decoded by a function of package strace, found by Type.Name
)

// Type is a type of values.
type Type struct {
	ID     uint16 // index in Types
	Name   string // as calls.txt and structs.txt have it
	Kind   Kind
	Size   uint8 // bytes, where a pointer points to it; 0: a word of the ABI
	Max    uint16
	Set    *Set
	Struct *Struct
}

// SizeOn returns the bytes that a value of the type takes in memory.
func (t *Type) SizeOn(arch record.Arch) int {
	if t.Struct != nil {
		if l := t.Struct.On(arch); l != nil {
			return int(l.Size)
		}
		return 0
	}
	if t.Size == 0 {
		return Word(arch)
	}
	return int(t.Size)
}

// Word returns the bytes of a pointer.
func Word(arch record.Arch) int {
	if arch.Is32() {
		return 4
	}
	return 8
}

// Struct is a struct of the kernel's user-space interface.
type Struct struct {
	Name    string
	Noname  bool // a single field, shown as [value]
	Layouts [Archs]*Layout
}

// On returns the struct's layout in an ABI, nil if the ABI is unknown.
func (s *Struct) On(arch record.Arch) *Layout {
	if i := Index(arch); i >= 0 {
		return s.Layouts[i]
	}
	return nil
}

// Layout is a struct as one ABI has it.
type Layout struct {
	Size   uint16
	Fields []Field
}

// Field is a member of a struct.
type Field struct {
	Name   string
	typ    uint16 // index in types
	Off    uint16
	Size   uint16 // bytes of an element
	N      uint16 // elements, 0: not an array
	Signed bool
	Char   bool // an array of characters
	Hidden bool // left out of text, as strace does without -v
	Via    bool // a pointer to a string or to one value of Type, which is captured as well; one in a struct at most
	Many   bool // Via, to an array, whose size in bytes is the number that the struct begins with
}

// IsString reports whether a pointer in a struct (see Via) points to a string.
func (f *Field) IsString() bool { n := f.Type().Name; return n == "str" || n == "path" }

// Type returns how the field is shown. Its storage is what the field says.
func (f *Field) Type() *Type { return &types[f.typ] }

// Set is an enumeration, a set of flags, or both.
type Set struct {
	Name    string
	Unknown string  // what strace calls an unknown value: "O_???"
	Mask    uint64  // bits that hold an enumeration; 0: none, or all if there are no Flags
	Enums   []Const // sorted by value
	Flags   []Const // in the order in which they are shown
	Pure    bool    // an enumeration only
	arm     uint16  // index in sets of the ARM ABIs' set, plus 1, where it differs
}

// Const is a named value.
type Const struct {
	Value uint64
	Name  string
}

// On returns the set of an ABI.
func (s *Set) On(arch record.Arch) *Set {
	if s.arm != 0 && (arch == record.ArchARM64 || arch == record.ArchARM) {
		return &sets[s.arm-1]
	}
	return s
}

// Enum returns the name of an enumerated value, "" if it has none.
func (s *Set) Enum(v uint64) string {
	lo, hi := 0, len(s.Enums)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.Enums[mid].Value < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(s.Enums) && s.Enums[lo].Value == v {
		return s.Enums[lo].Name
	}
	return ""
}

// Lookup returns the call with a number, nil if there is none. x32 numbers are
// without their bit 30.
func Lookup(arch record.Arch, nr uint32) *Call {
	i := Index(arch)
	if i < 0 || int64(nr) >= int64(len(tables[i])) || tables[i][nr].Name == "" {
		return nil
	}
	return &tables[i][nr]
}

// All returns the calls of an ABI, by number. Those without a name do not exist.
func All(arch record.Arch) []Call {
	if i := Index(arch); i >= 0 {
		return tables[i]
	}
	return nil
}

var byName struct {
	once sync.Once
	maps [Archs]map[string]*Call
}

// ByName returns the call of a name, nil if the ABI has none.
func ByName(arch record.Arch, name string) *Call {
	i := Index(arch)
	if i < 0 {
		return nil
	}
	byName.once.Do(func() {
		for a := range byName.maps {
			m := make(map[string]*Call, len(tables[a]))
			for n := range tables[a] {
				if c := &tables[a][n]; c.Name != "" && m[c.Name] == nil {
					m[c.Name] = c
				}
			}
			byName.maps[a] = m
		}
	})
	return byName.maps[i][name]
}

// Variant returns what the call is with the command in its arguments: c itself
// where the command does not matter or is unknown.
func (c *Call) Variant(args *[6]uint64) *Call {
	if c.Sub < 0 {
		return c
	}
	cmd := uint32(args[c.Args[c.Sub].Reg]) & c.SubMask
	lo, hi := 0, len(c.Subs)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if c.Subs[mid].Cmd < cmd {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.Subs) && c.Subs[lo].Cmd == cmd {
		return c.Subs[lo].Call
	}
	return c
}

// Types returns every type that occurs; Type.ID is the index.
func Types() []Type { return types[:] }

// SetByName returns a set of sets.txt, or "ioctl"; nil if there is none.
func SetByName(name string) *Set {
	for i := range sets {
		if sets[i].Name == name {
			return &sets[i]
		}
	}
	return nil
}

// StructByName returns a struct of structs.txt, nil if there is none.
func StructByName(name string) *Struct {
	for i := range structs {
		if structs[i].Name == name {
			return &structs[i]
		}
	}
	return nil
}

// Errno returns the name of an error number and its text, "" if it has none.
// It knows the kernel's own ones, too (ERESTARTSYS).
func Errno(n int) (name, text string) {
	if n < 0 || n >= len(errnos) {
		return "", ""
	}
	return errnos[n].name, errnos[n].text
}
