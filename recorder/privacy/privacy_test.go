package privacy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

func compile(t testing.TB, p Policy) *Rules {
	t.Helper()
	r, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// blanked is what one piece of captured data becomes.
func blanked(t *testing.T, r *Rules, kind layout.ItemKind, data string) string {
	t.Helper()
	raw := record.Append(nil, &record.Record{Type: layout.RecCall, Nr: 1, Ret: 7, Dur: 1 << 40, Items: []record.Item{{Arg: 1, Kind: kind, Data: []byte(data)}}})
	n := len(raw)
	raw = r.Record(raw)
	var rec record.Record
	if err := record.Parse(raw, &rec); err != nil || len(raw) != n || rec.Ret != 7 || rec.Dur != 1<<40 || len(rec.Items) != 1 || len(rec.Items[0].Data) != len(data) {
		t.Fatalf("%q became %+v, %v", data, rec, err)
	}
	return string(rec.Items[0].Data)
}

func TestNamedPatterns(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"passwords", "user=bob&password=hunter2&x=1", "user=bob&password=*******&x=1"},
		{"passwords", `{"db_password": "a b c", "port": 1}`, `{"db_password": "*****", "port": 1}`},
		{"passwords", "PASSWD: geheim\nnext", "PASSWD: ******\nnext"},
		{"passwords", "export API_KEY='abc def'", "export API_KEY='*******'"},
		{"passwords", "postgres://bob:s3cret@db:5432/x", "postgres://bob:******@db:5432/x"},
		{"passwords", "MYSQL_PWD=x", "MYSQL_PWD=*"},
		{"passwords", "cwd=/root, words: many", "cwd=/root, words: many"},
		{"passwords", "http://host:8080/path", "http://host:8080/path"},
		// What looks like a name of a secret may be the value of the one before it, and its
		// value behind it.
		{"passwords", "your secret password: hunter2 ok", "your secret ***************** ok"},
		{"passwords", "token secret='a b'", "token ***********'"},
		{"passwords", "x --use-token-file --db-password hunter2 -v", "x --use-token-file ********************* -v"},
		{"passwords", "password=secret foo", "password=**********"},
		{"passwords", "password=secret", "password=******"},
		{"passwords", "password: token-ring", "password: **********"},
		{"passwords", `{"m":"{\"password\":\"hunter2\"}"}`, `{"m":"{\"password\":\"********"}"}`},
		{"passwords", `"password"=>"hunter2", b`, `"password"=>"*******", b`},
		{"passwords", `secret == hunter2`, `secret == *******`},
		{"bearer-tokens", "Authorization: Bearer abc.def\r\nHost: x\r\n", "Authorization: Bearer *******\r\nHost: x\r\n"},
		{"bearer-tokens", "authorization: Basic dXNlcjpwYXNz", "authorization: Basic ************"},
		{"bearer-tokens", "GET /\r\nCookie: sid=1; b=2\r\n\r\n", "GET /\r\nCookie: **********\r\n\r\n"},
		{"bearer-tokens", "t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig_x!", "t=****************************************" + "**!"},
		{"bearer-tokens", "the bearer of news", "the bearer of news"},
		{"aws-keys", "id AKIAIOSFODNN7EXAMPLE.", "id ********************."},
		{"aws-keys", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = ****************************************"},
		{"aws-keys", "AKIA is a prefix", "AKIA is a prefix"},
		{"private-keys", "x-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n", "x-----BEGIN RSA PRIVATE KEY-----******-----END RSA PRIVATE KEY-----\n"},
		{"private-keys", "-----BEGIN PRIVATE KEY-----\nMIIE cut he", "-----BEGIN PRIVATE KEY-----************"},
		{"private-keys", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----EN", "-----BEGIN PRIVATE KEY-----" + "*************"},
		{"private-keys", "-----BEGIN PRIVATE KEY-----\nA--B\n-----END", "-----BEGIN PRIVATE KEY-----******-----END"},
		{"private-keys", "-----BEGIN PUBLIC KEY-----\nMIIE\n", "-----BEGIN PUBLIC KEY-----\nMIIE\n"},
		{"card-numbers", "card 4111 1111 1111 1111, sum 12", "card *******************, sum 12"},
		{"card-numbers", "card 4111111111111111", "card ****************"},
		{"card-numbers", "amex 378282246310005", "amex ***************"},
		{"card-numbers", "no card: 4111111111111112", "no card: 4111111111111112"},
		{`/id-(\d+)/`, "id-123 id-4", "id-*** id-*"},
		{`/sec.et\/x/`, "a sec.et/x b", "a ******** b"},
	} {
		r := compile(t, Policy{Blank: []string{tc.name}})
		for _, kind := range []layout.ItemKind{layout.ItemData, layout.ItemStr, layout.ItemIovdata, layout.ItemArgv, layout.ItemMem, layout.ItemStrv} {
			if got := blanked(t, r, kind, tc.in); got != tc.want {
				t.Errorf("%s, kind %d: %q became\n%q, want\n%q", tc.name, kind, tc.in, got, tc.want)
			}
		}
		if got := blanked(t, r, layout.ItemMem, tc.in+"\x01"); got != tc.want+"\x01" {
			t.Errorf("%s: a struct became %q", tc.name, got)
		}
	}
}

// What is blanked ends with the string that it is in, but for a flag's value.
func TestCommandLinePatterns(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"passwords", "app\x00--use-token-file\x00--token\x00abc\x00-v", "app\x00--use-token-file\x00*******\x00***\x00-v"},
		{"private-keys", "--key\x00-----BEGIN PRIVATE KEY-----\nMII\x00--port\x0080", "--key\x00-----BEGIN PRIVATE KEY-----****\x00--port\x0080"},
	} {
		if got := blanked(t, compile(t, Policy{Blank: []string{tc.name}}), layout.ItemArgv, tc.in); got != tc.want {
			t.Errorf("%s: %q became\n%q, want\n%q", tc.name, tc.in, got, tc.want)
		}
	}
}

