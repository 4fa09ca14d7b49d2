package postmortem

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/recorderd/recorderd/internal/columns"
)

func TestFitCall(t *testing.T) {
	const enoent = " = -1 ENOENT (No such file or directory)"
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{`getppid() = 1`, 80, `getppid() = 1`},
		{`openat(AT_FDCWD, "/etc/cart.conf", O_RDONLY) = 3`, 80, `openat("/etc/cart.conf", O_RDONLY) = 3`},
		{`openat(AT_FDCWD</srv>, "/etc/cart.conf", O_RDONLY) = 3</etc/cart.conf>`, 80, `openat("/etc/cart.conf", O_RDONLY) = 3</etc/cart.conf>`},
		{`openat(AT_FDCWD</srv>, "cart.conf", O_RDONLY) = 3`, 80, `openat(AT_FDCWD</srv>, "cart.conf", O_RDONLY) = 3`},
		{`openat(AT_FDCWD, "/etc/cart/cart.conf", O_RDONLY|O_CLOEXEC)` + enoent, 60, `openat("/etc/cart/cart.conf", …) = -1 ENOENT`},
		{`openat(AT_FDCWD, "/usr/lib/python3/dist-packages/shop/settings/production.py", O_RDONLY|O_CLOEXEC)` + enoent, 60, `openat("/usr/lib/python3/…/production.py", …) = -1 ENOENT`},
		{`rename("/srv/data/warehouse/index.tmp", "/srv/data/warehouse/index.db")` + enoent, 50, ``},
		{`connect(3<TCP:[10.0.0.1:4711->10.0.0.7:5432]>, {sa_family=AF_INET, sin_port=htons(5432), sin_addr=inet_addr("10.0.0.7")}, 16) = -1 ECONNREFUSED (Connection refused)`, 90,
			`connect(3<TCP:[10.0.0.1:4711->10.0.0.7:5432]>, {10.0.0.7:5432}, 16) = -1 ECONNREFUSED`},
		{`connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "fd00::7", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH (Network is unreachable)`, 60,
			`connect(3, {[fd00::7]:80}, 28) = -1 ENETUNREACH`},
		{`connect(3, {sa_family=AF_UNIX, sun_path="/run/stock/stock.sock"}, 24)` + enoent, 60, `connect(3, {"/run/stock/stock.sock"}, 24) = -1 ENOENT`},
		{`write(2, "a long line of a log that says what went wrong, and why", 55) = 55`, 50, `write(2, "a long line of a log that sa…", 55) = 55`},
		{`fcntl(3</tmp/a(b,">, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=0}) = -1 EAGAIN (Resource temporarily unavailable)`, 50, ``},
		{`mmap(NULL, 1<<30, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM (Cannot allocate memory)`, 40, `mmap(NULL, 1<<30, …, -1, 0) = -1 ENOMEM`},
		{`read(3<UNIX-STREAM:[->"/srv/stock.sock"]>)`, 30, ``},
		{`--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x8} ---`, 40, ``},
	} {
		got := fitCall(c.text, c.width)
		if c.want != "" && got != c.want {
			t.Errorf("%s in %d columns:\n got %s\nwant %s", c.text, c.width, got, c.want)
		}
		if n := columns.Width(got); n > c.width {
			t.Errorf("%s takes %d columns of %d", got, n, c.width)
		}
	}
}

// TestFitWide has characters of two columns, and of none.
func TestFitWide(t *testing.T) {
	for _, s := range []string{strings.Repeat("日本", 40), strings.Repeat("e\u0301", 80), strings.Repeat("a", 79) + "界", "/" + strings.Repeat("目録/", 30) + "設定.conf"} {
		for _, f := range []func(string, int) string{columns.Cut, fitMiddle, fitPath, fitCall} {
			for _, width := range []int{20, 41, 80} {
				if got := f(s, width); columns.Width(got) > width || !utf8.ValidString(got) {
					t.Errorf("%q takes %d columns of %d", got, columns.Width(got), width)
				}
			}
		}
	}
	if got := fitPath("/"+strings.Repeat("目録/", 30)+"設定.conf", 40); !strings.HasSuffix(got, "/設定.conf") {
		t.Errorf("%s: the last part is lost", got)
	}
}

func FuzzFitCall(f *testing.F) {
	f.Add(`openat(AT_FDCWD, "/etc/cart.conf", O_RDONLY) = -1 ENOENT (No such file or directory)`, 30)
	f.Add(`a(<<<>,,"\`, 20)
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = 20 + int(uint(width)%200)
		if !utf8.ValidString(text) {
			return
		}
		if got := fitCall(text, width); columns.Width(got) > width {
			t.Errorf("%q takes %d columns of %d", got, columns.Width(got), width)
		}
	})
}
