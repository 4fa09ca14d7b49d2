package recorder

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// verdictCase is a program that ends badly, and what its verdict has to say. What it says
// itself is vague on purpose.
type verdictCase struct {
	name    string
	script  string // its first line says in what language
	verdict string // a regular expression
	quiet   bool   // it is not tried behind noise
}

var verdictCases = []verdictCase{
	{
		name: "a file is missing", verdict: `openat\("/srv/shop/license\.key"\) failed with ENOENT`,
		script: "#!/usr/bin/perl\nopen(my $f, '<', '/srv/shop/license.key') or do { print STDERR \"startup failed\\n\"; exit 1 };\n",
	},
	{
		name: "a command that it starts has no file", verdict: `after its child .*openat\("/srv/in/orders\.tsv"\) failed with ENOENT`,
		script: "#!/bin/sh\nawk '{ n += $1 } END { print n }' /srv/in/orders.tsv 2>/dev/null || { echo 'report failed' >&2; exit 3; }\n",
	},
	{
		name: "nobody listens", verdict: `connect to 127\.0\.0\.1:1 was refused \(4 times\)`,
		script: `#!/usr/bin/python3
import socket, sys, time
for i in range(4):
    try: socket.create_connection(('127.0.0.1', 1)).close()
    except OSError: time.sleep(.05)
sys.exit('giving up')
`,
	},
	{
		name: "a socket that nobody serves any more", verdict: `connect to ".*/d\.sock" was refused \(3 times\)`,
		script: `#!/usr/bin/python3
import socket, sys, tempfile, time
path = tempfile.mkdtemp() + '/d.sock'
socket.socket(socket.AF_UNIX).bind(path)
for i in range(3):
    try: socket.socket(socket.AF_UNIX).connect(path)
    except OSError: time.sleep(.05)
sys.exit('giving up')
`,
	},
	{
		name: "the peer closes without an answer", verdict: `127\.0\.0\.1:\d+ closed the connection without an answer to 5 bytes`,
		script: `#!/usr/bin/python3
import os, socket, sys
s = socket.create_server(('127.0.0.1', 0))
if not os.fork():
    c = s.accept()[0]; c.recv(100); c.close(); os._exit(0)
c = socket.create_connection(s.getsockname())
c.sendall(b'query')
if not c.recv(100): sys.exit('query failed')
`,
	},
	{
		name: "somebody holds the lock", verdict: `flock\(.*/queue\.lock>?\) failed with EAGAIN: somebody else holds the lock`,
		script: `#!/usr/bin/python3
import fcntl, os, sys, tempfile, time
path = tempfile.mkdtemp() + '/queue.lock'
a = open(path, 'w'); fcntl.flock(a, fcntl.LOCK_EX)
b = open(path, 'w')
try: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError: sys.exit('cannot start')
`,
	},
	{
		name: "no descriptors are left", verdict: `failed with EMFILE`,
		script: `#!/usr/bin/python3
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True: os.open('/etc/hostname', os.O_RDONLY)
except OSError: sys.exit('crawler stopped')
`,
	},
	{
		name: "the address is in use", verdict: `bind\(127\.0\.0\.1:\d+\) failed with EADDRINUSE`,
		script: `#!/usr/bin/python3
import socket, sys
a = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen()
try: b = socket.socket(); b.bind(a.getsockname()); b.listen()
except OSError: sys.exit('listener failed')
`,
	},
	{
		name: "no name server", verdict: `10\.255\.255\.1.*cart\.shop\.svc\.cluster\.local|cart\.shop\.svc\.cluster\.local.*10\.255\.255\.1|questions to the DNS server`,
		quiet: true, // it is the network's, and not the ring's
		script: `#!/usr/bin/python3
import socket, sys, struct
q = struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(p)]) + p.encode() for p in 'cart.shop.svc.cluster.local'.split('.')) + b'\0\0\1\0\1'
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(.5)
for i in range(2):
    try: s.connect(('10.255.255.1', 53)); s.send(q); s.recv(512)
    except OSError: pass
s.close()
sys.exit('startup failed')
`,
	},
	{
		name: "the worker that failed first", verdict: `after its child .*openat\("/srv/models/rank\.bin"\) failed with ENOENT`,
		script: `#!/usr/bin/python3
import os, signal, sys, time
kids = []
for i in range(5):
    pid = os.fork()
    if not pid:
        time.sleep(.02 * i)
        if i == 3:
            try: open('/srv/models/rank.bin')
            except OSError: os._exit(7)
        time.sleep(20)
    kids.append(pid)
os.wait()
for pid in kids:
    try: os.kill(pid, signal.SIGTERM)
    except ProcessLookupError: pass
try:
    while True: os.wait()
except ChildProcessError: pass
print('worker failed', file=sys.stderr)
os._exit(1)
`,
	},
	{
		name: "a word about a value", verdict: `by itself; its last words on stderr: "panic: quota must be set"`,
		script: `#!/usr/bin/perl
for my $p ('/etc/shop.yaml', '/usr/local/etc/shop.yaml') { open my $f, '<', $p and last }
print STDERR "panic: quota must be set\n"; exit 2;
`,
	},
	{
		name: "a crash", verdict: `killed by SIGSEGV \(SEGV_MAPERR at 0x0\)`,
		script: "#!/usr/bin/python3\nimport ctypes\nctypes.string_at(0)\n",
	},
}

