package replay

// fdTree maps descriptors to what they are open on. A copy shares everything with the
// original and takes no time, whatever is in it: a container that forks a thousand times
// would else cost a thousand tables. Who writes makes copies of the few nodes on the way.
//
// It is a radix tree of four bits a level, whose height grows with the largest number.
type fdTree struct {
	root   *fdNode
	height uint8
	owner  *fdOwner // nodes of this owner are nobody else's; nil: none are
}

// fdOwner is told from others by its address.
type fdOwner struct{ _ byte }

const (
	fdBits = 4
	fdWide = 1 << fdBits
	// What nodes take, in bytes.
	fdNodeSize = 48
	fdKidsSize = 8 * fdWide
	fdLeafSize = 32 * fdWide
)

type fdNode struct {
	owner   *fdOwner
	kids    *[fdWide]*fdNode // nil: it is a leaf
	leaf    *[fdWide]fdEntry
	latest  uint64 // no entry below it changed later
	weighed uint32 // fdBooks.round when its bytes were counted last
	n       int32  // entries below it
	cloexec bool   // some below it may be closed by execve
}

// fdBooks are kept of all trees of a dump: what was allocated for them, and how many nodes
// were visited by what visits many.
type fdBooks struct {
	spent   int // bytes, since they were weighed; what is garbage by now included
	visited int
	allowed int // visits
	round   uint32
}

// share returns a copy.
func (t *fdTree) share() fdTree {
	t.owner = nil
	return *t
}

func (t *fdTree) len() int {
	if t.root == nil {
		return 0
	}
	return int(t.root.n)
}

// get returns the entry of a number, and false if there is none.
func (t *fdTree) get(num int32) (fdEntry, bool) {
	n := t.root
	if num < 0 || n == nil || uint64(num)>>(fdBits*(uint(t.height)+1)) != 0 {
		return fdEntry{}, false
	}
	for h := uint(t.height); n != nil; h-- {
		i := uint32(num) >> (fdBits * h) % fdWide
		if h == 0 {
			return n.leaf[i], n.leaf[i].set
		}
		n = n.kids[i]
	}
	return fdEntry{}, false
}

// put sets the entry of a number.
func (t *fdTree) put(b *fdBooks, num int32, e fdEntry) {
	if num < 0 {
		return
	}
	if t.owner == nil {
		t.owner = new(fdOwner)
	}
	e.set = true
	for uint64(num)>>(fdBits*(uint(t.height)+1)) != 0 {
		t.height++
		if old := t.root; old != nil {
			t.root = b.node(t.owner, false)
			t.root.kids[0] = old
			t.root.sum()
		}
	}
	t.root = t.root.put(b, t.owner, uint(t.height), uint32(num), e)
}

func (n *fdNode) put(b *fdBooks, owner *fdOwner, h uint, num uint32, e fdEntry) *fdNode {
	if n == nil {
		n = b.node(owner, h == 0)
	} else {
		n = n.mine(b, owner)
	}
	i := num >> (fdBits * h) % fdWide
	if h == 0 {
		if !n.leaf[i].set {
			n.n++
		}
		n.leaf[i] = e
	} else {
		if kid := n.kids[i]; kid != nil {
			n.n -= kid.n
		}
		n.kids[i] = n.kids[i].put(b, owner, h-1, num, e)
		n.n += n.kids[i].n
	}
	n.latest, n.cloexec = max(n.latest, e.changed), n.cloexec || e.cloexec
	return n
}

func (b *fdBooks) node(owner *fdOwner, leaf bool) *fdNode {
	n := &fdNode{owner: owner}
	if leaf {
		n.leaf = new([fdWide]fdEntry)
	} else {
		n.kids = new([fdWide]*fdNode)
	}
	b.spent += n.size()
	return n
}

func (n *fdNode) size() int {
	if n.leaf != nil {
		return fdNodeSize + fdLeafSize
	}
	return fdNodeSize + fdKidsSize
}

// mine returns n, or a copy if it is another's.
func (n *fdNode) mine(b *fdBooks, owner *fdOwner) *fdNode {
	if n.owner == owner {
		return n
	}
	c := b.node(owner, n.leaf != nil)
	if n.leaf != nil {
		*c.leaf = *n.leaf
	} else {
		*c.kids = *n.kids
	}
	c.latest, c.n, c.cloexec = n.latest, n.n, n.cloexec
	return c
}

