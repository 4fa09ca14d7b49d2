package postmortem

import (
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// sent adds a signal that was sent to a thread. who: the sender's id on the node, its name, its
// parent's, and its cgroup's.
func (s *story) sent(tid uint32, ms, sig int, result, handler uint64, flags layout.SentFlag, pid uint32, who ...string) {
	s.t.Helper()
	r := &record.Record{
		Type: layout.RecSent, Tid: tid, Time: at(ms), Nr: uint16(sig), Flags: layout.RecfNodur,
		Args: [6]uint64{result, handler, uint64(flags), uint64(pid)},
	}
	if flags&layout.SentByProcess == 0 {
		r.Ret = 0x80 // SI_KERNEL
	}
	for i, name := range who {
		r.Items = append(r.Items, record.Item{Arg: uint8(i), Kind: layout.ItemStr, Data: []byte(name)})
	}
	s.add(r)
}

// TestSent is about signals of which the kernel told who sent them.
func TestSent(t *testing.T) {
	const node = layout.SentByProcess | layout.SentToGroup
	tellAll(t, []told{
		{"stop of a container whose process 1 has no handler", killed(func(s *story) {
			s.sent(1001, 1000, 15, 1, 0, node, 4711, "runc", "containerd-shim", "containerd.service")
			s.sent(1001, 2999, 9, 0, 0, node, 4712, "runc", "containerd-shim", "containerd.service")
		}), "killed by SIGKILL, sent by runc for containerd-shim, on the node, 2.0 s after SIGTERM, " +
			"which process 1 (app) ignored because it has no handler", "grace-period"},
		{"a signal that it ignores, from somebody else", killed(func(s *story) {
			s.sent(1001, 1000, 15, 1, 1, node, 4711, "kubelet")
			s.sent(1001, 2999, 9, 0, 0, node, 4712, "kill", "bash", "session-3.scope")
		}), "killed by SIGKILL, sent by kill for bash, on the node, 2.0 s after SIGTERM from kubelet, " +
			"on the node, which process 1 (app) ignored", "grace-period"},
		{"a signal that it blocks", killed(func(s *story) {
			s.sent(1001, 1000, 15, 0, 0, node, 4711, "runc")
			s.sent(1001, 1500, 15, 2, 0, node, 4711, "runc")
			s.sent(1001, 2999, 9, 0, 0, node, 4712, "runc")
		}), "killed by SIGKILL, sent by runc, on the node, 2.0 s after SIGTERM, which process 1 (app) " +
			"never took", "grace-period"},
		// It was queued since it was blocked just then, as a shell does while it forks.
		{"a signal that it ignores and blocks", killed(func(s *story) {
			s.sent(1001, 1000, 15, 0, 1, node, 4711, "runc")
			s.sent(1001, 2999, 9, 0, 0, node, 4712, "runc")
		}), "killed by SIGKILL, sent by runc, on the node, 2.0 s after SIGTERM, which process 1 (app) " +
			"ignored", "grace-period"},
		{"a signal that it caught", killed(func(s *story) {
			s.sent(1001, 1000, 15, 0, 0x4000, node, 4711, "runc", "containerd-shim")
			s.signal(1001, 1000, 15, 0, 0, 0, 0x4000)
			s.sent(1001, 2999, 9, 0, 0, node, 4712, "runc", "containerd-shim")
		}), "killed by SIGKILL, sent by runc for containerd-shim, on the node, 2.0 s after SIGTERM, " +
			"which it caught", "grace-period"},
		{"another container", killed(func(s *story) {
			s.sent(1001, 2999, 9, 0, 0, node|layout.SentOther, 4712, "evil\x1b[2J", "sh", "cri-0123.scope")
		}), "killed by SIGKILL, sent by evil?[2J for sh, in the container of cgroup cri-0123.scope", ""},
		{"the same container", killed(func(s *story) {
			s.task(1002, 1002, 1001, 100, 0, "sh")
			s.call(1002, "getpid", 200, 0, 2)
			s.sent(1001, 2999, 9, 0, 0, node|layout.SentSame, 1002, "sh", "app")
		}), "killed by SIGKILL from 2 (sh) of the same container", ""},
		{"itself, by way of its group", killed(func(s *story) {
			s.sent(1001, 2999, 9, 0, 0, node|layout.SentSame, 1001, "app")
		}), "killed by SIGKILL, which it sent to itself", ""},
		{"the kernel", killed(func(s *story) {
			s.sent(1001, 2999, 9, 0, 0, layout.SentToGroup, 0)
		}), "killed by SIGKILL from the kernel: no process sent it", ""},
		{"the kernel, by a limit", killed(func(s *story) {
			s.call(1001, "prctl", 100, 0, 0, 1, 9)
			s.sent(1001, 2999, 9, 0, 0, layout.SentToGroup, 0)
		}), "killed by SIGKILL, probably by the kernel, as its parent had ended (PR_SET_PDEATHSIG)", ""},
		{"its parent's end", killed(func(s *story) {
			s.sent(1001, 2999, 9, 0, 0, node|layout.SentSame|layout.SentAtEnd, 1009, "parent")
		}), "killed by SIGKILL, sent because parent (host pid 1009) ended, as it had asked for", ""},
		{"a SIGKILL that init got from inside, and that did nothing", killed(func(s *story) {
			s.sent(1001, 2998, 9, 1, 0, node|layout.SentSame, 1009, "sh")
			s.sent(1001, 2999, 9, 0, 0, node, 4712, "runc")
		}), "killed by SIGKILL, sent by runc, on the node", ""},
		{"a child, and what it ended with is handed on", ends(api.Exit{Code: 137}, func(s *story) {
			s.task(1002, 1002, 1001, 100, 2900, "server")
			s.call(1002, "getpid", 200, 0, 2)
			s.sent(1002, 2890, 9, 0, 0, node, 4711, "node-guard", "systemd")
			s.exit(1002, 1002, 2900, 9)
			s.call(1001, "wait4", 2910, 10, 2, -1, 0x7000, word(9), 0, 0)
			s.noReturn(1001, 2950, 137)
			s.exit(1001, 1001, 3000, 137<<8)
		}), "exited with 137 after its child 2 (server) was killed by SIGKILL, sent by node-guard for " +
			"systemd, on the node", ""},
		{"SIGTERM that ended it", ends(api.Exit{Signal: "SIGTERM"}, func(s *story) {
			s.sent(1001, 2999, 15, 0, 0, node, 4711, "kill", "bash")
			s.signal(1001, 3000, 15, 0, 0, 0, 0)
			s.exit(1001, 1001, 3000, 15)
		}), "killed by SIGTERM, sent by kill for bash, on the node", ""},
	})
}

// Of a signal that somebody sends again and again the first stays known, and others, too.
func TestManySent(t *testing.T) {
	const node = layout.SentByProcess | layout.SentToGroup
	tellAll(t, []told{{"a flood", killed(func(s *story) {
		s.sent(1001, 500, 15, 1, 0, node, 4711, "runc")
		for i := range 1000 {
			s.sent(1001, 600+i, 15, 1, 0, node, 4711, "runc")
			s.sent(1001, 600+i, 12, 1, 1, node, 4711, "runc")
		}
		s.sent(1001, 2999, 9, 0, 0, node, 4712, "runc")
	}), "killed by SIGKILL, sent by runc, on the node, 2.5 s after SIGTERM, which process 1 (app) " +
		"ignored because it has no handler", "grace-period"}})
}