// TestCases lets programs end badly as they do in many places, and reads the verdict: alone,
// and as the end of a container in which before that hundreds of threads made calls as fast
// as they could, thousands of opens failed, and processes came and went. RECORDERD_NOISE
// says for how long, in seconds.
func TestCases(t *testing.T) {
	noise := os.Getenv("RECORDERD_NOISE")
	if noise == "" {
		noise = "2"
	}
	yes := true
	a := newAside(t, "noise.c", Config{RingSize: 1 << 20, CaptureStdio: 512, Policy: policy.Policy{Base: policy.Settings{CaptureDNS: &yes}}})
	for _, behind := range []string{"", noise} {
		for _, tc := range verdictCases {
			if behind != "" && tc.quiet {
				continue
			}
			name := tc.name
			if behind != "" {
				name += ", behind noise"
			}
			t.Run(name, func(t *testing.T) {
				program := filepath.Join(t.TempDir(), "program")
				if err := os.WriteFile(program, []byte(tc.script), 0o755); err != nil {
					t.Fatal(err)
				}
				line, _, _ := strings.Cut(strings.TrimPrefix(tc.script, "#!"), "\n")
				args := []string{line, program}
				if behind != "" {
					args = append([]string{a.bin, behind}, args...)
				}
				if got := a.verdict(t, args); !regexp.MustCompile(tc.verdict).MatchString(got) {
					t.Errorf("verdict %s\nwant    %s", got, tc.verdict)
				}
			})
		}
	}
}

// verdict lets a program run in a new container to its end, and returns what is said of it.
func (a *aside) verdict(t *testing.T, args []string) string {
	t.Helper()
	a.n++
	name := "case" + string(rune('a'+a.n/26)) + string(rune('a'+a.n%26))
	cgroup := filepath.Join(a.root, name)
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	// It enters with its descriptors as they are to be, as what a runtime starts does.
	enter := append([]string{"-c", `echo $$ >"$0" && exec "$@"`, cgroup + "/cgroup.procs"}, args...)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", enter...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = cmd.CombinedOutput() // it ends badly
	}()
	select {
	case <-done:
	case <-time.After(3 * time.Minute):
		t.Fatalf("%v does not end", cmd)
	}
	rec := recordingOf(t, a.Recorder, name, "the end of "+name, func(rec *api.Recording) bool {
		return rec.Exit != nil && rec.Tasks.Live == 0
	})
	var raw bytes.Buffer
	if err := a.Dump(t.Context(), rec.ID, replay.Query{}, &raw); err != nil {
		t.Fatal(err)
	}
	in, err := dump.NewReader(&raw)
	if err != nil {
		t.Fatal(err)
	}
	r, err := postmortem.Build(in, postmortem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Verdict
}