// sum sets what n says of all below it.
func (n *fdNode) sum() {
	n.n, n.latest, n.cloexec = 0, 0, false
	if n.leaf != nil {
		for i := range n.leaf {
			if e := &n.leaf[i]; e.set {
				n.n++
				n.latest, n.cloexec = max(n.latest, e.changed), n.cloexec || e.cloexec
			}
		}
		return
	}
	for _, kid := range n.kids {
		if kid != nil {
			n.n += kid.n
			n.latest, n.cloexec = max(n.latest, kid.latest), n.cloexec || kid.cloexec
		}
	}
}

// edit changes entries, or drops those of which change says so. It looks below a node only
// if within says so. A tree of which too much would have to be looked at is emptied: to
// know nothing is always right.
func (t *fdTree) edit(b *fdBooks, within func(n *fdNode, first, last uint32) bool, change func(num uint32, e *fdEntry) (keep bool)) {
	if t.root == nil {
		return
	}
	if t.owner == nil {
		t.owner = new(fdOwner)
	}
	t.root = t.root.edit(b, t.owner, uint(t.height), 0, within, change)
	if b.visited > b.allowed {
		*t = fdTree{}
	}
}

func (n *fdNode) edit(b *fdBooks, owner *fdOwner, h uint, first uint32, within func(*fdNode, uint32, uint32) bool, change func(uint32, *fdEntry) bool) *fdNode {
	if n == nil || b.visited > b.allowed || !within(n, first, first|(1<<(fdBits*(h+1))-1)) {
		return n
	}
	b.visited++
	n = n.mine(b, owner)
	for i := range uint32(fdWide) {
		num := first | i<<(fdBits*h)
		if h > 0 {
			n.kids[i] = n.kids[i].edit(b, owner, h-1, num, within, change)
		} else if e := &n.leaf[i]; e.set && !change(num, e) {
			*e = fdEntry{}
		}
	}
	if n.sum(); n.n == 0 {
		return nil
	}
	return n
}

// cut drops the entries of numbers from first to last.
func (t *fdTree) cut(b *fdBooks, first, last uint32) {
	if t.root == nil || first > last {
		return
	}
	if t.owner == nil {
		t.owner = new(fdOwner)
	}
	t.root = t.root.cut(b, t.owner, uint(t.height), 0, first, last)
}

func (n *fdNode) cut(b *fdBooks, owner *fdOwner, h uint, from, first, last uint32) *fdNode {
	to := from | (1<<(fdBits*(h+1)) - 1)
	switch {
	case n == nil || to < first || from > last:
		return n
	case first <= from && to <= last:
		return nil
	}
	n = n.mine(b, owner)
	for i := range uint32(fdWide) {
		num := from | i<<(fdBits*h)
		if h > 0 {
			n.kids[i] = n.kids[i].cut(b, owner, h-1, num, first, last)
		} else if num >= first && num <= last {
			n.leaf[i] = fdEntry{}
		}
	}
	if n.sum(); n.n == 0 {
		return nil
	}
	return n
}

// settle drops the entries that changed after a time.
func (t *fdTree) settle(b *fdBooks, time uint64) {
	t.edit(b, func(n *fdNode, _, _ uint32) bool { return n.latest > time }, func(_ uint32, e *fdEntry) bool { return e.changed <= time })
}

// exec drops the entries that an execve at a time closes, and those that changed later.
func (t *fdTree) exec(b *fdBooks, time uint64) {
	t.edit(b, func(n *fdNode, _, _ uint32) bool { return n.cloexec || n.latest > time }, func(_ uint32, e *fdEntry) bool {
		return !e.cloexec && e.changed <= time
	})
}

// weigh returns how many bytes a tree takes that were not counted in this round.
func (t *fdTree) weigh(b *fdBooks) int { return t.root.weigh(b) }

func (n *fdNode) weigh(b *fdBooks) int {
	if n == nil || n.weighed == b.round {
		return 0
	}
	n.weighed = b.round
	bytes := n.size()
	if n.leaf != nil {
		for i := range n.leaf {
			if fl := n.leaf[i].file; fl != nil && fl.weighed != b.round {
				fl.weighed = b.round
				bytes += fl.size()
			}
		}
		return bytes
	}
	for _, kid := range n.kids {
		bytes += kid.weigh(b)
	}
	return bytes
}
