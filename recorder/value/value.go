// Package value holds what a record means: a tree of typed values. The decoders of package
// strace build it once for a record. Writers turn it into text as strace writes it (Text)
// and into JSON (JSON), so that no two outputs can say different things.
package value

import "github.com/recorderd/recorderd/recorder/syscalls"

// Kind is the type of a value.
type Kind uint8

// The kinds. Each writer names all of them.
const (
	Int     Kind = iota // Num, signed
	Uint                // Num, in decimal
	Hex                 // Num, in hexadecimal; Pad is the least number of digits
	Digits              // the same without 0x
	Octal               // Num: permission bits
	Addr                // Num: a pointer that was not followed, NULL if it is 0
	Fd                  // Num: a file descriptor; it may have a name in Text (AT_FDCWD)
	Enum                // Num, a member of Set; Text is its name, "" if it has none
	Flags               // Num, flags of Set; Set may hold an enumeration in some bits, too
	Signal              // Num: a signal's number
	Signals             // Num: a set of signals; Pad is the number of bits
	Word                // Text: a constant
	Bool                // true; in text only what Form says
	String              // Data: text or contents, as they are in memory
	Bytes               // Data: bytes that are no text
	IP                  // Data: an Internet address in the network's order; nil: the IPv4 one in Num, as in memory
	MAC                 // Data: a hardware address
	Object              // members with names
	List                // members without names
	Union               // a list of flags and other parts of one number, with "|" between them
	Group               // one value whose forms in text and in JSON are members of their own
)

// Flag is a property of a value.
type Flag uint16

// The properties.
const (
	Boxed    Flag = 1 << iota // text puts it in brackets: what a pointer to a number points to
	Cut                       // there was more than was captured
	Whole                     // text never shortens it: a file name
	Limited                   // text shows no more members than bytes of a string
	Hidden                    // text has "..." for it unless it is verbose
	NoText                    // not in text
	NoJSON                    // not in JSON
	NoName                    // text leaves its name out
	Result                    // of Fd: the call returned it
	Named                     // text has the number and Text as a comment, JSON has Text
	FlagOnly                  // of Flags: no bits of it hold an enumeration
	Follows                   // of Flags: something stands before it in a Union
	More                      // of a container: text ends it with "...", though nothing was cut
)

// Node is a value, or the place of one in a tree.
type Node struct {
	Kind  Kind
	Pad   uint8
	Flags Flag
	End   int32  // index of the first node that is not below this one
	Name  string // of a member of an Object
	Num   uint64
	Set   *syscalls.Set
	Form  *Form
	// Text is the name of a Word, an Enum or an Fd; of other kinds a comment.
	Text string
	// Data holds the bytes of a String or Bytes, and aliases the record: who overwrites it
	// there blanks it in everything that is made of the record. Of other kinds it is a
	// comment like Text, in memory of the tree.
	// (Of a List that was cut it stands behind the "...".)
	Data []byte
}

// Form says how text shows a value, where that is not as its kind is shown.
type Form struct {
	Pre, Post        string // around the value
	Open, Close, Sep string // of a container, instead of {} or [] and ", ", unless all are ""
	Bare             bool   // members of an Object stand without their names
}

// Arg is an argument of a call.
type Arg struct {
	Name string
	Type string // of calls.txt
	Raw  uint64 // what stood in the register (both, where 64 bits took two)
	Root int32  // its node
}

// Tree is a record, decoded. Nodes stand in order, each before its members. The zero Tree is
// empty. What it holds is valid until Reset, and as long as the record's memory is.
type Tree struct {
	Nodes []Node
	Call  string // the name, "" if the number is unknown
	Args  []Arg
	Ret   int32 // the node of the result as a number, -1: none (it failed, or has not returned)
	Means int32 // what the result means, where it is more than a number; -1: nothing

	comments []byte
	name     string
	form     *Form
	flags    Flag
}

// Reset empties the tree and keeps its memory.
func (t *Tree) Reset() {
	*t = Tree{Nodes: t.Nodes[:0], Args: t.Args[:0], comments: t.comments[:0], Ret: -1, Means: -1}
}

// Name sets the name of the node that is added next.
func (t *Tree) Name(name string) { t.name = name }

// With sets the form of the node that is added next.
func (t *Tree) With(f *Form) { t.form = f }

// Mark sets properties of the node that is added next.
func (t *Tree) Mark(f Flag) { t.flags |= f }

