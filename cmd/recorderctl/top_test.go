package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

// pty returns both ends of a terminal of 100 columns and 20 lines.
func pty(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// TestTopOnATerminal catches a top that q or Ctrl-C does not end, or that leaves the terminal in
// another state than it found it.
func TestTopOnATerminal(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := server.Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	srv := server.HTTP(server.New(servertest.New(), server.Options{Version: "v1", Log: log}), log)
	defer srv.Close()
	go srv.Serve(ln)
	for _, key := range []string{"q", "\x03"} {
		master, terminal := pty(t)
		before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var said bytes.Buffer
		go func() {
			b := make([]byte, 4096)
			for {
				n, err := master.Read(b)
				mu.Lock()
				said.Write(b[:n])
				mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
		shown := func() string { mu.Lock(); defer mu.Unlock(); return said.String() }
		var stderr bytes.Buffer
		status := make(chan int, 1)
		go func() {
			status <- run(t.Context(), []string{"recorderctl", "top", "--socket", socket, "--interval", "500ms"}, terminal, terminal, &stderr)
		}()
		for end := time.Now().Add(20 * time.Second); !strings.Contains(shown(), "CALLS/S") || !strings.Contains(shown(), "2 live recordings"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it shows %q", shown())
			}
		}
		io.WriteString(master, "x"+key)
		select {
		case s := <-status:
			if s != statusOK || stderr.Len() > 0 {
				t.Errorf("%q: status %d, %s", key, s, stderr.String())
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q does not end it", key)
		}
		for end := time.Now().Add(10 * time.Second); !strings.HasSuffix(shown(), "\x1b[?25h\x1b[?1049l"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q: it ends with %q", key, shown()[max(0, len(shown())-100):])
			}
		}
		if !strings.Contains(shown(), "\x1b[?1049h") || strings.Contains(shown(), "envoy:") {
			t.Errorf("%q", shown())
		}
		after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Errorf("%q: the terminal is not as it was: %v", key, err)
		}
	}
}

// nodesAway are recorders of whose nodes some do not answer, in one look after the other.
type nodesAway struct {
	recorders
	looks [][]string
}

func (n *nodesAway) List(context.Context, target.Filter) (api.RecordingList, error) {
	list := api.RecordingList{Recordings: servertest.New().Recordings()}
	away := n.looks[0]
	n.looks = n.looks[1:]
	if len(away) == 0 {
		return list, nil
	}
	p := &cluster.PartialError{Asked: 3}
	for _, node := range away {
		p.Nodes = append(p.Nodes, &cluster.NodeError{Node: node, Err: errors.New("no answer")})
	}
	return list, p
}

// TestTopOfSomeNodes catches a table of some nodes that passes for one of all: status 0, or a node
// that is not named since it answered the second look.
func TestTopOfSomeNodes(t *testing.T) {
	for _, tc := range []struct {
		looks  [][]string
		status int
		want   []string // on standard error
	}{
		{[][]string{nil, nil}, statusOK, nil},
		{[][]string{nil, {"n1"}}, statusPartial, []string{"node n1: no answer", "1 of 3 nodes did not answer"}},
		{[][]string{{"n1"}, nil}, statusPartial, []string{"node n1: no answer", "1 of 3 nodes did not answer"}},
		{[][]string{{"n1"}, {"n2", "n1"}}, statusPartial, []string{"node n2: no answer", "node n1: no answer", "2 of 3 nodes did not answer"}},
	} {
		for _, once := range []bool{true, false} {
			var stdout, stderr bytes.Buffer
			a := newApp("recorderctl", &stderr)
			cmd := a.top()
			cmd.SetOut(&stdout)
			cmd.SetContext(t.Context())
			o := topFlags{once: once, interval: time.Millisecond, sortBy: &choiceFlag{value: "calls"}, format: &choiceFlag{value: "table"}}
			c := &nodesAway{looks: slices.Clone(tc.looks)}
			var err error
			if once {
				err = o.run(a, cmd, c, true)
			} else {
				stop := errors.New("it has looked twice")
				old, lerr := o.look(t.Context(), c)
				if lerr != nil {
					t.Fatal(lerr)
				}
				show := o.plain(cmd, a, true)
				if err = o.loop(t.Context(), c, old, func(top *render.Top, note string) error { return errors.Join(show(top, note), stop) }); errors.Is(err, stop) {
					err = nil
				}
			}
			status := statusOK
			if err != nil {
				status = statusOf(err)
				for _, e := range each(err) {
					a.complain(e)
				}
			}
			want := tc.status
			if !once {
				want = statusOK
			}
			if status != want || !strings.Contains(stdout.String(), "CALLS/S") {
				t.Errorf("%v, --once=%t: status %d, want %d:\n%s", tc.looks, once, status, want, stdout.String())
			}
			said := strings.NewReplacer("recorderctl: ", "", "\n", "; ").Replace(stderr.String())
			wanted := strings.Join(tc.want, "; ")
			if strings.TrimSuffix(said, "; ") != wanted {
				t.Errorf("%v, --once=%t: it says %q, want %q", tc.looks, once, said, wanted)
			}
		}
	}
}
