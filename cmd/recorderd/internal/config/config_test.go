package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/policy"
)

func flags() (*pflag.FlagSet, *size.Bytes, *[]string) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	ring := size.Bytes(1 << 20)
	fs.Var(&ring, "ring-size", "")
	watch := fs.StringArray("watch", []string{"/default"}, "")
	fs.Bool("clean", false, "")
	fs.String("config", "", "")
	return fs, &ring, watch
}

func TestApply(t *testing.T) {
	f, err := Parse("f.yaml", []byte("ring-size: 64KiB\nwatch:\n  - /a, b\n  - /c\nclean: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	fs, ring, watch := flags()
	if err := f.Apply(fs, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/a, b", "/c"}, *watch); d != "" || *ring != 64<<10 || fs.Lookup("clean").Value.String() != "true" {
		t.Errorf("%s, ring %s", d, ring)
	}
	// Flags win.
	fs, ring, watch = flags()
	if err := f.Apply(fs, func(name string) bool { return name != "clean" }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/default"}, *watch); d != "" || *ring != 1<<20 {
		t.Errorf("%s, ring %s", d, ring)
	}
}

func TestRules(t *testing.T) {
	f, err := Parse("f.yaml", []byte(`
rules:
- match: {namespace: shop, labels: "a=b,!c"}
  mute: [futex, "%clock"]
  no-args: true
- match: {}
  blank: passwords, /x/
`))
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	want := []policy.Rule{
		{Match: policy.Match{Namespace: "shop", Labels: "a=b,!c"}, Settings: policy.Settings{Mute: []string{"futex", "%clock"}, NoArgs: &yes}},
		{Settings: policy.Settings{Blank: []string{"passwords", "/x/"}}},
	}
	if d := cmp.Diff(want, f.Rules); d != "" {
		t.Error(d)
	}
}

// What is wrong is told with its line.
func TestWhichLine(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"a: [1\nb: 2\n", "f.yaml:"},
		{"a: b\n\tring-size: 1\n", "f.yaml:2: found a tab character"},
		{"- a\n", "f.yaml:1: the file: want names and values"},
		{"clean: true\nring-size: 1\nclean: false\n", "f.yaml:3: clean: it was said before, in line 1"},
		{"\nrules:\n- match: {}\n  mute: futx\n", `f.yaml:4: mute: "futx": no system call is called "futx"; the nearest is "futex"`},
		{"rules:\n- match: {}\n  colour: red\n", "f.yaml:3: colour: there is no such setting: there are off, mute"},
		{"rules:\n- match:\n    node: x\n", "f.yaml:3: match node: there is no such condition"},
		{"rules:\n- match: {labels: 'a in'}\n", "f.yaml:2: match labels: label selector"},
		{"rules:\n- off: true\n", "f.yaml:2: a rule says with match"},
		{"rules:\n  match: {}\n", "f.yaml:2: rules: want a list"},
		{"rules:\n- match: {}\n  off: [true, false]\n", "f.yaml:3: off: want one value"},
		{"rules:\n- match: {}\n  keep: [{}]\n", "f.yaml:3: want a value here"},
		{"ring-size: {a: b}\n", "f.yaml:1: want a value, or a list"},
		{"a: b\n---\nc: d\n", "more behind the first document"},
	} {
		if _, err := Parse("f.yaml", []byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.text, err, tc.want)
		}
	}
	for _, tc := range []struct{ text, want string }{
		{"\nring-sise: 1\n", "f.yaml:2: ring-sise: there is no such key: there are clean, ring-size, rules, watch"},
		{"ring-size: much\n", "f.yaml:1: ring-size: much: want an amount of memory"},
		{"ring-size: [1, 2]\n", "f.yaml:1: ring-size: want one value"},
		{"config: other.yaml\n", "f.yaml:1: config: one configuration file"},
	} {
		f, err := Parse("f.yaml", []byte(tc.text))
		if err != nil {
			t.Fatal(err)
		}
		fs, _, _ := flags()
		for _, given := range []bool{false, true} {
			if err := f.Apply(fs, func(string) bool { return given }); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q: %v, want %q", tc.text, err, tc.want)
			}
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "rules:\n", "null\n"} {
		if f, err := Parse("f.yaml", []byte(text)); err != nil || len(f.Rules) != 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("ring-size: 64KiB\nrules:\n- match: {pod: 'a*'}\n  mute: [futex]\n"))
	f.Add([]byte("a: &x [1, *x]\n"))
	f.Add([]byte("rules: &r\n- match: *r\n  <<: {off: true}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse("f", b)
		if err != nil {
			return
		}
		fs, _, _ := flags()
		_ = file.Apply(fs, func(string) bool { return false })
	})
}