// Add appends a node that has no members.
func (t *Tree) Add(n Node) *Node {
	n.Name, n.Form, n.Flags = t.name, t.form, n.Flags|t.flags
	t.name, t.form, t.flags = "", nil, 0
	n.End = int32(len(t.Nodes)) + 1
	t.Nodes = append(t.Nodes, n)
	return &t.Nodes[len(t.Nodes)-1]
}

// Open appends a container. What is added until Close gets its index is in it.
func (t *Tree) Open(k Kind) int {
	t.Add(Node{Kind: k})
	return len(t.Nodes) - 1
}

// Close ends a container.
func (t *Tree) Close(at int) *Node {
	n := &t.Nodes[at]
	n.End = int32(len(t.Nodes))
	return n
}

// Len returns the number of nodes, for Truncate.
func (t *Tree) Len() int { return len(t.Nodes) }

// Truncate takes back all nodes but the first n.
func (t *Tree) Truncate(n int) {
	t.Nodes = t.Nodes[:n]
	t.name, t.form, t.flags = "", nil, 0
}

// Empty reports whether a container has no members so far.
func (t *Tree) Empty(at int) bool { return at == len(t.Nodes)-1 }

// Comment returns an empty slice to append a comment to, for KeepComment.
func (t *Tree) Comment() []byte { return t.comments[len(t.comments):] }

// KeepComment keeps what was appended to Comment, and returns it.
func (t *Tree) KeepComment(b []byte) []byte {
	n := len(t.comments)
	t.comments = append(t.comments, b...)
	return t.comments[n:len(t.comments):len(t.comments)]
}

// Int adds a signed number.
func (t *Tree) Int(v int64) *Node { return t.Add(Node{Kind: Int, Num: uint64(v)}) }

// Uint adds an unsigned number.
func (t *Tree) Uint(v uint64) *Node { return t.Add(Node{Kind: Uint, Num: v}) }

// Hex adds a number that text shows in hexadecimal.
func (t *Tree) Hex(v uint64) *Node { return t.Add(Node{Kind: Hex, Num: v}) }

// Octal adds permission bits.
func (t *Tree) Octal(v uint64) *Node { return t.Add(Node{Kind: Octal, Num: v}) }

// Addr adds a pointer that was not followed.
func (t *Tree) Addr(v uint64) *Node { return t.Add(Node{Kind: Addr, Num: v}) }

// Word adds a constant.
func (t *Tree) Word(name string) *Node { return t.Add(Node{Kind: Word, Text: name}) }

// Signal adds a signal by its number.
func (t *Tree) Signal(sig int) *Node {
	return t.Add(Node{Kind: Signal, Num: uint64(int64(sig))})
}

// String adds a string. cut: there was more of it.
func (t *Tree) String(data []byte, cut bool) *Node {
	n := Node{Kind: String, Data: data}
	if cut {
		n.Flags |= Cut
	}
	return t.Add(n)
}

// Set adds a number by the names that a set of the call's ABI has for it. inMemory: it is as
// wide as its storage; otherwise it is a register's, whose upper half may be anything.
func (t *Tree) Set(s *syscalls.Set, v uint64, inMemory bool) *Node {
	if s.Pure {
		name := s.Enum(v)
		if name == "" && !inMemory {
			// an int: a negative one is sign-extended by some, and cut by others
			if name = s.Enum(v & 0xffffffff); name == "" {
				name = s.Enum(uint64(int64(int32(v))))
			}
			v &= 0xffffffff
		}
		return t.Add(Node{Kind: Enum, Set: s, Num: v, Text: name})
	}
	if !inMemory && s.Mask <= 0xffffffff && !hasHigh(s) {
		v &= 0xffffffff
	}
	return t.Add(Node{Kind: Flags, Set: s, Num: v})
}

// hasHigh reports whether a set has flags above 32 bits.
func hasHigh(s *syscalls.Set) bool {
	for i := range s.Flags {
		if s.Flags[i].Value>>32 != 0 {
			return true
		}
	}
	return false
}

// Strings calls f for every string below a node, in order: file names, contents, names in
// structs and socket addresses. The bytes alias the record.
func (t *Tree) Strings(f func(n *Node)) {
	for i := range t.Nodes {
		if n := &t.Nodes[i]; n.Kind == String || n.Kind == Bytes {
			f(n)
		}
	}
}
