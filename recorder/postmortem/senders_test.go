package postmortem

import (
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// killed tells of a container that SIGKILL ends, of which no delivery is recorded.
func killed(tell func(s *story)) func(t *testing.T) []byte {
	return ends(api.Exit{Signal: "SIGKILL"}, func(s *story) {
		tell(s)
		s.exit(1001, 1001, 3000, 9)
	})
}

// TestSenders is about who is said to have sent a signal: never somebody who is only
// claimed to, and nobody "from outside" if the kernel may have done it.
func TestSenders(t *testing.T) {
	const claimed = 7
	tellAll(t, []told{
		{"parent's death", killed(func(s *story) {
			s.call(1001, "prctl", 100, 0, 0, 1, 9)
		}), "killed by SIGKILL, probably by the kernel, as its parent had ended (PR_SET_PDEATHSIG)",
			""},
		{"parent lives", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Signal: "SIGKILL"}))
			s.task(1002, 1002, 0, 0, 0, "parent")
			s.task(1001, 1001, 1002, 10, 3000, "app")
			s.call(1002, "getpid", 50, 0, 2)
			s.call(1001, "prctl", 100, 0, 0, 1, 9)
			s.exit(1001, 1001, 3000, 9)
			return s.done()
		}, "killed by SIGKILL from outside: no process of the recording sent it", ""},
		{"exit signal of a child", killed(func(s *story) {
			s.call(1001, "clone", 100, 0, 2, 9, 0, 0, 0x7000, 0)
		}), "killed by SIGKILL, probably by the kernel, as a child had ended for which it had " +
			"chosen that signal", ""},
		{"limit of CPU time that cannot be reached yet", killed(func(s *story) {
			limit := record.Item{Kind: layout.ItemMem, Data: make([]byte, 16)}
			limit.Data[0], limit.Data[8] = 60, 60
			s.call(1001, "setrlimit", 100, 0, 0, 0, 0x7000, limit)
		}), "killed by SIGKILL from outside: no process of the recording sent it", ""},
		{"timer of another signal", killed(func(s *story) {
			event := record.Item{Kind: layout.ItemMem, Data: make([]byte, 64)}
			event.Data[8] = 14
			s.call(1001, "timer_create", 100, 0, 0, 1, 0x7000, event, 0x7100)
		}), "killed by SIGKILL from outside: no process of the recording sent it", ""},
		{"what was set may be overwritten", func(t *testing.T) []byte {
			h := ended(3000, api.Exit{Signal: "SIGKILL"})
			h.Recording.Coverage.Overwritten = 1000
			s := newStory(t, h)
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.exit(1001, 1001, 3000, 9)
			return s.done()
		}, "killed by SIGKILL, probably from outside: no process of the recording sent it", ""},
		{"descriptor of another process", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Signal: "SIGKILL"}))
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.task(1002, 1002, 0, 0, 0, "guard")
			s.call(1002, "pidfd_open", 100, 0, 5, 1, 0)
			s.call(1002, "pidfd_send_signal", 2999, 0, 0, 5, 9, 0, 0)
			s.exit(1001, 1001, 3000, 9)
			return s.done()
		}, "killed by SIGKILL from 2 (guard) of the same container", ""},
		{"descriptor of which nothing is known", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Signal: "SIGKILL"}))
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.task(1002, 1002, 0, 0, 0, "guard")
			s.call(1002, "pidfd_send_signal", 2999, 0, 0, 5, 9, 0, 0)
			s.exit(1001, 1001, 3000, 9)
			return s.done()
		}, "killed by SIGKILL, probably from 2 (guard) of the same container, which sent it by a " +
			"descriptor; to whom is not known", ""},
		{"claim of somebody outside", ends(api.Exit{Signal: "SIGABRT"}, func(s *story) {
			s.signal(1001, 2999, 6, siQueue, claimed, 0, 0)
			s.exit(1001, 1001, 3000, 6)
		}), "killed by SIGABRT, as its sender says from si_pid 7, which is none of the recording",
			""},
		{"claim to be itself", ends(api.Exit{Signal: "SIGABRT"}, func(s *story) {
			s.signal(1001, 2999, 6, siQueue, 1, 0, 0)
			s.exit(1001, 1001, 3000, 6)
		}), "killed by SIGABRT, as its sender says from 1 (app)", ""},
		{"claim of one whose call is there", func(t *testing.T) []byte { // and that it was caught
			s := newStory(t, ended(3000, api.Exit{}))
			s.task(1001, 1001, 0, 0, 3000, "app")
			s.task(1002, 1002, 1001, 0, 0, "forger")
			s.call(1002, "rt_tgsigqueueinfo", 2900, 0, 0, 1, 1, 15, 0x7000)
			s.signal(1001, 2900, 15, siQueue, 99, 0, 0x401000)
			s.end(1001, 3000, 0)
			return s.done()
		}, "exited with 0 100 ms after SIGTERM from 2 (forger), which it caught", ""},
		{"timer whose number looks like a process",
			ends(api.Exit{Signal: "SIGABRT"}, func(s *story) {
				s.signal(1001, 2999, 6, siTimer, 1, 0, 0)
				s.exit(1001, 1001, 3000, 6)
			}), "killed by SIGABRT from a timer that it had set", ""},
		{"passed on by an init", func(t *testing.T) []byte {
			s := newStory(t, ended(3000, api.Exit{Signal: "SIGKILL"}))
			s.task(1001, 1001, 0, 0, 3000, "tini")
			s.task(1002, 1002, 1001, 10, 3000, "server")
			s.call(1002, "getpid", 50, 0, 2)
			s.call(1001, "rt_sigtimedwait", 1000, 900, 15, 0x7000, 0x7100, 0, 8)
			s.call(1001, "kill", 1001, 0, 0, 2, 15)
			s.exit(1001, 1001, 3000, 9)
			s.exit(1002, 1002, 3001, 9)
			return s.done()
		}, "killed by SIGKILL from outside: no process of the recording sent it, 2.0 s after " +
			"SIGTERM, which it took and passed on to 2 (server), which went on", ""},
	})
}
