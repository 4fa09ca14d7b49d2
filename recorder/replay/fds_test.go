package replay

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// TestFdTree holds trees that share nodes against maps that share nothing.
func TestFdTree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	books := &fdBooks{allowed: 1 << 40}
	numbers := []int32{0, 1, 3, 15, 16, 17, 255, 256, 4000, 65535, 1 << 20, 1<<31 - 1}
	type pair struct {
		tree fdTree
		want map[int32]fdEntry
	}
	all := []*pair{{want: map[int32]fdEntry{}}}
	for step := range 20000 {
		p := all[rnd.IntN(len(all))]
		num := numbers[rnd.IntN(len(numbers))] - rnd.Int32N(3)
		time := uint64(step) + rnd.Uint64N(50)
		switch rnd.IntN(12) {
		case 0:
			if len(all) > 20 {
				all = all[10:]
			}
			all = append(all, &pair{p.tree.share(), maps.Clone(p.want)})
		case 1:
			p.tree.settle(books, time)
			maps.DeleteFunc(p.want, func(_ int32, e fdEntry) bool { return e.changed > time })
		case 2:
			p.tree.exec(books, time)
			maps.DeleteFunc(p.want, func(_ int32, e fdEntry) bool { return e.changed > time || e.cloexec })
		case 3:
			last := num + rnd.Int32N(300)
			if num < 0 || last < num {
				continue
			}
			p.tree.cut(books, uint32(num), uint32(last))
			maps.DeleteFunc(p.want, func(n int32, _ fdEntry) bool { return n >= num && n <= last })
		default:
			if num < 0 {
				continue
			}
			e := fdEntry{file: &file{}, changed: time, cloexec: rnd.IntN(3) == 0, set: true}
			p.tree.put(books, num, e)
			p.want[num] = e
		}
		if p.tree.len() != len(p.want) {
			t.Fatalf("step %d: %d entries, want %d", step, p.tree.len(), len(p.want))
		}
	}
	for _, p := range all {
		for n, want := range p.want {
			if e, ok := p.tree.get(n); !ok || e != want {
				t.Errorf("%d: %+v, %v, want %+v", n, e, ok, want)
			}
		}
		for _, n := range numbers {
			if _, ok := p.tree.get(n); ok != (p.want[n].set) {
				t.Errorf("%d: %v", n, ok)
			}
		}
	}
}

// TestFdTreeTired has more to look at than may be: what is not known is empty, not wrong.
func TestFdTreeTired(t *testing.T) {
	books := &fdBooks{allowed: 10}
	var tree fdTree
	for i := range int32(1000) {
		tree.put(books, i, fdEntry{file: &file{}, changed: 1, cloexec: i%2 == 0})
	}
	copied := tree.share()
	copied.exec(books, 5)
	if copied.len() != 0 || tree.len() != 1000 {
		t.Errorf("%d entries are left, and %d", copied.len(), tree.len())
	}
}

func TestUnmapped(t *testing.T) {
	for in, want := range map[string]string{
		"[::ffff:10.0.0.3]:80":                               "10.0.0.3:80",
		"TCPv6:[[::ffff:10.0.0.3]:80->[::ffff:10.0.0.4]:81]": "TCPv6:[10.0.0.3:80->10.0.0.4:81]",
		"[2001:db8::1]:80":                                   "[2001:db8::1]:80",
		"[::ffff:nothing]:80":                                "[::ffff:nothing]:80",
		"[::ffff:10.0.0.3":                                   "[::ffff:10.0.0.3",
		`"/run/[::ffff:1.2.3.4]"`:                            `"/run/1.2.3.4"`,
		"":                                                   "",
	} {
		if got := Unmapped(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
