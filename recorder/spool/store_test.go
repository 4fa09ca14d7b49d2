package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
)

// The test binary is also the process that is killed while it saves.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SPOOL_TEST_SAVE"); dir != "" {
		saveForever(dir)
	}
	os.Exit(m.Run())
}

// clock is a time that stands still: that of day, which can be set, and the uptime, which
// cannot.
type clock struct {
	mu   sync.Mutex
	at   time.Time
	up   time.Duration
	boot string
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.up = c.at.Add(d), c.up+d
}

// set sets the time of day, as NTP or somebody does.
func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// reboot starts the node anew, after it was off for a while.
func (c *clock) reboot(off time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.up, c.boot = c.at.Add(off), 0, c.boot+"again"
}

func (c *clock) clock() Clock {
	return Clock{
		Now:    func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at },
		Uptime: func() time.Duration { c.mu.Lock(); defer c.mu.Unlock(); return c.up },
		Boot:   "boot" + c.boot,
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func openStore(t testing.TB, dir string, l Limits, c *clock) *Store {
	t.Helper()
	if c == nil {
		c = &clock{at: noon}
	}
	s, err := OpenAt(dir, l, quiet(), c.clock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func metaOf(id, key string) Meta {
	m := *testMeta()
	m.Recording.ID, m.Key, m.Saved = id, key, time.Time{}
	m.Reason.Kind = KindExit
	return m
}

func writing(raw []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	}
}

func save(t testing.TB, s *Store, m Meta, raw []byte) Entry {
	t.Helper()
	e, err := s.Save(context.Background(), m, writing(raw))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ids returns what is listed, and checks that it is what is on the disk.
func ids(t testing.TB, s *Store) []string {
	t.Helper()
	list := []string{}
	names := map[string]bool{}
	for _, e := range s.List() {
		list = append(list, e.ID)
		names[e.Name] = true
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, _, ok := parseName(f.Name()); ok && !names[f.Name()] || strings.HasPrefix(f.Name(), tmpPrefix) {
			t.Errorf("%s is there and not listed", f.Name())
		}
		delete(names, f.Name())
	}
	if len(names) > 0 {
		t.Errorf("listed and not there: %v", names)
	}
	return list
}

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "spool")
	c := &clock{at: noon}
	s := openStore(t, dir, Limits{}, c)
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Fatal(st, err)
	}
	raw := rawDump(t, 100, 10, true)
	e := save(t, s, metaOf("366ed0c84781", "k"), raw)
	if want := "20261122T120000.000Z_cart-0_cart_366ed0c84781.recspool"; e.Name != want || e.ID != "366ed0c84781" || !e.Meta.Saved.Equal(noon) {
		t.Errorf("%+v", e)
	}
	if st, err := os.Stat(filepath.Join(dir, e.Name)); err != nil || st.Mode().Perm() != 0o600 || st.Size() != e.Bytes {
		t.Error(st, err)
	}
	c.forward(time.Second)
	again := save(t, s, metaOf("366ed0c84781", "k"), raw) // the same recording, later
	save(t, s, metaOf("366ed0c84781", "k"), raw)          // and at the same millisecond
	want := []string{"366ed0c84781", "366ed0c84781-2", "366ed0c84781-3"}
	if got := ids(t, s); !cmp.Equal(got, want) || again.ID != want[1] {
		t.Errorf("got %v", got)
	}
	list := s.List()
	s = openStore(t, dir, Limits{}, c) // as after a reboot
	if diff := cmp.Diff(list, s.List()); diff != "" {
		t.Errorf("opened again: %s", diff)
	}
	f, err := s.Open("366ed0c84781-2")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Delete("366ed0c84781-2"); err != nil {
		t.Fatal(err)
	}
	if got := readDump(f.Dump()); len(got.times) != 100 || len(got.damage) > 0 || got.problem != nil {
		t.Errorf("deleted while it is read: %d records, %v", len(got.times), got.problem)
	}
	for _, id := range []string{"366ed0c84781-2", "x", ""} {
		if _, err := s.Get(id); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if _, err := s.Open(id); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if err := s.Delete(id); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	r := list[0].Describe()
	if r.State != api.StateSpooled || r.Spool == nil || r.Spool.Reason != "exit" || r.Spool.Bytes != uint64(list[0].Bytes) || r.ID != "366ed0c84781" {
		t.Errorf("%+v", r)
	}
	if st := s.Stats(); st.Files != 2 || st.Bytes == 0 || st.Removed[RemovedDeleted] != 1 {
		t.Errorf("%+v", st)
	}
}

// What there is of which recording stays right whoever adds and removes files, or
// damages them.
func TestHas(t *testing.T) {
	dir := t.TempDir()
	c := &clock{at: noon}
	s := openStore(t, dir, Limits{MaxFiles: 4}, c)
	raw := rawDump(t, 10, 1, true)
	add := func(id string, why Kind) Entry {
		t.Helper()
		c.forward(time.Second)
		m := metaOf(id, "")
		m.Reason.Kind = why
		return save(t, s, m, raw)
	}
	demand := func(when string, want map[occasion]bool) {
		t.Helper()
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for what, has := range want {
			if s.Has(what.recording, what.why) != has {
				t.Errorf("%s: it has %v: %v", when, what, !has)
			}
		}
		n := 0
		for _, k := range s.occasions {
			n += k
		}
		if n != len(s.entries) || n != len(s.List()) {
			t.Errorf("%s: %d of %d entries are counted: %v", when, n, len(s.entries), s.occasions)
		}
	}
	aExit, aSaved, b := occasion{"aaaa", KindExit}, occasion{"aaaa", KindSaved}, occasion{"bbbb", KindSignal}
	demand("empty", map[occasion]bool{aExit: false})
	first, second := add("aaaa", KindExit), add("aaaa", KindExit)
	add("aaaa", KindSaved)
	demand("saved", map[occasion]bool{aExit: true, aSaved: true, b: false, {"aaaa-2", KindExit}: false, {"aaaa", KindOOM}: false})

	s = openStore(t, dir, Limits{MaxFiles: 4}, c)
	demand("opened again", map[occasion]bool{aExit: true, aSaved: true, b: false})
	if err := os.Remove(filepath.Join(dir, first.Name)); err != nil {
		t.Fatal(err)
	}
	demand("one of two was removed by hand", map[occasion]bool{aExit: true})
	if err := os.Rename(filepath.Join(dir, second.Name), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(second.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that is gone: %v", err)
	}
	demand("the other was, too", map[occasion]bool{aExit: false, aSaved: true})
	if err := os.Rename(filepath.Join(dir, "elsewhere"), filepath.Join(dir, second.Name)); err != nil {
		t.Fatal(err)
	}
	demand("it was put back", map[occasion]bool{aExit: true})

	for range 3 {
		add("bbbb", KindSignal) // the limit takes what is older
	}
	demand("over the limit", map[occasion]bool{aExit: false, aSaved: true, b: true})
	for _, e := range s.List() {
		if err := s.Delete(e.ID); err != nil {
			t.Error(err)
		}
	}
	demand("all deleted", map[occasion]bool{aSaved: false, b: false})
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ pod, container, id, want string }{
		{"web-0", "app", "abc", "20261122T120000.000Z_web-0_app_abc.recspool"},
		{"", "", "abc-2", "20261122T120000.000Z_abc-2.recspool"},
		{"../../etc", "a b;rm -rf $HOME\n_x", "abc", "20261122T120000.000Z_etc_a-b-rm--rf--HOME--x_abc.recspool"},
		{strings.Repeat("x", 300), ".hidden", "abc", "20261122T120000.000Z_" + strings.Repeat("x", 63) + "_hidden_abc.recspool"},
		{"кот", "-", "abc", "20261122T120000.000Z_abc.recspool"},
	} {
		name := fileName(noon, c.pod, c.container, c.id)
		id, at, ok := parseName(name)
		if name != c.want || id != c.id || !at.Equal(noon) || !ok || filepath.Base(name) != name || len(name) > 255 {
			t.Errorf("%q, %q: %s, %q, %v, %v", c.pod, c.container, name, id, at, ok)
		}
	}
	for _, name := range []string{"", "x.recspool", "20261122T120000.000Z.recspool", "20261122T120000.000Z_abc", "2026_abc.recspool", "20261122T120000.000Z_abc-x.recspool", "20261122T120000.000Z_ABC.recspool", "20261122T120000.000Z_.recspool", tmpPrefix + "1"} {
		if id, _, ok := parseName(name); ok {
			t.Errorf("%q is taken for the file of %s", name, id)
		}
	}
	for in, want := range map[string]string{"366ed0c84781": "366ed0c84781", "../x/Y": "xy", "": "0", "-": "0"} {
		if got := cleanID(in); got != want {
			t.Errorf("id %q: %q, want %q", in, got, want)
		}
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	base := t.TempDir()
	mk := func(name string, mode os.FileMode) string {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	foreign := mk("foreign", 0o700)
	if err := os.Chown(foreign, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(mk("target", 0o700), link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		mk("group", 0o770): "others may write to it (mode 0770)", mk("world", 0o777): "others may write to it",
		foreign: "it belongs to user 65534, not to 0", link: "symbolic link", file: "not a directory", filepath.Join(file, "x"): "not a directory",
	} {
		s, err := Open(dir, Limits{}, quiet())
		var e *Error
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &e) {
			t.Errorf("%s: %v, %v", dir, s, err)
		}
	}
	openStore(t, mk("readable", 0o755), Limits{}, nil)
	if _, err := Open(base, Limits{MaxBytes: -1}, quiet()); err == nil {
		t.Error("a negative limit")
	}
}

func TestErrorsLeaveNothing(t *testing.T) {
	s := openStore(t, t.TempDir(), Limits{}, nil)
	broken := errors.New("the ring is gone")
	ctx, cancel := context.WithCancel(context.Background())
	raw := rawDump(t, 20000, 1<<30, true)
	for name, c := range map[string]struct {
		write func(io.Writer) error
		want  error
		kind  ErrorKind
	}{
		"source": {func(w io.Writer) error { w.Write(raw[:len(raw)/2]); return broken }, broken, ErrSource},
		"half":   {writing(raw[:len(raw)/2]), dump.ErrTruncated, ErrSource},
		"cancelled": {func(w io.Writer) error {
			w.Write(raw[:len(raw)/2])
			cancel()
			_, err := w.Write(raw[len(raw)/2:])
			if err == nil {
				t.Error("it went on")
			}
			return fmt.Errorf("dump: %w", err)
		}, context.Canceled, ErrCanceled},
	} {
		before := s.Stats().Errors[c.kind]
		use := ctx
		if c.kind != ErrCanceled {
			use = context.Background()
		}
		if _, err := s.Save(use, metaOf("a", ""), c.write); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.Stats().Errors[c.kind] - before; got != 1 {
			t.Errorf("%s: counted %d times", name, got)
		}
	}
	if got := ids(t, s); len(got) > 0 {
		t.Error(got)
	}
	s = openStore(t, t.TempDir(), Limits{MaxBytes: 100 << 10}, nil)
	_, err := s.Save(context.Background(), metaOf("a", ""), writing(raw))
	var e *Error
	if !errors.As(err, &e) || e.Kind != ErrTooLarge {
		t.Error(err)
	}
	ids(t, s)
}

// mount mounts something and takes it away at the end.
func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	mount(t, "spooltest", dir, "tmpfs", 0, "size=1m,mode=0700")
	s := openStore(t, filepath.Join(dir, "spool"), Limits{}, nil)
	small := rawDump(t, 100, 10, true)
	first := save(t, s, metaOf("a", ""), small)
	large := rawDump(t, 20000, 1<<30, true)
	_, err := s.Save(context.Background(), metaOf("b", ""), writing(large))
	var e *Error
	if !errors.As(err, &e) || e.Kind != ErrNoSpace || !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	form := `^spool .*/spool: no space left on device: (1\.\d MiB|10\d\d KiB) or more were wanted; .* are free, 1 dumps take \d+ KiB here$`
	if !regexp.MustCompile(form).MatchString(err.Error()) {
		t.Error(err)
	}
	if got := ids(t, s); !cmp.Equal(got, []string{"a"}) { // nothing else is lost
		t.Error(got)
	}
	f, err := s.Open(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c := readDump(f.Dump()); len(c.times) != 100 || len(c.damage) > 0 {
		t.Error(c)
	}
	save(t, s, metaOf("c", ""), small) // and there is room again
	// All of it taken by others: not even the directory can grow.
	if err := os.WriteFile(filepath.Join(dir, "others"), make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("it is not full")
	}
	if _, err := s.Save(context.Background(), metaOf("d", ""), writing(small)); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	if got := ids(t, s); !cmp.Equal(got, []string{"a", "c"}) {
		t.Error(got)
	}
	if got := s.Stats().Errors[ErrNoSpace]; got != 2 {
		t.Errorf("counted %d times", got)
	}
}

func TestMinFree(t *testing.T) {
	dir := t.TempDir()
	mount(t, "spooltest", dir, "tmpfs", 0, "size=2m,mode=0700")
	s := openStore(t, filepath.Join(dir, "spool"), Limits{MinFree: 1 << 20, MaxBytes: 100 << 20}, nil)
	_, err := s.Save(context.Background(), metaOf("b", ""), writing(rawDump(t, 20000, 1<<30, true)))
	var e *Error
	if !errors.As(err, &e) || e.Kind != ErrNoSpace || !strings.Contains(err.Error(), "1.0 MiB have to stay free") {
		t.Error(err)
	}
	ids(t, s)
	save(t, s, metaOf("a", ""), rawDump(t, 100, 10, true))
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Limits{MaxAge: time.Hour}, nil)
	raw := rawDump(t, 100, 10, true)
	save(t, s, metaOf("a", ""), raw)
	if err := os.WriteFile(filepath.Join(dir, tmpPrefix+"dead"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mount(t, dir, dir, "", unix.MS_BIND, "")
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	c := &clock{at: noon.Add(24 * time.Hour), up: 24 * time.Hour} // all of it is too old, and can't go
	s = openStore(t, dir, Limits{MaxAge: time.Hour}, c)
	_, err := s.Save(context.Background(), metaOf("b", ""), writing(raw))
	var e *Error
	if !errors.As(err, &e) || e.Kind != ErrReadOnly || !strings.HasSuffix(err.Error(), ": read-only file system") {
		t.Error(err)
	}
	if err := s.Delete("a"); !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	f, err := s.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if st := s.Stats(); st.Errors[ErrReadOnly] < 2 || st.Files != 1 {
		t.Errorf("%+v", st)
	}
}

func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Limits{}, nil)
	raw := rawDump(t, 100, 10, true)
	e := save(t, s, metaOf("aa", ""), raw)
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(filepath.Join(dir, e.Name))
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(id string) string { return "20261122T115900.000Z_x_" + id + Suffix }
	put("README", []byte("hello"))
	put(tmpPrefix+"dead", whole[:100])
	put(stamp("bb"), whole)                // from another node
	put(stamp("cc"), whole[:len(whole)/2]) // cut
	put(stamp("dd"), []byte("no dump"))
	put(stamp("ee"), nil)
	bad := bytes.Clone(whole)
	bad[preambleLen+headLen] ^= 1
	put(stamp("ff"), bad)
	if err := os.Mkdir(filepath.Join(dir, stamp("a1")), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, stamp("a2"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(e.Name, filepath.Join(dir, stamp("a3"))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, stamp("a4")), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(s *Store) {
		t.Helper()
		got := map[string]bool{}
		for _, e := range s.List() {
			got[e.ID] = e.Damaged
		}
		want := map[string]bool{"aa": false, "bb": false, "cc": true, "dd": true, "ee": true, "ff": true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if _, err := os.Stat(filepath.Join(dir, tmpPrefix+"dead")); !os.IsNotExist(err) {
			t.Error("what a dead run left is there")
		}
		if _, err := os.Stat(filepath.Join(dir, "README")); err != nil {
			t.Error(err)
		}
	}
	if err := s.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	check(s)
	check(openStore(t, dir, Limits{}, nil))
	for id, want := range map[string]error{"dd": dump.ErrForeign, "ee": dump.ErrForeign} {
		if _, err := s.Open(id); !errors.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"cc", "ff"} {
		f, err := s.Open(id)
		if err != nil {
			t.Fatal(err)
		}
		if c := readDump(f.Dump()); c.problem != nil || len(c.damage) == 0 {
			t.Errorf("%s: %v", id, c)
		}
		f.Close()
	}
	// By hand.
	os.Remove(filepath.Join(dir, e.Name))
	if _, err := s.Open("aa"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	os.Remove(filepath.Join(dir, stamp("bb")))
	if err := s.Delete("bb"); err != nil {
		t.Error(err)
	}
	os.Remove(filepath.Join(dir, stamp("cc")))
	if err := s.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("cc"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if st := s.Stats(); st.Removed[RemovedVanished] != 2 || st.Removed[RemovedDeleted] != 1 {
		t.Errorf("%+v", st)
	}
}

func TestDamageIsListed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Limits{}, nil)
	e := save(t, s, metaOf("aa", ""), rawDump(t, 100, 10, true))
	name := filepath.Join(dir, e.Name)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := s.Open("aa")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Verify()) == 0 {
		t.Error("not seen")
	}
	f.Close()
	if !s.List()[0].Damaged {
		t.Error("not listed")
	}
	if err := s.Delete("aa"); err != nil || len(ids(t, s)) > 0 {
		t.Error(err)
	}
}

func TestDirectoryVanishes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := openStore(t, dir, Limits{}, nil)
	raw := rawDump(t, 10, 10, true)
	save(t, s, metaOf("aa", ""), raw)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open("aa"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	save(t, s, metaOf("bb", ""), raw)
	if got := ids(t, s); !cmp.Equal(got, []string{"bb"}) {
		t.Error(got)
	}
	// In the middle of a save.
	_, err := s.Save(context.Background(), metaOf("cc", ""), func(w io.Writer) error {
		if err := os.Rename(dir, dir+".old"); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir + ".old"); err != nil {
			t.Fatal(err)
		}
		_, err := w.Write(raw)
		return err
	})
	if err == nil {
		t.Error("saved into nothing")
	}
	save(t, s, metaOf("dd", ""), raw)
	if got := ids(t, s); !cmp.Equal(got, []string{"dd"}) {
		t.Error(got)
	}
	// What has taken its place is somebody else's.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(context.Background(), metaOf("ee", ""), writing(raw)); err == nil {
		t.Error("saved into a directory that everybody writes to")
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Error(files)
	}
}

// crash admits and saves; "" if it was refused.
func crash(t testing.TB, s *Store, id, key string, raw []byte) string {
	t.Helper()
	m := metaOf(id, key)
	if ok, why := s.Admit(&m); !ok {
		if why == "" || m.Crash == nil {
			t.Errorf("refused without a reason: %q, %v", why, m.Crash)
		}
		return ""
	}
	save(t, s, m, raw)
	return string(m.Crash.Role)
}

func TestCrashLoop(t *testing.T) {
	dir := t.TempDir()
	c := &clock{at: noon}
	limits := Limits{KeepFirst: 3, Interval: time.Hour, LoopGap: time.Hour}
	s := openStore(t, dir, limits, c)
	raw := rawDump(t, 5, 10, false)
	var roles []string
	for i := range 40 { // every five minutes, as Kubernetes does
		if i == 20 {
			s = openStore(t, dir, limits, c) // a new recorderd goes on where this one was
		}
		roles = append(roles, crash(t, s, fmt.Sprintf("%04d", i), "shop/cart", raw))
		c.forward(5 * time.Minute)
	}
	want := []string{"0000", "0001", "0002", "0014", "0026", "0038", "0039"}
	if got := ids(t, s); !cmp.Equal(got, want) {
		t.Errorf("kept are %v, roles were %v", got, roles)
	}
	if last := s.List()[6].Meta.Crash; last.Number != 40 || !last.Since.Equal(noon) || last.Role != RoleLatest {
		t.Errorf("%+v", last)
	}
	// Another one is not in it, and after a pause it is another loop.
	if role := crash(t, s, "aaaa", "shop/web", raw); role != "first" {
		t.Error(role)
	}
	c.forward(2 * time.Hour)
	if role := crash(t, s, "bbbb", "shop/cart", raw); role != "first" {
		t.Error(role)
	}
	if got := ids(t, s); len(got) != 9 { // the latest of the last loop stays
		t.Error(got)
	}
}

func TestRate(t *testing.T) {
	c := &clock{at: noon}
	s := openStore(t, t.TempDir(), Limits{KeepFirst: 1, Interval: time.Hour, LoopGap: time.Hour, Burst: 16, Every: time.Minute}, c)
	refused := map[Refused]int{}
	admit := func(namespace, owner, key string) bool {
		m := metaOf("a", key)
		m.Recording.Pod = &api.Pod{Namespace: namespace, Name: key, Owner: &api.Owner{Kind: "Deployment", Name: owner}}
		ok, why := s.Admit(&m)
		if refused[why]++; ok != (why == "") {
			t.Errorf("%v: %q", ok, why)
		}
		return ok
	}
	count := func(namespace, owner func(i int) string, key func(i int) string) (n int) {
		for i := range 100 {
			if admit(namespace(i), owner(i), key(i)) {
				n++
			}
		}
		return n
	}
	always := func(s string) func(int) string { return func(int) string { return s } }
	each := func(s string) func(int) string { return func(i int) string { return fmt.Sprint(s, i) } }
	for _, step := range []struct {
		what                  string
		namespace, owner, key func(int) string
		want                  int
	}{
		{"one loop leaves half to others", always("shop"), always("cart"), always("loop"), 8},
		{"a rollout of bad pods leaves a quarter to other owners", always("shop"), always("cart"), each("pod"), 4},
		{"a namespace leaves an eighth to others", always("shop"), each("job"), each("job"), 2},
		{"others have the rest", each("ns"), always("web"), each("web"), 2},
	} {
		if n := count(step.namespace, step.owner, step.key); n != step.want {
			t.Errorf("%s: %d were taken, want %d", step.what, n, step.want)
		}
	}
	if refused[RefusedLoop] != 92 || refused[RefusedRate] != 292 {
		t.Errorf("%v", refused)
	}
	c.forward(3 * time.Minute)
	if n := count(each("more"), always("web"), each("web")); n != 3 {
		t.Errorf("%d after three minutes", n)
	}
	for i := range 3 * maxKeys {
		admit("shop", fmt.Sprint("owner", i), fmt.Sprint("key", i))
	}
	if n := len(s.rate.loops); n > maxKeys {
		t.Errorf("%d keys are remembered", n)
	}
	if n := len(s.rate.served.by); n > 3*maxKeys {
		t.Errorf("%d accounts are remembered", n)
	}
}

// What could not be saved does not count as the one of its interval.
func TestFailedSaveIsNotKept(t *testing.T) {
	c := &clock{at: noon}
	s := openStore(t, t.TempDir(), Limits{KeepFirst: 1, Interval: time.Hour, LoopGap: time.Hour}, c)
	m := metaOf("a", "k")
	s.Admit(&m)
	if _, err := s.Save(context.Background(), m, func(io.Writer) error { return errors.New("no") }); err == nil {
		t.Fatal("saved")
	}
	c.forward(time.Minute)
	if role := crash(t, s, "b", "k", rawDump(t, 1, 1, false)); role != "interval" {
		t.Error(role)
	}
}

func TestRetention(t *testing.T) {
	c := &clock{at: noon}
	limits := Limits{KeepFirst: 2, Interval: time.Minute, LoopGap: time.Hour, MaxFiles: 4, MaxAge: 24 * time.Hour}
	dir := t.TempDir()
	s := openStore(t, dir, limits, c)
	raw := rawDump(t, 5, 10, false)
	for i := range 10 {
		crash(t, s, fmt.Sprintf("%04d", i), "cart", raw)
		c.forward(10 * time.Minute)
	}
	if got := ids(t, s); !cmp.Equal(got, []string{"0000", "0007", "0008", "0009"}) {
		t.Errorf("the first one and the newest: %v", got)
	}
	saved := metaOf("5a", "")
	saved.Reason.Kind = KindSaved
	save(t, s, saved, raw)
	crash(t, s, "bb", "db", raw)
	crash(t, s, "cc", "mq", raw)
	c.forward(time.Second)
	crash(t, s, "aa", "web", raw)
	if got := ids(t, s); !cmp.Equal(got, []string{"5a", "bb", "cc", "aa"}) {
		t.Errorf("only first ones and what was asked for: %v", got)
	}
	// A loop that goes on keeps its first one, however old it is.
	for range 30 {
		c.forward(59 * time.Minute)
		crash(t, s, "dd", "web", raw)
	}
	got := ids(t, s)
	if len(got) != 4 || got[0] != "aa" {
		t.Errorf("after a day: %v", got)
	}
	c.forward(25 * time.Hour)
	crash(t, s, "ee", "web", raw)
	if got := ids(t, s); !cmp.Equal(got, []string{"ee"}) {
		t.Errorf("when it is over: %v", got)
	}
	if st := s.Stats(); st.Removed[RemovedFiles] == 0 || st.Removed[RemovedAge] == 0 || st.Files != 1 {
		t.Errorf("%+v", st)
	}
}

// What was just saved is there, even if all others are to be kept rather than it.
func TestJustSavedStays(t *testing.T) {
	c := &clock{at: noon}
	s := openStore(t, t.TempDir(), Limits{KeepFirst: 1, Interval: time.Hour, LoopGap: 2 * time.Hour, MaxFiles: 3}, c)
	raw := rawDump(t, 5, 10, false)
	for _, step := range []struct {
		id, key string
		want    []string
	}{
		{"aa", "web", []string{"aa"}},
		{"bb", "db", []string{"aa", "bb"}},
		{"cc", "mq", []string{"aa", "bb", "cc"}},
		{"b1", "db", []string{"bb", "cc", "b1"}}, // only the latest of its loop; the oldest first one goes
		{"b2", "db", []string{"bb", "cc", "b2"}}, // takes its place
		{"c1", "mq", []string{"bb", "cc", "c1"}}, // takes its place, too
		{"dd", "new", []string{"bb", "cc", "dd"}},
	} {
		crash(t, s, step.id, step.key, raw)
		if got := ids(t, s); !cmp.Equal(got, step.want) {
			t.Errorf("%s was saved: %v, want %v", step.id, got, step.want)
		}
		c.forward(time.Second)
	}
}

func TestRetentionBySize(t *testing.T) {
	c := &clock{at: noon}
	dir := t.TempDir()
	s := openStore(t, dir, Limits{}, c)
	raw := rawDump(t, 1000, 100, true)
	var size int64
	for i := range 6 {
		size = save(t, s, metaOf(fmt.Sprint(i), ""), raw).Bytes
		c.forward(time.Second)
	}
	s = openStore(t, dir, Limits{MaxBytes: 3*size + size/2}, c) // less than before
	if got := ids(t, s); !cmp.Equal(got, []string{"3", "4", "5"}) {
		t.Error(got)
	}
	save(t, s, metaOf("6", ""), raw)
	if got := ids(t, s); !cmp.Equal(got, []string{"4", "5", "6"}) {
		t.Error(got)
	}
	if st := s.Stats(); st.Bytes > 3*size+size/2 || st.Removed[RemovedBytes] != 4 {
		t.Errorf("%+v", st)
	}
}

// A save whose disk hangs keeps nobody waiting.
func TestSlowSave(t *testing.T) {
	s := openStore(t, t.TempDir(), Limits{MaxFiles: 100}, nil)
	raw := rawDump(t, 10, 10, true)
	began, goOn, done := make(chan bool), make(chan bool), make(chan error)
	go func() {
		_, err := s.Save(context.Background(), metaOf("aa", ""), func(w io.Writer) error {
			close(began)
			<-goOn
			_, err := w.Write(raw)
			return err
		})
		done <- err
	}()
	<-began
	save(t, s, metaOf("bb", ""), raw)
	if err := s.Refresh(context.Background()); err != nil { // leaves its file alone
		t.Error(err)
	}
	other, err := OpenAt(s.dir, Limits{}, quiet(), (&clock{at: noon}).clock()) // another process would
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	if len(s.List()) != 1 {
		t.Error(s.List())
	}
	m := metaOf("cc", "k")
	s.Admit(&m)
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := ids(t, s); len(got) != 2 {
		t.Error(got)
	}
}

func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	limits := Limits{MaxFiles: 20, KeepFirst: 2, Interval: time.Hour, LoopGap: time.Hour}
	s, err := Open(dir, limits, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raw := rawDump(t, 10, 10, true)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 15 {
				m := metaOf(fmt.Sprintf("%d", j%5), fmt.Sprint("k", i%3))
				if ok, _ := s.Admit(&m); !ok {
					t.Error("refused")
				}
				if _, err := s.Save(context.Background(), m, writing(raw)); err != nil {
					t.Error(err)
				}
				for _, e := range s.List() {
					if f, err := s.Open(e.ID); err == nil {
						if c := readDump(f.Dump()); c.problem != nil || len(c.damage) > 0 || len(c.times) != 10 {
							t.Errorf("%v", c)
						}
						f.Close()
					} else if !errors.Is(err, ErrNotFound) {
						t.Error(err)
					}
				}
				if j == 4 || j == 9 {
					if l := s.List(); len(l) > 0 {
						_ = s.Delete(l[0].ID)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := s.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s); len(got) > 20 || len(got) == 0 {
		t.Error(got)
	}
	if st := s.Stats(); st.Saved != 120 {
		t.Errorf("%+v", st)
	}
}

// saveForever saves one dump after the other, slowly, until it is killed.
func saveForever(dir string) {
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "raw"))
	if err == nil {
		var s *Store
		if s, err = Open(dir, Limits{}, quiet()); err == nil {
			for i := 0; err == nil; i++ {
				_, err = s.Save(context.Background(), metaOf(fmt.Sprint(i), ""), func(w io.Writer) error {
					fmt.Println("saving") // whoever kills waits for it
					for rest := raw; len(rest) > 0; {
						n := min(4096, len(rest))
						if _, err := w.Write(rest[:n]); err != nil {
							return err
						}
						rest = rest[n:]
					}
					return nil
				})
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestKilledWhileSaving(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "spool")
	const n = 8000
	if err := os.WriteFile(filepath.Join(base, "raw"), rawDump(t, n, 1<<30, true), 0o600); err != nil {
		t.Fatal(err)
	}
	left := 0
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SPOOL_TEST_SAVE="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("saving\n")*(round%3+1))); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(round) * 2 * time.Millisecond) // into the middle of it, here or there
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		files, _ := filepath.Glob(filepath.Join(dir, tmpPrefix+"*"))
		left += len(files)
		s := openStore(t, dir, Limits{}, nil)
		ids(t, s) // says so if a half file is left
		for _, e := range s.List() {
			f, err := s.Open(e.ID)
			if err != nil {
				t.Fatal(err)
			}
			if d := f.Verify(); len(d) > 0 || e.Damaged {
				t.Errorf("%s: %v", e.Name, d)
			}
			f.Close()
		}
	}
	if left == 0 {
		t.Error("it was never killed while it wrote")
	}
}

// TestTidy catches that dumps outlive MaxAge for as long as nothing crashes.
func TestTidy(t *testing.T) {
	c := &clock{at: noon}
	s := openStore(t, filepath.Join(t.TempDir(), "spool"), Limits{MaxAge: 24 * time.Hour}, c)
	raw := rawDump(t, 10, 1, true)
	save(t, s, metaOf("aaaa", "k"), raw)
	c.forward(23 * time.Hour)
	save(t, s, metaOf("bbbb", "l"), raw)
	c.forward(2 * time.Hour)
	if err := s.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := ids(t, s), []string{"bbbb"}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := s.Stats().Removed[RemovedAge]; n != 1 {
		t.Errorf("%d were removed for their age", n)
	}
}

// TestSavedEarly catches dumps that somebody has saved of a container that lives, and that
// nobody can have, because their id is that of the recording.
func TestSavedEarly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	c := &clock{at: noon}
	s := openStore(t, dir, Limits{}, c)
	raw := rawDump(t, 10, 1, true)
	early := metaOf("366ed0c84781", "k")
	early.Recording.State, early.Reason.Kind = api.StateLive, KindSaved
	late := metaOf("366ed0c84781", "k")
	late.Reason.Kind = KindSaved
	for _, m := range []Meta{early, early, metaOf("366ed0c84781", "k"), late, early} {
		save(t, s, m, raw)
		c.forward(time.Second)
	}
	want := []string{"366ed0c84781-1", "366ed0c84781-2", "366ed0c84781", "366ed0c84781-3", "366ed0c84781-4"}
	if got := ids(t, s); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s = openStore(t, dir, Limits{}, c)
	if got := ids(t, s); !cmp.Equal(got, want) {
		t.Errorf("opened again: got %v, want %v", got, want)
	}
}