// The strings of one command line are looked at together: a flag and its value.
func TestCommandLine(t *testing.T) {
	argv := []string{"mysql", "--password", "hunter2", "-u", "root", "--token=abc"}
	strv := record.Record{Type: layout.RecEnter, Nr: 59, Items: []record.Item{{Kind: layout.ItemStr, Data: []byte("/bin/mysql")}}}
	for _, a := range argv {
		strv.Items = append(strv.Items, record.Item{Arg: 1, Kind: layout.ItemStrv, Data: []byte(a)})
	}
	strv.Items = append(strv.Items, record.Item{Arg: 2, Kind: layout.ItemCount, Data: []byte{5, 0, 0, 0}})
	exec := record.Record{Type: layout.RecExec, Items: []record.Item{
		{Kind: layout.ItemStr, Data: []byte("/bin/mysql")}, {Arg: 2, Kind: layout.ItemArgv, Data: []byte(strings.Join(argv, "\x00") + "\x00")},
	}}
	rows := record.Append(record.Append(nil, &strv), &exec)
	show := func(rows []byte) (lines []string) {
		for len(rows) > 0 {
			raw, rest, err := record.Next(rows)
			if err != nil {
				t.Fatal(err)
			}
			rows = rest
			var rec record.Record
			if err := record.Parse(raw, &rec); err != nil {
				t.Fatal(err)
			}
			line := ""
			for _, it := range rec.Items {
				line += fmt.Sprintf("%d:%q", it.Arg, it.Data)
				if it.Cut() {
					line += "…"
				}
			}
			lines = append(lines, line)
		}
		return lines
	}
	got := show(compile(t, Policy{Blank: []string{"passwords"}}).Records(bytes.Clone(rows)))
	want := []string{
		`0:"/bin/mysql"1:"mysql"1:"--password"1:"*******"1:"-u"1:"root"1:"--token=***"2:"\x05\x00\x00\x00"`,
		`0:"/bin/mysql"2:"mysql\x00--password\x00*******\x00-u\x00root\x00--token=***\x00"`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = show(compile(t, Policy{NoArgs: true}).Records(bytes.Clone(rows)))
	want = []string{`0:"/bin/mysql"1:"mysql"1:""…2:"\x05\x00\x00\x00"`, `0:"/bin/mysql"2:"mysql\x00"…`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := show((*Rules)(nil).Records(bytes.Clone(rows))); !strings.Contains(got[0], "hunter2") {
		t.Errorf("without rules: %s", got)
	}
}

func TestRecording(t *testing.T) {
	labels := map[string]string{"app": "web", "token": "abc"}
	rec := api.Recording{
		Container: api.Container{Command: []string{"sh", "-c", "x --password=y"}, Labels: labels},
		Pod:       &api.Pod{Name: "p", Labels: labels},
		Inside:    &api.Inside{Container: api.Container{Labels: labels}},
		Verdict:   &api.Verdict{Text: `could not start: execve("x --password=y")`, Words: "password: y"},
	}
	command := rec.Container.Command
	both := rec
	compile(t, Policy{Blank: []string{"passwords"}}).Recording(&both)
	if d := cmp.Diff([]string{"sh", "-c", "x --password=*"}, both.Container.Command); d != "" {
		t.Error(d)
	}
	if both.Container.Labels["token"] != "***" || both.Pod.Labels["token"] != "***" || both.Pod.Labels["app"] != "web" || both.Inside.Container.Labels["token"] != "***" {
		t.Errorf("labels are %v, %v and %v", both.Container.Labels, both.Pod.Labels, both.Inside.Container.Labels)
	}
	if v := both.Verdict; strings.Contains(v.Text, "=y") || strings.Contains(v.Words, " y") || !strings.Contains(rec.Verdict.Text, "=y") {
		t.Errorf("verdict %+v", v)
	}
	if labels["token"] != "abc" || command[2] != "x --password=y" {
		t.Errorf("what others have was changed: %v %v", labels, command)
	}
	none := rec
	compile(t, Policy{NoArgs: true}).Recording(&none)
	if d := cmp.Diff([]string{"sh"}, none.Container.Command); d != "" {
		t.Error(d)
	}
}

func TestRefusedPatterns(t *testing.T) {
	for list, want := range map[string]string{
		"nosuch":       "no pattern is called",
		"/(/":          "missing closing",
		"/a*/":         "fits nothing at all",
		"/a":           "between / and /",
		"//":           "between / and /",
		"":             "no pattern is named",
		"/a/b":         "written \\/",
		"/(?<!a)b/":    "error parsing regexp",
		"passwords, ,": "no pattern is called",
		"/" + strings.Repeat("a", patternMax+1) + "/": "want at most",
	} {
		if _, err := Split(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", list, err, want)
		}
	}
	got, err := Split(`passwords, /a,b\/c/ ,aws-keys`)
	if d := cmp.Diff([]string{"passwords", `/a,b\/c/`, "aws-keys"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// Whatever the bytes, no rules panic, make a record longer or unreadable, or change
// its values; and a match is not there any more.
func FuzzRecord(f *testing.F) {
	f.Add(record.Append(nil, &record.Record{Type: layout.RecEnter, Nr: 59, Items: []record.Item{
		{Arg: 1, Kind: layout.ItemStrv, Data: []byte("a")}, {Arg: 1, Kind: layout.ItemStrv, Data: []byte("--password")}, {Arg: 1, Kind: layout.ItemStrv, Data: []byte("b")},
	}}))
	f.Add(record.Append(nil, &record.Record{Type: layout.RecExec, Dur: 1 << 33, Items: []record.Item{{Arg: 2, Kind: layout.ItemArgv, Data: []byte("sh\x00-c\x00token=abc\x00")}}}))
	f.Add([]byte("not a record of any kind at all"))
	all := Policy{Blank: []string{"/zz+/"}}
	for name := range Names() {
		all.Blank = append(all.Blank, name)
	}
	patterns, both := compile(f, all), compile(f, Policy{NoArgs: true, Blank: all.Blank})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var before, after record.Record
		bad := record.Parse(raw, &before)
		values := fmt.Sprint(before.Type, before.Time, before.Tid, before.Nr, before.Dur, before.Ret, before.Args)
		for _, r := range []*Rules{patterns, both} {
			in := bytes.Clone(raw)
			out := r.Record(in)
			if bad != nil {
				if !bytes.Equal(out, raw) {
					t.Error("what is no record was changed")
				}
				continue
			}
			if err := record.Parse(out, &after); err != nil || len(out) > len(raw) {
				t.Fatalf("%d bytes became %d: %v", len(raw), len(out), err)
			}
			if got := fmt.Sprint(after.Type, after.Time, after.Tid, after.Nr, after.Dur, after.Ret, after.Args); got != values {
				t.Errorf("values %s became %s", values, got)
			}
			for _, it := range after.Items {
				if it.Kind == layout.ItemData && bytes.Contains(it.Data, []byte("zz")) {
					t.Errorf("a match is left in %q", it.Data)
				}
			}
			r.Records(append(bytes.Clone(raw), raw...))
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	var rows []byte
	text := []byte(strings.Repeat("GET /index.html HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n", 6))
	for i := range 1000 {
		rows = record.Append(rows, &record.Record{Type: layout.RecCall, Nr: 39, Ret: 1})
		rows = record.Append(rows, &record.Record{Type: layout.RecCall, Nr: 257, Ret: int64(i), Items: []record.Item{{Arg: 1, Kind: layout.ItemStr, Data: []byte("/usr/share/zoneinfo/Europe/Berlin")}}})
		if i%4 == 0 {
			rows = record.Append(rows, &record.Record{Type: layout.RecCall, Nr: 1, Ret: 512, Items: []record.Item{{Arg: 1, Kind: layout.ItemData, Data: text}}})
		}
	}
	var all []string
	for name := range Names() {
		all = append(all, name)
	}
	for _, bm := range []struct {
		name   string
		policy Policy
	}{
		{"none", Policy{}}, {"no-args", Policy{NoArgs: true}}, {"passwords", Policy{Blank: []string{"passwords"}}},
		{"all named", Policy{Blank: all}}, {"one regexp", Policy{Blank: []string{`/[a-z]+-secret-\d+/`}}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r := compile(b, bm.policy)
			b.SetBytes(int64(len(rows)))
			for b.Loop() {
				r.Records(rows)
			}
		})
	}
}
