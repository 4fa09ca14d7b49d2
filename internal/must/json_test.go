package must

import (
	"strings"
	"testing"
)

// What is the same, and what is not, so that a comparison that finds nothing means something.
func TestSameAsJSON(t *testing.T) {
	const (
		openat  = `{"syscall":"openat","args":[{"name":"dirfd","raw":4294967196,"value":"AT_FDCWD"},{"name":"path","raw":4096,"value":"/a\n"},{"name":"flags","raw":577,"value":["O_WRONLY","O_CREAT","O_TRUNC"]},{"name":"mode","raw":420,"value":420}],"ret":3}`
		fstat   = `{"syscall":"fstat","args":[{"name":"fd","raw":3,"value":3},{"name":"buf","raw":1,"value":{"st_dev":{"major":8,"minor":1},"st_mode":["S_IFREG","0644"],"st_size":5}}],"ret":0}`
		connect = `{"syscall":"accept","args":[{"name":"fd","raw":3,"value":3},{"name":"addr","raw":1,"value":{"sa_family":"AF_INET","sin_port":80,"sin_addr":"127.0.0.1"}},{"name":"len","raw":2,"value":{"in":128,"out":16}}],"ret":-1,"errno":11,"error":"EAGAIN"}`
		mask    = `{"syscall":"rt_sigprocmask","args":[{"name":"how","raw":0,"value":"SIG_BLOCK"},{"name":"set","raw":1,"value":["SIGINT","SIGRTMIN"]},{"name":"old","raw":0},{"name":"size","raw":8}],"ret":0}`
		wait    = `{"syscall":"wait4","args":[{"name":"pid","raw":1,"value":-1},{"name":"status","raw":1,"value":{"killed":"SIGSEGV","coreDumped":true}}],"ret":7}`
	)
	for _, c := range []struct{ text, json string }{
		{`openat(AT_FDCWD, "/a\n", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 3`, openat},
		{`fstat(3, {st_dev=makedev(0x8, 0x1), st_mode=S_IFREG|0644, st_size=5}) = 0`, fstat},
		{`fstat(3, {st_mode=S_IFREG|0644, st_size=5, ...}) = 0`, fstat},
		{`accept(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = -1 EAGAIN (Resource temporarily unavailable)`, connect},
		{`rt_sigprocmask(SIG_BLOCK, [INT RTMIN], NULL, 8) = 0`, mask},
		{`wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}]) = 7`, wait},
	} {
		if err := SameAsJSON(c.text, []byte(c.json)); err != nil {
			t.Error(err)
		}
		for _, change := range []struct{ from, to string }{
			{"O_CREAT|", ""}, {"0644", "0645"}, {"= 3", "= 4"}, {"/a", "/b"}, {"st_size=5", "st_size=6"}, {"S_IFREG", "S_IFDIR"}, {"0x8", "0x9"},
			{"80", "81"}, {"127", "128"}, {"=> 16", "=> 17"}, {"EAGAIN", "EINTR"}, {"INT", "HUP"}, {" RTMIN", ""}, {"NULL, 8", "0x1, 8"}, {"SIGSEGV", "SIGBUS"},
			{"AT_FDCWD", "3"}, {", 8) ", ") "}, {" = 7", " = 7 (extra)"},
		} {
			text := strings.Replace(c.text, change.from, change.to, 1)
			if text != c.text && SameAsJSON(text, []byte(c.json)) == nil {
				t.Errorf("the same as %s:\n%s", text, c.json)
			}
		}
	}
}
