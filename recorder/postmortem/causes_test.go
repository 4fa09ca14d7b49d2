package postmortem

import (
	"fmt"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// end adds the end of a process by itself.
func (s *story) end(tid uint32, ms, code int) {
	s.t.Helper()
	s.noReturn(tid, ms, code)
	s.exit(tid, tid, ms, uint64(code)<<8)
}

// says adds a write to stderr.
func (s *story) says(tid uint32, ms int, text string) {
	s.t.Helper()
	s.call(tid, "write", ms, 0, int64(len(text)), 2, 0x7000, data(text), len(text))
}

// executes adds a successful execve.
func (s *story) executes(tid uint32, ms int, file string) {
	s.t.Helper()
	s.call(tid, "execve", ms, 0, 0, 0x7000, str(file), 0, 0)
}

// TestCauses is about what stands beside the reason and is none, and about reasons that
// are not a failed call.
func TestCauses(t *testing.T) {
	one := func(exit api.Exit, tell func(s *story)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			s := newStory(t, ended(300, exit))
			s.task(1001, 1001, 0, 0, 300, "app")
			tell(s)
			return s.done()
		}
	}
	live := func(tell func(s *story)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "app")
			tell(s)
			return s.done()
		}
	}
	for _, tt := range []struct {
		name    string
		tell    func(t *testing.T) []byte
		verdict string
		signs   string
	}{
		{"child ends alike just before", func(t *testing.T) []byte {
			h := ended(300, api.Exit{Code: 1})
			s := newStory(t, h)
			s.task(1001, 1001, 0, 0, 300, "sh")
			s.task(1002, 1002, 1001, 10, 0, "grep")
			s.noReturn(1002, 299, 1)
			s.add(exitAt(1002, at(300)-500e3, 1<<8))
			r := arguments(record0(s, 1001, "wait4", at(300)-200e3, 2), []any{-1, 0x7000, word(1 << 8), 0, 0})
			s.add(r)
			s.noReturn(1001, 300, 1)
			s.exit(1001, 1001, 300, 1<<8)
			return s.done()
		}, "exited with 1 after its child 2 (grep) exited with 1", ""},
		{"files that cannot be polled", one(api.Exit{Code: 3}, func(s *story) {
			s.call(1001, "epoll_ctl", 280, 0, -1, 4, 1, 5, 0x7000)
			s.call(1001, "epoll_ctl", 281, 0, -2, 4, 2, 5, 0x7000)
			s.end(1001, 300, 3)
		}), "exited with 3 by itself", ""},
		{"runtime before the program", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 3}))
			s.task(1001, 1001, 0, 0, 300, "runc:[2:INIT]")
			s.call(1001, "mount", 270, 0, -2, 0x7000, str("/dev/null"), 0x7100, str("/proc/kcore"), 0, 0, 0)
			s.executes(1001, 280, "/app")
			s.end(1001, 300, 3)
			return s.done()
		}, "exited with 3 by itself", ""},
		{"program before this one", one(api.Exit{Code: 3}, func(s *story) {
			s.call(1001, "openat", 270, 0, -2, atCwd, 0x7000, str("/etc/default/entry"), 0)
			s.executes(1001, 280, "/app")
			s.end(1001, 300, 3)
		}), "exited with 3 by itself", ""},
		{"program before this one, of whose words", one(api.Exit{Code: 3}, func(s *story) {
			s.call(1001, "openat", 270, 0, -13, atCwd, 0x7000, str("/run/secrets/db"), 0)
			s.says(1001, 271, "entry: /run/secrets/db: Permission denied\n")
			s.executes(1001, 280, "/app")
			s.end(1001, 300, 3)
		}), `exited with 3 by itself 30 ms after openat("/run/secrets/db") failed with EACCES; its last words on stderr: "entry: /run/secrets/db: Permission denied"`, ""},
		{"words for nobody", one(api.Exit{Code: 1}, func(s *story) {
			s.call(1001, "openat", 260, 0, -2, atCwd, 0x7000, str("/opt/fast.dylib"), 0)
			s.call(1001, "openat", 261, 0, 3, atCwd, 0x7000, str("/dev/null"), 1)
			s.call(1001, "dup2", 262, 0, 2, 3, 2)
			s.says(1001, 263, "cannot open /opt/fast.dylib\n")
			s.executes(1001, 270, "/app")
			s.end(1001, 300, 1)
		}), "exited with 1 by itself", ""},
		{"words that are data", one(api.Exit{Code: 5}, func(s *story) {
			s.call(1001, "openat", 261, 0, 3, atCwd, 0x7000, str("/tmp/big"), 1)
			s.call(1001, "dup2", 262, 0, 1, 3, 1)
			s.call(1001, "write", 263, 0, 8, 1, 0x7000, data("\x00\x01\x02\x03\x04\x05\x06\x07"), 8)
			s.end(1001, 300, 5)
		}), "exited with 5 by itself", ""},
		{"socket with a dot", one(api.Exit{Code: 1}, func(s *story) {
			s.call(1001, "connect", 290, 0, -2, 3, 0x7000, record.Item{Kind: layout.ItemMem, Data: []byte("\x01\x00/run/.s.PGSQL.5432\x00")}, 110)
			s.end(1001, 300, 1)
		}), `exited with 1 by itself, probably because connect("/run/.s.PGSQL.5432") failed with ` +
			`ENOENT, 10 ms before`, "missing-file"},
		{"entrypoint missing", func(t *testing.T) []byte { // nobody saw how it ended: its helpers ended before
			h := header()
			h.Recording.State = api.StateEnded
			when := noon.Add(300e6)
			h.Recording.Ended = &when
			s := newStory(t, h)
			s.task(2001, 2001, 0, 0, 200, "runc:[0:PARENT]")
			s.end(2001, 200, 0)
			s.task(1001, 1001, 2001, 100, 300, "runc:[2:INIT]")
			s.call(1001, "newfstatat", 299, 0, -2, atCwd, 0x7000, str("/srv/server"), 0x7100, 0)
			for range 2 * lastCalls {
				s.call(1001, "write", 299, 0, 84, 3, 0x7000, 84)
			}
			s.end(1001, 300, 1)
			return s.done()
		}, `could not start: newfstatat("/srv/server") failed with ENOENT; the runtime exited with 1`, ""},
		// and counts as the container's end
		{"helper of the runtime's ends first", func(t *testing.T) []byte {
			s := newStory(t, ended(200, api.Exit{}))
			s.check(s.w.Task(&layout.TaskInfo{Tid: 2001, Tgid: 2001, NsTid: 2001, NsTgid: 2001,
				Start: at(0), End: at(200), Comm: [16]byte{'r', 'u', 'n', 'c', ':', '[', '0', ':',
					'P'}}))
			s.task(1001, 1001, 0, 100, 300, "runc:[2:INIT]")
			s.end(2001, 200, 0)
			s.call(1001, "execve", 290, 0, -2, 0x7000, str("/app/entry.sh"), 0, 0)
			s.end(1001, 300, 1)
			return s.done()
		}, `could not start: execve("/app/entry.sh") failed with ENOENT; exited with 1`,
			"exec-failed exec-failed"},
		{"entrypoint that the runtime refuses", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 100, 300, "runc:[2:INIT]")
			s.call(1001, "newfstatat", 298, 0, -2, atCwd, 0x7000, str("/run/rootfs/dev/urandom"), 0x7100, 0)
			s.call(1001, "newfstatat", 299, 0, 0, atCwd, 0x7000, str("/etc"), 0x7100, 0) // a directory
			s.call(1001, "write", 299, 0, 84, 3, 0x7000, 84)
			s.end(1001, 300, 1)
			return s.done()
		}, "could not start: the runtime exited with 1 before it executed the container's program", ""},
		{"asked to end, in Go", one(api.Exit{Signal: "SIGTERM"}, func(s *story) {
			s.signal(1001, 290, 15, 0, 0, 0, 0x401000)
			s.call(1001, "tgkill", 299, 0, 0, 1, 1, 15)
			s.signal(1001, 299, 15, -6, 1, 0, 0)
			s.exit(1001, 1001, 300, 15)
		}), "killed by SIGTERM from outside (si_pid 0), which it caught, and then sent to itself", ""},
		{"asked to end, and did", one(api.Exit{}, func(s *story) {
			s.signal(1001, 290, 15, 0, 0, 0, 0x401000)
			s.end(1001, 300, 0)
		}), "exited with 0 10 ms after SIGTERM from outside (si_pid 0), which it caught", ""},
		{"asked to end, and failed", one(api.Exit{Code: 1}, func(s *story) {
			s.signal(1001, 200, 15, 0, 0, 0, 0x401000)
			s.call(1001, "openat", 280, 0, -28, atCwd, 0x7000, str("/data/state"), 0x41)
			s.end(1001, 300, 1)
		}), `exited with 1 100 ms after SIGTERM from outside (si_pid 0), which it caught, ` +
			`probably because openat("/data/state") failed with ENOSPC, 20 ms before`, "no-space"},
		{"Ctrl-C", one(api.Exit{Signal: "SIGINT"}, func(s *story) {
			s.signal(1001, 300, 2, 0x80, 0, 0, 0)
			s.exit(1001, 1001, 300, 2)
		}), "killed by SIGINT from its terminal (Ctrl-C)", ""},
		{"Ctrl-backslash", one(api.Exit{Signal: "SIGQUIT"}, func(s *story) {
			s.signal(1001, 300, 3, 0x80, 0, 0, 0)
			s.exit(1001, 1001, 300, 3)
		}), `killed by SIGQUIT from its terminal (Ctrl-\)`, ""},
		{"terminal gone", one(api.Exit{Signal: "SIGHUP"}, func(s *story) {
			s.signal(1001, 300, 1, 0x80, 0, 0, 0)
			s.exit(1001, 1001, 300, 1)
		}), "killed by SIGHUP: its terminal is gone, or somebody sent it", ""},
		{"pipeline", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 7}))
			s.task(1001, 1001, 0, 0, 300, "sh")
			s.task(1002, 1002, 1001, 10, 280, "curl")
			s.task(1003, 1003, 1001, 11, 290, "cat")
			s.call(1002, "connect", 270, 0, -111, 3, 0x7000, sockaddr([4]byte{10, 0, 0, 3}, 80), 16)
			s.end(1002, 280, 7)
			s.call(1001, "wait4", 281, 0, 2, -1, 0x7000, word(7<<8), 0, 0)
			s.end(1003, 290, 0)
			s.call(1001, "wait4", 291, 0, 3, -1, 0x7000, word(0), 0, 0)
			s.end(1001, 300, 7)
			return s.done()
		}, "exited with 7 after its child 2 (curl) exited with 7, probably because connect to " +
			"10.0.0.3:80 was refused, 10 ms before", "refused"},
		{"children one after the other", func(t *testing.T) []byte { // the first was minded
			s := newStory(t, ended(300, api.Exit{Code: 7}))
			s.task(1001, 1001, 0, 0, 300, "sh")
			s.task(1002, 1002, 1001, 10, 20, "curl")
			s.task(1003, 1003, 1001, 30, 290, "cat")
			s.end(1002, 20, 7)
			s.call(1001, "wait4", 21, 0, 2, -1, 0x7000, word(7<<8), 0, 0)
			s.end(1003, 290, 0)
			s.call(1001, "wait4", 291, 0, 3, -1, 0x7000, word(0), 0, 0)
			s.end(1001, 300, 7)
			return s.done()
		}, "exited with 7 by itself", ""},
		{"long stack", one(api.Exit{Code: 2}, func(s *story) {
			s.says(1001, 100, "fatal error: stack overflow\n\ngoroutine 1 [running]:\n")
			for i := range 2 * maxLines {
				s.says(1001, 101, fmt.Sprintf("main.f(%d)\n", i))
			}
			s.end(1001, 300, 2)
		}), `exited with 2 by itself; its last words on stderr: "fatal error: stack overflow"`, ""},
		{"Node", one(api.Exit{Code: 1}, func(s *story) {
			s.says(1001, 290, "AssertionError [ERR_ASSERTION]: no orders\n    at x.js:1:2 {\n  code: 'ERR_ASSERTION'\n}\n\nNode.js v20.20.2\n")
			s.end(1001, 300, 1)
		}), `exited with 1 by itself; its last words on stderr: "AssertionError [ERR_ASSERTION]: no orders"`, ""},
		{"Rust", one(api.Exit{Code: 101}, func(s *story) {
			s.says(1001, 290, "\nthread 'main' (7) panicked at src/main.rs:2:5:\nno orders\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n")
			s.end(1001, 300, 101)
		}), `exited with 101 by itself; its last words on stderr: "thread 'main' (7) panicked at src/main.rs:2:5: no orders"`, ""},
		{"child crashes", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 300, "app")
			s.task(1002, 1002, 1001, 10, 290, "worker")
			s.call(1002, "getpid", 100, 0, 2)
			s.signal(1002, 290, 11, 1, 0x123456, 0, 0)
			s.exit(1002, 1002, 290, 11)
			s.end(1001, 300, 1)
			return s.done()
		}, "exited with 1 after its child 2 (worker) was killed by SIGSEGV (SEGV_MAPERR at " +
			"0x123456)", ""},
		{"child out of memory", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 300, "sh")
			s.task(1002, 1002, 1001, 10, 290, "java")
			s.call(1002, "getpid", 100, 0, 2)
			s.exit(1002, 1002, 290, 9)
			s.add(&record.Record{Type: layout.RecOom, Tid: 1002, Time: at(290) + 1, Ret: 1002, Flags: layout.RecfNodur})
			s.says(1001, 295, "Killed\n")
			s.end(1001, 300, 1)
			return s.done()
		}, `exited with 1 after its child 2 (java) was chosen by the OOM killer; its last words ` +
			`on stderr: "Killed"`, "oom"},
		{"child out of memory, and on", func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "sh")
			s.task(1002, 1002, 1001, 10, 290, "java")
			s.call(1002, "getpid", 100, 0, 2)
			s.exit(1002, 1002, 290, 9)
			s.add(&record.Record{Type: layout.RecOom, Tid: 1002, Time: at(290) + 1, Ret: 1002, Flags: layout.RecfNodur})
			s.blocked(1001, "pause", 400)
			return s.done()
		}, "still running: main thread 1 (sh) waiting for 9.6 s in pause(); the OOM killer chose process 2 (java)", "oom"},
		{"shell waits", func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "entry.sh")
			s.task(1002, 1002, 1001, 10, 0, "sh")
			s.task(1003, 1003, 1002, 11, 0, "pager")
			s.task(1004, 1004, 1002, 12, 0, "migrate")
			s.task(1005, 1005, 1002, 9, 0, "cat")
			s.call(1005, "pipe2", 9, 0, 0, 0x7000, record.Item{Kind: layout.ItemMem, Data: []byte("\x00\x00\x00\x00\x05\x00\x00\x00")}, 0)
			s.blocked(1005, "read", 1000, 0, 0x7000, 10)
			s.blocked(1001, "wait4", 100, -1, 0x7000, 0, 0)
			s.blocked(1002, "wait4", 100, -1, 0x7000, 0, 0)
			s.blocked(1003, "pause", 200)
			s.blocked(1004, "read", 2000, 0, 0x7000, 10)
			return s.done()
		}, "still running: main thread 1 (entry.sh) waiting for 9.9 s in wait4(-1) for its child 2 (sh), which has been in wait4(-1) for 9.9 s " +
			"for its child 4 (migrate), which has been in read(0) for 8.0 s", ""},
		{"pipe without a writer", live(func(s *story) {
			s.blocked(1001, "openat", 4000, atCwd, 0x7000, str("/run/orders.pipe"), 0, 0)
		}), `still running: main thread 1 (app) blocked for 6.0 s in openat("/run/orders.pipe")`, ""},
		{"stopped", live(func(s *story) {
			s.call(1001, "clock_nanosleep", 4000, 3000, -516, 0, 0, 0x7000, 0x7100)
			s.signal(1001, 4000, 19, 0, 0, 0, 0)
		}), "still running: stopped by SIGSTOP from outside (si_pid 0) 6.0 s ago, and not continued", "stopped"},
		{"stopped and continued", live(func(s *story) {
			s.call(1001, "clock_nanosleep", 1000, 900, -516, 0, 0, 0x7000, 0x7100)
			s.signal(1001, 1000, 19, 0, 0, 0, 0)
			s.blocked(1001, "clock_nanosleep", 9900, 0, 0, 0x7000, 0x7100)
		}), "still running: main thread 1 (app) waiting for 100 ms in clock_nanosleep(CLOCK_REALTIME)", ""},
		{"computes between signals", live(func(s *story) {
			s.call(1001, "getpid", 1000, 0, 1)
			for ms := 2000; ms < 10000; ms += 500 {
				s.call(1001, "rt_sigreturn", ms, 0, 0)
			}
		}), "still running: main thread 1 (app) is in no call and has made none for 9.0 s: it computes, is stopped, or does not get the CPU", "no-calls"},
		{"stack of the main thread", one(api.Exit{Signal: "SIGSEGV"}, func(s *story) {
			s.signal(1001, 299, 11, 1, 0x7fff3b65e48c, 0, 0)
			s.exit(1001, 1001, 300, 11)
		}), "killed by SIGSEGV (SEGV_MAPERR at 0x7fff3b65e48c) in main thread 1 (app)", "stack-overflow"},
		{"stack of another thread", one(api.Exit{Signal: "SIGSEGV"}, func(s *story) {
			s.task(1002, 1001, 0, 0, 300, "worker")
			s.call(1001, "mmap", 100, 0, 0x7f0000000000, 0, 8<<20, 3, 0x20022, -1, 0)
			s.signal(1002, 299, 11, 2, 0x7f0000000ff8, 0, 0)
			s.exit(1001, 1001, 300, 11)
		}), "killed by SIGSEGV (SEGV_ACCERR at 0x7f0000000ff8) in thread 2 (worker)", "stack-overflow"},
		{"no stack", one(api.Exit{Signal: "SIGSEGV"}, func(s *story) {
			s.signal(1001, 299, 11, 1, 0x7f0000000ff8, 0, 0)
			s.exit(1001, 1001, 300, 11)
		}), "killed by SIGSEGV (SEGV_MAPERR at 0x7f0000000ff8) in main thread 1 (app)", ""},
		{"file cut short", one(api.Exit{Signal: "SIGBUS"}, func(s *story) {
			s.signal(1001, 299, 7, 2, 0x7f0000001000, 0, 0)
			s.exit(1001, 1001, 300, 7)
		}), "killed by SIGBUS (BUS_ADRERR at 0x7f0000001000) in main thread 1 (app)", "mapped-file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := build(t, tt.tell(t), Options{})
			if r.Verdict != tt.verdict {
				t.Errorf("verdict %s\nwant    %s", r.Verdict, tt.verdict)
			}
			var kinds []string
			for _, s := range r.Signs.Items {
				kinds = append(kinds, s.Kind)
			}
			if got := strings.Join(kinds, " "); got != tt.signs {
				t.Errorf("signs %q, want %q", got, tt.signs)
			}
			checkSchema(t, asJSON(t, r))
		})
	}
}

