package postmortem

import (
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// told is a story with its verdict and its signs.
type told struct {
	name    string
	tell    func(t *testing.T) []byte
	verdict string
	signs   string
}

// ends tells of a container with one process that ends.
func ends(exit api.Exit, tell func(s *story)) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		s := newStory(t, ended(3000, exit))
		s.task(1001, 1001, 0, 0, 3000, "app")
		tell(s)
		return s.done()
	}
}

// goesOn tells of one that runs; the dump is taken at 10 s.
func goesOn(tell func(s *story)) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		s := newStory(t, header())
		s.task(1001, 1001, 0, 0, 0, "app")
		tell(s)
		return s.done()
	}
}

func tellAll(t *testing.T, stories []told) {
	t.Helper()
	for _, tt := range stories {
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
			screenOf(t, r)
		})
	}
}

// opens adds an open that fails, or succeeds with descriptor 3.
func (s *story) opens(tid uint32, ms int, file string, ret int64) {
	s.t.Helper()
	s.call(tid, "openat", ms, 0, ret, atCwd, 0x7000, str(file), 0)
}

// TestInnocentCalls catches verdicts that blame a call that has nothing to do with the end.
func TestInnocentCalls(t *testing.T) {
	one := api.Exit{Code: 1}
	tellAll(t, []told{
		{"went on with another file", ends(one, func(s *story) {
			s.opens(1001, 2970, "/etc/app/local.yaml", -2)
			s.opens(1001, 2980, "/etc/app/app.yaml", 3)
			s.says(1001, 2990, "bad port\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "bad port"`, ""},
		{"value was wrong", ends(one, func(s *story) { // though nothing was done in between
			s.opens(1001, 2980, "/etc/app/local.yaml", -2)
			s.says(1001, 2990, "ValueError: port\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "ValueError: port"`, ""},
		{"words state another error", ends(one, func(s *story) {
			s.opens(1001, 2980, "/etc/app/local.yaml", -2)
			s.says(1001, 2990, "store: Permission denied\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "store: Permission denied"`, ""},
		{"readlink of the script", ends(one, func(s *story) {
			s.call(1001, "readlink", 2980, 0, -22, 0x7000, str("/srv/shop.py"), 0x7100, 4096)
			s.says(1001, 2990, "  File \"/srv/shop.py\", line 3\nfailed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "failed"`, ""},
		{"name cache, and an ordinary word", ends(one, func(s *story) {
			s.call(1001, "connect", 2980, 0, -2, 3, 0x7000,
				record.Item{Kind: layout.ItemMem, Data: []byte("\x01\x00/var/run/nscd/socket\x00")},
				110)
			s.opens(1001, 2985, "/srv/data/server", -2)
			s.opens(1001, 2986, "/srv/app.conf", 3)
			s.says(1001, 2990, "the server has no socket\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "the server has no socket"`, ""},
		{"file that the report of the crash looks for",
			ends(api.Exit{Signal: "SIGABRT"}, func(s *story) {
				s.signal(1001, 2900, 11, 1, 0x10, 0, 0x401000)
				s.says(1001, 2910, "#  SIGSEGV (0xb) at pc=0x1\n")
				s.opens(1001, 2920, "/etc/system-release", -2)
				s.call(1001, "tgkill", 2990, 0, 0, 1, 1, 6)
				s.signal(1001, 2990, 6, siTkill, 1, 0, 0)
				s.exit(1001, 1001, 3000, 6)
			}), `aborted itself with SIGABRT 90 ms after SIGSEGV (SEGV_MAPERR at 0x10) in main ` +
				`thread 1 (app), which it caught; ` +
				`its last words on stderr: "#  SIGSEGV (0xb) at pc=0x1"`, ""},
		// as virtual machines do all the time
		{"fault that was caught in peace", ends(one, func(s *story) {
			s.signal(1001, 2900, 11, 1, 0x10, 0, 0x401000)
			s.call(1001, "connect", 2980, 0, -111, 3, 0x7000, sockaddr([4]byte{10, 0, 0, 3}, 5432),
				16)
			s.says(1001, 2990, "giving up\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because connect to 10.0.0.3:5432 was refused, 20 ` +
			`ms before; its last words on stderr: "giving up"`, "refused"},
		{"search for a limit", ends(one, func(s *story) {
			for i := range 600 {
				s.call(1001, "prlimit64", 2900+i/20, 0, -1, 0, 7, 0x7000,
					record.Item{Kind: layout.ItemMem, Data: make([]byte, 16)}, 0)
			}
			for i := range 100 {
				s.call(1001, "getpid", 2940+i/10, 0, 1)
			}
			s.opens(1001, 2960, "/data/dump.db", 3)
			s.says(1001, 2990, "cannot load the data\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "cannot load the data"`, ""},
		{"huge pages before normal ones", ends(one, func(s *story) {
			s.call(1001, "mmap", 2970, 0, -12, 0, 64<<20, 3, 0x40022, -1, 0)
			s.call(1001, "mmap", 2971, 0, 0x7f0000000000, 0, 64<<20, 3, 0x22, -1, 0)
			s.says(1001, 2990, "broken\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "broken"`, ""},
		{"tried again, and it worked", ends(one, func(s *story) {
			s.call(1001, "connect", 2000, 0, -111, 3, 0x7000, sockaddr([4]byte{10, 0, 0, 3}, 5432),
				16)
			s.call(1001, "connect", 2100, 0, 0, 3, 0x7000, sockaddr([4]byte{10, 0, 0, 3}, 5432), 16)
			s.says(1001, 2990, "connection failed: no such table\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "connection failed: no such table"`,
			""},
		{"only the guard lane has it", func(t *testing.T) []byte { // and what came later is missing
			h := ended(3000, one)
			h.Recording.Coverage.Overwritten, h.Recording.Coverage.GuardSkips = 100000, 50
			s := newStory(t, h)
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.lane = dump.FrameGuard
			s.opens(1001, 1600, "/srv/classes/C185.class", -2)
			s.lane = dump.FrameMain
			s.says(1001, 2990, "initialization failed\n")
			s.end(1001, 3000, 1)
			return s.done()
		}, `exited with 1 by itself; its last words on stderr: "initialization failed"`, ""},
	})
}

// TestKeptApart knows what the lanes of rare calls still have though calls were skipped.
func TestKeptApart(t *testing.T) {
	one := api.Exit{Code: 1}
	tell := func(since int, lost uint64) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			h := ended(3000, one)
			c := &h.Recording.Coverage
			c.Overwritten, c.GuardSkips = 100000, 50
			from := noon.Add(time.Duration(since) * time.Millisecond)
			c.Apart = []api.Apart{
				{Kind: api.ApartFailure, Since: &from, Lost: lost},
				{Kind: api.ApartLongFailure}, {Kind: api.ApartStderr},
			}
			s := newStory(t, h)
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.lane = dump.FrameGuard
			s.opens(1001, 1590, "/srv/classes/C185.class", -2)
			s.opens(1001, 1600, "/srv/license.key", -2)
			s.lane = dump.FrameMain
			s.says(1001, 2990, "initialization failed\n")
			s.end(1001, 3000, 1)
			return s.done()
		}
	}
	const words = `; its last words on stderr: "initialization failed"`
	tellAll(t, []told{
		{"all since then", tell(1595, 0), `exited with 1 by itself, probably because ` +
			`openat("/srv/license.key") failed with ENOENT, 1.4 s before` + words, "missing-file"},
		{"later ones are missing", tell(1605, 0), `exited with 1 by itself` + words, ""},
		{"some are torn", tell(1595, 1), `exited with 1 by itself` + words, ""},
	})
}

// TestReasons is about failures that are the reason, though the words do not name them.
func TestReasons(t *testing.T) {
	one := api.Exit{Code: 1}
	tellAll(t, []told{
		{"last thing that it did", ends(one, func(s *story) {
			s.opens(1001, 2900, "/etc/app.conf", 3)
			s.opens(1001, 2980, "/srv/license.key", -2)
			s.opens(1001, 2985, "/usr/share/locale/de/app.mo", -2)
			s.says(1001, 2990, "initialization failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because openat("/srv/license.key") failed with ` +
			`ENOENT, 20 ms before; its last words on stderr: "initialization failed"`,
			"missing-file"},
		{"first for want of descriptors", ends(one, func(s *story) {
			s.call(1001, "socket", 2970, 0, -24, 2, 1, 0)
			s.says(1001, 2975, "Traceback (most recent call last):\n")
			s.opens(1001, 2980, "/srv/shop.py", -24)
			s.says(1001, 2990, "OSError: [Errno 24] Too many open files\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself 30 ms after socket() failed with EMFILE; its last words on ` +
			`stderr: "OSError: [Errno 24] Too many open files"`,
			"out-of-descriptors"},
		{"directory where a file should be", ends(one, func(s *story) {
			s.call(1001, "read", 2980, 0, -21, 3, 0x7000, 1)
			s.says(1001, 2990, "startup failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because read(3) failed with EISDIR, 20 ms before; ` +
			`its last words on stderr: "startup failed"`, ""},
		{"asked for, and nothing else failed", ends(one, func(s *story) {
			s.call(1001, "access", 2980, 0, -2, 0x7000, str("/srv/orders.conf"), 4)
			s.says(1001, 2990, "no configuration\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because access("/srv/orders.conf") failed with ` +
			`ENOENT, 20 ms before; its last words on stderr: "no configuration"`,
			"missing-file"},
		{"written below a place that is read in peace", ends(one, func(s *story) {
			s.call(1001, "openat", 2980, 0, -30, atCwd, 0x7000, str("/usr/share/search/node.lock"),
				0x41)
			s.says(1001, 2990, "bootstrap failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because openat("/usr/share/search/node.lock") ` +
			`failed with EROFS, 20 ms before; ` +
			`its last words on stderr: "bootstrap failed"`, "read-only"},
		{"goroutine moves to another thread", ends(one, func(s *story) {
			s.task(1002, 1001, 0, 0, 3000, "app")
			s.call(1002, "bind", 2980, 0, -98, 3, 0x7000, sockaddr([4]byte{0, 0, 0, 0}, 5432), 16)
			s.says(1001, 2990, "startup failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because bind(0.0.0.0:5432) failed with ` +
			`EADDRINUSE, 20 ms before; its last words on stderr: "startup failed"`,
			"address-in-use"},
		{"no threads left", ends(one, func(s *story) {
			s.call(1001, "clone", 2980, 0, -11, 0x3d0f00, 0x7000, 0x7000, 0x7000, 0)
			s.says(1001, 2990, "RuntimeError: can't start new thread\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because clone() failed with EAGAIN: the limit of ` +
			`processes and threads is reached ` +
			`(pids.max, RLIMIT_NPROC, threads-max), 20 ms before; its last words on stderr: ` +
			`"RuntimeError: can't start new thread"`, "out-of-processes"},
		// ENOMEM, though there is memory enough
		{"no locked memory left", ends(one, func(s *story) {
			s.call(1001, "mlock", 2980, 0, -12, 0x7000, 1<<20)
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because mlock() failed with ENOMEM: the limit of ` +
			`locked memory is reached (RLIMIT_MEMLOCK), 20 ms before`, "limit"},
		{"no watches left", ends(one, func(s *story) { // ENOSPC, though the disk has room
			s.call(1001, "inotify_add_watch", 2980, 0, -28, 3, 0x7000, str("/srv"), 2)
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because inotify_add_watch("/srv") failed with ` +
			`ENOSPC: the limit of inotify watches is reached ` +
			`(fs.inotify.max_user_watches), 20 ms before`, "limit"},
		{"fault that the program reported", ends(api.Exit{Code: 2}, func(s *story) {
			s.opens(1001, 2600, "/etc/limits.yaml", -2)
			s.says(1001, 2601, "warning: open /etc/limits.yaml: no such file or directory\n")
			s.signal(1001, 2950, 11, 1, 8, 0, 0x401000)
			s.says(1001, 2960, "panic: runtime error: invalid memory address or nil pointer "+
				"dereference\n")
			s.end(1001, 3000, 2)
		}), `exited with 2 by itself 50 ms after SIGSEGV (SEGV_MAPERR at 0x8) in main thread 1 ` +
			`(app), which it caught; ` +
			`its last words on stderr: "panic: runtime error: invalid memory address or nil ` +
			`pointer dereference"`, ""},
		{"file that was mapped", ends(api.Exit{Signal: "SIGBUS"}, func(s *story) {
			s.call(1001, "getpid", 2700, 0, 1)
			s.call(1001, "openat", 2800, 1, 3, atCwd, 0x7000, str("/dev/shm/cache_0"), 2)
			s.call(1001, "mmap", 2801, 1, 0x7f0000000000, 0, 1<<20, 3, 1, 3, 0)
			s.signal(1001, 2999, 7, 2, 0x7f0000080000, 0, 0)
			s.exit(1001, 1001, 3000, 7)
		}), "killed by SIGBUS (BUS_ADRERR at 0x7f0000080000) in main thread 1 (app), where " +
			"/dev/shm/cache_0 was mapped", "mapped-file"},
	})
}

// TestChildren finds the child that was the reason, whatever its parent made of that.
func TestChildren(t *testing.T) {
	tellAll(t, []told{
		{"answered with another status", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 3000, "start")
			s.task(1002, 1002, 1001, 10, 2900, "sh")
			s.task(1003, 1003, 1002, 11, 2800, "cat")
			s.opens(1003, 2790, "/srv/0001.sql", -2)
			s.end(1003, 2800, 1)
			s.end(1002, 2900, 3)
			s.end(1001, 3000, 1)
			return s.done()
		}, `exited with 1 after its child 3 (cat) exited with 1, probably because ` +
			`openat("/srv/0001.sql") failed with ENOENT, 10 ms before`, "missing-file"},
		{"first of many", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 3000, "server")
			for i := range uint32(6) {
				s.task(1010+i, 1010+i, 1001, 10, 2900, "worker")
				s.call(1010+i, "getpid", 20, 0, int64(10+i))
			}
			s.end(1012, 2850, 4)
			s.says(1001, 2860, "worker failed\n")
			for i := range uint32(6) {
				if i == 2 {
					continue
				}
				s.call(1001, "kill", 2880, 0, 0, int(10+i), 15)
				s.exit(1010+i, 1010+i, 2890+int(i), 15)
			}
			s.end(1001, 3000, 1)
			return s.done()
		}, `exited with 1 after its child 12 (worker) exited with 4; its last words on stderr: ` +
			`"worker failed"`, "failing-children"},
		// and started others in the meantime
		{"parent learned of it later", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 3000, "server")
			s.task(1002, 1002, 1001, 10, 100, "worker")
			s.task(1003, 1003, 1001, 200, 2950, "worker")
			s.end(1002, 100, 4)
			s.call(1001, "clone", 200, 0, 3, 0x1200011, 0, 0, 0x7000, 0)
			s.call(1003, "getpid", 210, 0, 3)
			s.call(1001, "wait4", 2900, 0, 2, -1, 0x7000, word(4<<8), 0, 0)
			s.call(1001, "kill", 2910, 0, 0, 3, 15)
			s.exit(1003, 1003, 2950, 15)
			s.call(1001, "wait4", 2960, 0, 3, -1, 0x7000, word(15), 0, 0)
			s.end(1001, 3000, 1)
			return s.done()
		}, "exited with 1 after its child 2 (worker) exited with 4", ""},
		{"minded, and went on", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Code: 3}))
			s.task(1001, 1001, 0, 0, 3000, "sh")
			s.task(1002, 1002, 1001, 10, 20, "cat")
			s.task(1003, 1003, 1001, 30, 2900, "sleep")
			s.opens(1002, 19, "/srv/license.key", -2)
			s.end(1002, 20, 1)
			s.call(1001, "clone", 30, 0, 3, 0x1200011, 0, 0, 0x7000, 0)
			s.end(1003, 2900, 0)
			s.says(1001, 2990, "not licensed\n")
			s.end(1001, 3000, 3)
			return s.done()
		}, `exited with 3 by itself; its last words on stderr: "not licensed"`, ""},
		{"went into the background", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{}))
			s.task(1001, 1001, 0, 0, 3000, "web")
			s.task(1002, 1002, 1001, 2900, 3005, "web")
			s.call(1002, "getpid", 2950, 0, 2)
			s.end(1001, 3000, 0)
			s.exit(1002, 1002, 3005, 9)
			return s.done()
		}, "exited with 0 by itself after 3.0 s, while its child 2 (web) still ran: it put " +
			"itself into the background", ""},
	})
}

// TestLastWords is about which line says why.
func TestLastWords(t *testing.T) {
	one := api.Exit{Code: 1}
	words := func(want string, lines ...string) told {
		return told{lines[0], ends(one, func(s *story) {
			for i, l := range lines {
				s.says(1001, 2900+i, l+"\n")
			}
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "` + want + `"`, ""}
	}
	tellAll(t, []told{
		words("2026-11-27T14:00:00.123Z FATAL [main] App - wrong password",
			"2026-11-27T14:00:00.123Z FATAL [main] App - wrong password",
			"2026-11-27T14:00:00.125Z INFO  [main] App - shutting down executor",
			"2026-11-27T14:00:00.125Z INFO  [main] App - goodbye"),
		words("cannot open the store: disk is full",
			`{"level":"fatal","ts":1,"msg":"cannot open the store","error":"disk is full"}`,
			`{"level":"info","ts":2,"msg":"stopped"}`),
		words("no route: peer is down", `time=1 level=error msg="no route" err="peer is down"`,
			`time=2 level=info msg="closing"`),
		words("F1127 16:02:11.000000       1 main.go:7] no kubeconfig",
			"F1127 16:02:11.000000       1 main.go:7] no kubeconfig",
			"I1127 16:02:11.000001       1 main.go:9] flushing"),
		words("10:00 UTC [7] FATAL:  data directory has wrong owner 10:00 UTC [7] DETAIL:  It is "+
			"0, not 70.", "10:00 UTC [7] LOG:  starting",
			"10:00 UTC [7] FATAL:  data directory has wrong owner",
			"10:00 UTC [7] DETAIL:  It is 0, not 70.",
			"10:00 UTC [7] LOG:  system is shut down"),
		words("Caused by: Boom: no disk", `Exception in thread "main" Startup: it did not start`,
			"\tat App.main(App.java:3)", "Caused by: Boom: no disk", "\t... 1 more"),
		words("the level is low", "starting", "the level is low"),
		{"of any age", ends(api.Exit{Code: 1}, func(s *story) {
			s.says(1001, 100, "cannot decrypt keystore\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "cannot decrypt keystore"`, ""},
		{"old", func(t *testing.T) []byte {
			s := newStory(t, ended(9000, one))
			s.task(1001, 1001, 0, 0, 9000, "app")
			s.says(1001, 1000, "cannot decrypt keystore\n")
			s.end(1001, 9000, 1)
			return s.done()
		}, `exited with 1 by itself; its last words on stderr, 8.0 s before: "cannot decrypt ` +
			`keystore"`, ""},
		{"of a data file, and of a pipe between processes", ends(one, func(s *story) {
			s.call(1001, "openat", 2900, 1, 3, atCwd, 0x7000, str("/data/prices.csv"), 1)
			s.call(1001, "dup2", 2910, 1, 1, 3, 1)
			s.call(1001, "write", 2920, 1, 9, 1, 0x7000, data("a,b,c,d,e"), 9)
			s.call(1001, "pipe2", 2930, 1, 0, 0x7000,
				record.Item{Kind: layout.ItemMem, Data: []byte("\x05\x00\x00\x00\x06\x00\x00\x00")},
				0)
			s.call(1001, "dup2", 2940, 1, 2, 6, 2)
			s.call(1001, "write", 2950, 1, 9, 2, 0x7000, data("for a cat"), 9)
			s.end(1001, 3000, 1)
		}), "exited with 1 by itself", ""},
		{"of a probe", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, one))
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.task(1009, 1009, 900, 2900, 2950, "check")
			s.says(1001, 2800, "not licensed\n")
			s.says(1009, 2940, "FATAL: not healthy\n")
			s.end(1009, 2950, 1)
			s.end(1001, 3000, 1)
			return s.done()
		}, `exited with 1 by itself; its last words on stderr: "not licensed"`, ""},
		{"cut short", ends(one, func(s *story) { // the message would have been the last line
			text := "Traceback (most recent call last):\n  File \"/srv/shop.py\", line 3\n    conv"
			s.call(1001, "write", 2990, 0, 1500, 2, 0x7000, data(text), 1500)
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; of its words on stderr the last are missing, before them: ` +
			`"conv"`, ""},
		{"later ones were not kept", func(t *testing.T) []byte {
			h := ended(3000, one)
			h.Recording.Coverage.Overwritten, h.Recording.Coverage.GuardSkips = 100000, 5000
			s := newStory(t, h)
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.lane = dump.FrameGuard
			s.says(1001, 20, "starting\n")
			s.lane = dump.FrameMain
			s.end(1001, 3000, 1)
			return s.done()
		}, `exited with 1 by itself; of its words on stderr the last are missing, before them: ` +
			`"starting"`, ""},
	})
}

// TestSignsOfInnocentCalls catches a sign that says for certain what has nothing to do with
// the end: the program went on after it.
func TestSignsOfInnocentCalls(t *testing.T) {
	for _, went := range []bool{true, false} {
		r := build(t, ends(api.Exit{Code: 1}, func(s *story) {
			s.opens(1001, 2970, "/etc/app/secrets.yaml", -13)
			if went {
				s.opens(1001, 2980, "/etc/app/app.yaml", 3)
			}
			s.says(1001, 2990, "startup failed\n")
			s.end(1001, 3000, 1)
		})(t), Options{})
		want := Certain
		if went {
			want = Possible
		}
		if l := r.Signs.Items; len(l) != 1 || l[0].Kind != "denied" || l[0].Certainty != want {
			t.Errorf("went on: %v: signs %+v, want it %s", went, l, want)
		}
	}
}

// TestTooFast catches that a loop is called silent whose calls are overwritten before they
// can be read: only the guard lane has some of it, from long ago.
func TestTooFast(t *testing.T) {
	h := header()
	c := &h.Recording.Coverage
	c.Written, c.Overwritten, c.GuardSkips, c.Guarded = 900_000, 900_000, 890_000, 400
	s := newStory(t, h)
	s.task(1001, 1001, 0, 0, 0, "daemon")
	s.lane = dump.FrameGuard
	for i := range 400 {
		s.call(1001, "close", 10+i/100, 0, -eBADF, 10+i)
	}
	r := build(t, s.done(), Options{})
	want := "still running: busy: 900,000 calls in 10.0 s, which were overwritten before they " +
		"could be read; " +
		"nearly all that failed, and were kept for that, are close with EBADF"
	if r.Verdict != want {
		t.Errorf("verdict %s\nwant    %s", r.Verdict, want)
	}
}

// TestBusyLoop catches a loop that is said to wait, as its thread was in a call, or not on the
// CPU, when somebody looked; and a rate that is that of a part of a second.
func TestBusyLoop(t *testing.T) {
	h := header()
	c := &h.Recording.Coverage
	c.Written, c.Overwritten, c.Kept = 2_000_000, 1_970_000, 30_000
	s := newStory(t, h)
	s.task(1001, 1001, 0, 0, 0, "app")
	nr := number(t, "getppid")
	for i := range uint64(30_000) {
		s.add(&record.Record{Type: layout.RecCall, Tid: 1001, Nr: nr, Ret: 1, Dur: 200,
			Time: at(10_000) - 150e6 + i*5000})
	}
	s.blocked(1001, "getppid", 9990)
	r := build(t, s.done(), Options{})
	want := "still running, and busy: 200,006 calls in a second, the last of main thread 1 (app) " +
		"all getppid"
	if r.Verdict != want {
		t.Errorf("verdict %s\nwant    %s", r.Verdict, want)
	}
}

// TestTriesOfAScript finds the child that failed, though the script slept between its tries: in a
// process of its own, as scripts do.
func TestTriesOfAScript(t *testing.T) {
	tell := func(sleeps bool) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 3000, "wait-for")
			s.task(1002, 1002, 1001, 2000, 2100, "wait-for")
			s.task(1003, 1003, 1001, 2200, 2900, "sleep")
			s.call(1001, "clone", 2000, 1, 1002, 17)
			s.connects(1002, 2050, 5, -eCONNREFUSED)
			s.noReturn(1002, 2099, 1)
			s.exit(1002, 1002, 2100, 1<<8)
			s.call(1001, "wait4", 2150, 100, 1002, -1, 0x7000, word(1<<8), 0)
			s.call(1001, "clone", 2200, 1, 1003, 17)
			s.call(1003, "execve", 2210, 1, 0, 0x7000, str("/usr/bin/sleep"))
			if sleeps {
				s.call(1003, "clock_nanosleep", 2890, 600, 0, 0, 0, 0x7000, 0)
			} else {
				s.opens(1003, 2890, "/srv/state", 3)
			}
			s.noReturn(1003, 2899, 0)
			s.exit(1003, 1003, 2900, 0)
			s.call(1001, "wait4", 2950, 700, 1003, -1, 0x7000, word(0), 0)
			s.says(1001, 2990, "db not ready\n")
			s.end(1001, 3000, 1)
			return s.done()
		}
	}
	const words = `; its last words on stderr: "db not ready"`
	tellAll(t, []told{
		{"it slept", tell(true), "exited with 1 after its child 2 (wait-for) exited with 1, " +
			"probably because connect to 10.0.0.3:5432 was refused, 49 ms before" + words, "refused"},
		{"it did other things", tell(false), "exited with 1 by itself" + words, ""},
	})
}

// TestThreadsOfAnEndedProcess lists what the other threads were in when one of them ended the
// process by exit_group, or a signal did.
func TestThreadsOfAnEndedProcess(t *testing.T) {
	for _, status := range []uint64{1 << 8, 9} {
		x := api.Exit{Code: 1}
		if status == 9 {
			x = api.Exit{Signal: "SIGKILL"}
		}
		s := newStory(t, ended(3000, x))
		s.task(1001, 1001, 0, 0, 3000, "app")
		s.task(1002, 1001, 0, 10, 3000, "worker")
		s.connects(1001, 100, 5, 0)
		if status != 9 {
			s.noReturn(1001, 2999, 1)
		}
		s.add(&record.Record{Type: layout.RecExit, Tid: 1002, Nr: number(t, "read") + 1, Ret: int64(status),
			Time: at(3000), Args: [6]uint64{1001, 0, at(500), 0, 0}})
		s.exit(1001, 1001, 3000, status)
		r := build(t, s.done(), Options{})
		l := r.Blocked.Items
		if len(l) != 1 || l[0].Call != "read" || l[0].Tid != 2 || !l[0].Killed || l[0].ForNs != 2500e6 {
			t.Errorf("status %d: %+v", status, l)
		}
	}
}
