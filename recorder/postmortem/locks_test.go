package postmortem

import (
	"testing"

	"github.com/recorderd/recorderd/api"
)

// TestLocks is about who waits for a lock, or does not get it.
func TestLocks(t *testing.T) {
	const wait, waitBitset, realtime = 128, 128 | 9, 256 // FUTEX_WAIT_PRIVATE …
	tellAll(t, []told{
		{"somebody else has it", ends(api.Exit{Code: 1}, func(s *story) {
			s.call(1001, "getpid", 2800, 0, 1)
			s.call(1001, "openat", 2900, 1, 3, atCwd, 0x7000, str("/data/db.lock"), 0x42)
			s.call(1001, "flock", 2980, 1, -eAGAIN, 3, 6)
			s.says(1001, 2990, "cannot open storage\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because flock(3</data/db.lock>) failed with ` +
			`EAGAIN: somebody else holds the lock, 20 ms before; ` +
			`its last words on stderr: "cannot open storage"`, "lock-held"},
		{"fcntl", ends(api.Exit{Code: 1}, func(s *story) {
			s.call(1001, "fcntl", 2980, 1, -eACCES, 3, 6, 0x7000)
			s.end(1001, 3000, 1)
		}), "exited with 1 by itself, probably because fcntl(3) failed with EACCES: somebody " +
			"else holds the lock, 20 ms before", "lock-held"},
		{"got it in the end", ends(api.Exit{Code: 1}, func(s *story) {
			s.call(1001, "flock", 2900, 1, -eAGAIN, 3, 6)
			s.call(1001, "flock", 2980, 1, 0, 3, 6)
			s.end(1001, 3000, 1)
		}), "exited with 1 by itself", ""},
		{"tries for ever", goesOn(func(s *story) {
			s.call(1001, "getpid", 50, 0, 1)
			s.call(1001, "openat", 100, 1, 3, atCwd, 0x7000, str("/data/index.db"), 0x42)
			for ms := 200; ms <= 9900; ms += 100 {
				s.call(1001, "flock", ms, 1, -eAGAIN, 3, 6)
			}
			s.blocked(1001, "clock_nanosleep", 9950, 0, 0, 0x7000, 0x7100)
		}), "still running: process 1 (app) has tried 98 times in 9.7 s to lock /data/index.db: " +
			"flock(3</data/index.db>) failed with EAGAIN: " +
			"somebody else holds the lock", "lock-held"},
		{"waits for it", goesOn(func(s *story) {
			s.blocked(1001, "flock", 4000, 3, 2)
		}), "still running: main thread 1 (app) has been waiting for 6.0 s in flock(3): somebody " +
			"else holds the lock", "lock-held"},
		{"two mutexes", goesOn(func(s *story) {
			s.task(1002, 1001, 0, 0, 0, "pool")
			s.task(1003, 1001, 0, 0, 0, "pool")
			s.task(1004, 1001, 0, 0, 0, "idle")
			s.blocked(1001, "poll", 9900, 0, 0, 500)
			s.blocked(1002, "futex", 4000, 0x7000, wait, 2, 0)
			s.blocked(1003, "futex", 4000, 0x7100, wait, 2, 0)
			s.blocked(1004, "futex", 100, 0x7200, waitBitset|realtime, 0, 0)
		}), "still running: thread 2 (pool) and thread 3 (pool) of process 1 (app) have been " +
			"waiting for 2 locks in futex for 6.0 s or longer, " +
			"without a timeout: it looks like a deadlock", "mutex"},
		{"idle threads", goesOn(func(s *story) { // on a condition variable
			s.task(1002, 1001, 0, 0, 0, "pool")
			s.task(1003, 1001, 0, 0, 0, "pool")
			s.blocked(1001, "poll", 9900, 0, 0, 500)
			s.blocked(1002, "futex", 100, 0x7200, waitBitset|realtime, 0, 0)
			s.blocked(1003, "futex", 100, 0x7200, waitBitset|realtime, 0, 0)
		}), "still running: main thread 1 (app) waiting for 100 ms in poll(NULL)", ""},
		{"forked with a lock", func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "master")
			s.task(1002, 1002, 1001, 10, 0, "worker")
			s.call(1002, "getpid", 20, 0, 2)
			s.blocked(1001, "pselect6", 9500, 4, 0x7000, 0, 0, 0x7100, 0)
			s.blocked(1002, "futex", 100, 0x7200, waitBitset|realtime, 0, 0)
			return s.done()
		}, "still running: process 2 (worker) hangs: its only thread has been waiting in futex " +
			"for 9.9 s without a timeout, and nobody else can wake it; " +
			"it was forked, perhaps while another thread held that lock", "deadlock"},
		{"zombies", func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "init")
			s.call(1001, "getpid", 5, 0, 1)
			for i := range uint32(12) {
				s.task(1010+i, 1010+i, 1001, 10, 100, "sh")
				s.call(1010+i, "getpid", 50, 0, int64(10+i))
				s.end(1010+i, 100, 0)
			}
			s.call(1001, "wait4", 150, 0, 10, -1, 0x7000, word(0), 0, 0)
			s.blocked(1001, "pause", 200)
			return s.done()
		}, "still running: main thread 1 (init) waiting for 9.8 s in pause(); 11 ended child " +
			"processes of 1 (init) are zombies: it has not waited for them",
			"zombies"},
	})
}
