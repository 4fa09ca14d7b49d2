package spool

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
)

// of is a crash of a pod.
func of(id, namespace, owner, pod string) Meta {
	m := metaOf(id, "pod/"+namespace+"/"+pod)
	m.Recording.Pod = &api.Pod{Namespace: namespace, Name: pod, Owner: &api.Owner{Kind: "Deployment", Name: owner}}
	return m
}

// inside is the crash of a container inside that of a pod.
func inside(id string, outer Meta) Meta {
	m := metaOf(id, "cgroup/"+id)
	m.Recording.Pod, m.Recording.Container = nil, api.Container{Name: id, Cgroup: "/pod/" + id}
	account := AccountOf(&outer.Recording)
	m.Outer = &account
	return m
}

// TestLoudAndQuiet catches a container that makes crashing ones inside it, and a rollout of
// bad pods, that keep others' first crashes from the disk, or push them out.
func TestLoudAndQuiet(t *testing.T) {
	hostile := of("", "evil", "miner", "miner-0")
	for name, loud := range map[string]func(i int) Meta{
		"nested":  func(i int) Meta { return inside(fmt.Sprintf("aaaa%04d", i), hostile) },
		"rollout": func(i int) Meta { id := fmt.Sprintf("aaaa%04d", i); return of(id, "shop", "cart", "cart-"+id) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mount(t, "spooltest", dir, "tmpfs", 0, "size=2m,mode=0700")
			raw := rawDump(t, 500, 100, true)
			c := &clock{at: noon}
			limits := DefaultLimits()
			limits.MinFree, limits.MaxBytes = 0, 1<<20 // room for 16 or so
			s := openStore(t, filepath.Join(dir, "spool"), limits, c)
			quiet := []Meta{of("bb01", "shop", "web", "web-0"), of("bb02", "db", "postgres", "postgres-0"), of("bb03", "kube-system", "dns", "dns-1"), of("bb04", "shop", "mail", "mail-0")}
			var waiting []Meta
			for i := range 100 {
				waiting = append(waiting, loud(i))
				if i%25 == 24 {
					waiting = append(waiting, quiet[i/25])
				}
			}
			// As the recorder does: who is refused waits for the next turn.
			for range 600 {
				turns := make([]Waiting, len(waiting))
				for i := range waiting {
					turns[i].Account = waiting[i].account()
				}
				for _, i := range s.Order(turns) {
					if ok, _ := s.Admit(&waiting[i]); ok {
						save(t, s, waiting[i], raw)
						waiting = append(waiting[:i], waiting[i+1:]...)
						break
					}
				}
				c.forward(time.Second)
			}
			if len(waiting) > 0 {
				t.Errorf("%d wait after ten minutes", len(waiting))
			}
			var got []string
			loudOnes := 0
			for _, id := range ids(t, s) {
				if strings.HasPrefix(id, "bb") {
					got = append(got, id)
				} else {
					loudOnes++
				}
			}
			if len(got) != 4 || loudOnes < 5 {
				t.Errorf("on disk are %v of 4 quiet ones and %d of the loud", got, loudOnes)
			}
		})
	}
}

// TestTurns catches one that waits for as long as another has something to write.
func TestTurns(t *testing.T) {
	s := openStore(t, t.TempDir(), Limits{}, nil)
	var waiting []Meta
	for i := range 6 {
		waiting = append(waiting, of(fmt.Sprint("a", i), "shop", "cart", fmt.Sprint("cart-", i)))
	}
	waiting = append(waiting,
		of("b0", "shop", "web", "web-0"), of("b1", "shop", "web", "web-0"),
		of("c0", "db", "pg", "pg-0"), of("c1", "db", "pg", "pg-1"), of("c2", "db", "pg", "pg-1"))
	var got []string
	for len(waiting) > 0 {
		turns := make([]Waiting, len(waiting))
		for i := range waiting {
			turns[i] = Waiting{waiting[i].account(), i == 0, noon.Add(time.Duration(i))}
		}
		next := s.Order(turns)[0]
		if ok, why := s.Admit(&waiting[next]); !ok {
			t.Fatal(why)
		}
		got = append(got, waiting[next].Recording.ID)
		waiting = append(waiting[:next], waiting[next+1:]...)
	}
	want := []string{"a1", "c0", "b0", "c1", "a2", "c2", "b1", "a3", "a4", "a5", "a0"}
	if !cmp.Equal(got, want) {
		t.Errorf("in the order %v\nwant %v", got, want)
	}
}

// TestSharesOfRoom catches a limit that costs the one who takes least, or who was there
// first.
func TestSharesOfRoom(t *testing.T) {
	c := &clock{at: noon}
	s := openStore(t, t.TempDir(), Limits{MaxFiles: 8, LoopGap: time.Hour, Interval: time.Hour, KeepFirst: 1}, c)
	raw := rawDump(t, 5, 10, false)
	put := func(m Meta) {
		t.Helper()
		if ok, why := s.Admit(&m); !ok {
			t.Fatal(why)
		}
		save(t, s, m, raw)
		c.forward(time.Second)
	}
	put(of("01", "db", "pg", "pg-0"))
	put(of("02", "shop", "web", "web-0"))
	lesser := of("03", "shop", "cart", "cart-0")
	lesser.Lesser, lesser.Key = true, "lesser"
	put(of("04", "shop", "cart", "cart-0"))
	put(lesser)
	byHand := of("05", "shop", "cart", "cart-0")
	byHand.Reason.Kind = KindSaved
	save(t, s, byHand, raw)
	for i := range 5 {
		put(of(fmt.Sprint("1", i), "shop", "cart", fmt.Sprint("cart-", i+1)))
	}
	// shop has most, in it cart, of cart the pod that has two, of that the lesser one;
	// then the oldest.
	want := []string{"01", "02", "05", "10", "11", "12", "13", "14"}
	if got := ids(t, s); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for i := range 8 { // what somebody asks for has half of the room for sure, and at most one more
		m := of(fmt.Sprint("2", i), "shop", "cart", "cart-0")
		m.Reason.Kind = KindSaved
		save(t, s, m, raw)
		c.forward(time.Second)
	}
	want = []string{"01", "02", "14", "23", "24", "25", "26", "27"}
	if got := ids(t, s); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