// TestRuntimesFiles leaves out of the lists what the runtime opened on its way.
func TestRuntimesFiles(t *testing.T) {
	s := newStory(t, ended(300, api.Exit{Code: 3}))
	s.task(1001, 1001, 0, 0, 300, "runc:[2:INIT]")
	s.call(1001, "openat", 270, 5, 3, atCwd, 0x7000, str("/run/containerd/rootfs"), 0)
	s.call(1001, "openat", 271, 0, -2, atCwd, 0x7000, str("/run/containerd/x"), 0)
	s.executes(1001, 280, "/app")
	s.task(1002, 1002, 1001, 281, 290, "app")
	s.call(1002, "openat", 285, 5, 3, atCwd, 0x7000, str("/data/x"), 0)
	s.end(1002, 290, 0)
	s.end(1001, 300, 3)
	r := build(t, s.done(), Options{})
	if l := r.Files.Items; len(l) != 1 || l[0].Path != "/data/x" {
		t.Errorf("files %+v", l)
	}
	if l := r.Slowest.Items; len(l) != 1 || l[0].Pid != 2 {
		t.Errorf("slowest %+v", l)
	}
}

func record0(s *story, tid uint32, name string, ns uint64, ret int64) *record.Record {
	s.t.Helper()
	return &record.Record{Type: layout.RecCall, Tid: tid, Nr: number(s.t, name), Ret: ret, Time: ns}
}

func exitAt(tid uint32, ns, status uint64) *record.Record {
	return &record.Record{
		Type: layout.RecExit, Tid: tid, Time: ns, Ret: int64(status), Flags: layout.RecfNodur, Args: [6]uint64{uint64(tid), 1, 0, 0, status},
	}
}
