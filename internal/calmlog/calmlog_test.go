package calmlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a clock that calls what is due when it is set forward.
type fake struct {
	mu  sync.Mutex
	at  time.Time
	due []func()
}

func (f *fake) now() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.at }

func (f *fake) after(_ time.Duration, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = append(f.due, do)
}

func (f *fake) forward(d time.Duration) {
	f.mu.Lock()
	f.at = f.at.Add(d)
	due := f.due
	f.due = nil
	f.mu.Unlock()
	for _, do := range due {
		do()
	}
}

func logTo(out *bytes.Buffer, f *fake, by ...string) *slog.Logger {
	text := slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}})
	return slog.New(newAt(text, Limits{Burst: 5, Every: 10 * time.Second, By: by}, f.now, f.after))
}

// TestStorm catches a container or a client that fills the log, lines that are left out
// without a word, and quiet ones that get lost in a storm.
func TestStorm(t *testing.T) {
	var out bytes.Buffer
	f := &fake{at: time.Unix(1000, 0)}
	log := logTo(&out, f)
	for i := range 10000 {
		log.Warn("refused", "path", fmt.Sprint("/x/", i))
		if i == 5000 {
			log.Warn("disk is full", "dir", "/var")
			log.Error("refused", "by", "the kernel") // another level is another thing
		}
	}
	got := out.String()
	if n := strings.Count(got, "level=WARN msg=refused"); n != 5 || !strings.Contains(got, "disk is full") || !strings.Contains(got, "level=ERROR msg=refused") {
		t.Errorf("%d lines of 10000, in:\n%s", n, got)
	}
	out.Reset()
	f.forward(10 * time.Second) // nobody says more: how many there were is told all the same
	f.forward(time.Hour)
	if got := out.String(); got != "level=WARN msg=refused left_out=9995\n" {
		t.Errorf("told is %q", got)
	}
	out.Reset()
	for range 7 {
		log.Warn("refused")
	}
	f.forward(time.Second)
	log.Warn("refused")
	f.forward(9 * time.Second)
	log.Warn("refused", "path", "/y")
	log.Warn("refused")
	f.forward(time.Minute)
	want := strings.Repeat("level=WARN msg=refused\n", 5) + "level=WARN msg=refused left_out=3\nlevel=WARN msg=refused left_out=2\n"
	if got := out.String(); got != want {
		t.Errorf("told is\n%swant\n%s", got, want)
	}
}

// TestOneLoudClient catches a client that costs the lines about another.
func TestOneLoudClient(t *testing.T) {
	var out bytes.Buffer
	f := &fake{at: time.Unix(1000, 0)}
	log := logTo(&out, f, "peer.uid")
	peer := func(uid int) slog.Attr { return slog.Group("peer", "pid", uid*7, "uid", uid) }
	for i := range 1000 {
		log.Info("delete", "n", i, peer(65534))
	}
	log.Info("delete", peer(0))
	log.With(peer(1)).Info("delete")
	log.WithGroup("peer").Info("delete", "uid", 2)
	for _, want := range []string{"peer.uid=0\n", "peer.uid=1\n", "peer.uid=2\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line has %q:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "65534"); n != 5 {
		t.Errorf("%d lines are about the loud one", n)
	}
}

// TestManyKinds catches memory that grows with what is logged, and silence when it may not.
func TestManyKinds(t *testing.T) {
	var out bytes.Buffer
	f := &fake{at: time.Unix(1000, 0)}
	log := logTo(&out, f)
	for i := range 5000 {
		log.Info(fmt.Sprint("message ", i))
	}
	h := log.Handler().(*Handler)
	if n := len(h.shared.kinds); n > maxKinds+1 {
		t.Errorf("%d kinds are remembered", n)
	}
	if n := strings.Count(out.String(), "\n"); n != maxKinds+5 {
		t.Errorf("%d lines", n)
	}
	out.Reset()
	f.forward(10 * time.Second)
	if got, want := out.String(), fmt.Sprintf("level=INFO msg=\"other lines\" left_out=%d\n", 5000-maxKinds-5); got != want {
		t.Errorf("told is %q, want %q", got, want)
	}
	f.forward(time.Hour)
	out.Reset()
	log.Info("a new one")
	if !strings.Contains(out.String(), "a new one") {
		t.Error("nothing new is told any more")
	}
}

// TestConcurrentLines is for the race detector.
func TestConcurrentLines(t *testing.T) {
	var mu sync.Mutex
	n := 0
	log := slog.New(New(slog.NewTextHandler(writer(func(b []byte) { mu.Lock(); n++; mu.Unlock() }), nil), Limits{Burst: 10, Every: time.Millisecond}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				log.Info("x")
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if n < 10 || n > 3000 {
		t.Errorf("%d lines", n)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }
