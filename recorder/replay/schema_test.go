package replay

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/recorderd/recorderd/recorder/dump"
)

const schemaFile = "../../docs/dump.schema.json"

var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(schemaFile)
})

// checkSchema holds every line of JSON against docs/dump.schema.json.
func checkSchema(t *testing.T, text []byte) {
	t.Helper()
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if err := s.Validate(v); err != nil {
			t.Fatalf("%s\n%v", line, err)
		}
	}
}

func TestSchema(t *testing.T) {
	for _, in := range [][]byte{story(t), fdStory(t)} {
		for _, q := range []string{
			"format=json", "format=json&decode-fds", "format=json&host-pids&last=3", "format=json&e=none",
			"format=json&summary=call", "format=json&summary=thread",
		} {
			checkSchema(t, []byte(show(t, in, Options{Query: query(t, q)})))
		}
	}
	var out bytes.Buffer
	if _, err := run(&out, story(t)[:900], Options{Query: Query{Format: FormatJSON}}); err == nil {
		t.Error("no error")
	}
	checkSchema(t, out.Bytes())
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`{}`, `[]`, `{"type":"call"}`, `{"type":"end","events":-1,"records":{}}`,
		`{"type":"exit","time":"2026-11-22T12:00:00Z","monotonicNs":1,"hostTid":1,"code":1,"new":true}`,
		`{"type":"exit","time":"noon","monotonicNs":1,"hostTid":1,"code":1}`,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("%s is valid", line)
		}
	}
}

// TestSchemaHasAllFields catches a field of Line that nobody described.
func TestSchemaHasAllFields(t *testing.T) {
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]bool)
	var collect func(s *jsonschema.Schema)
	collect = func(s *jsonschema.Schema) {
		if s == nil {
			return
		}
		for name := range s.Properties {
			described[name] = true
		}
		collect(s.Ref)
		for _, one := range s.OneOf {
			collect(one)
		}
	}
	collect(s)
	for _, typ := range []reflect.Type{reflect.TypeFor[Line](), reflect.TypeFor[EndLine](), reflect.TypeFor[dump.Damage](), reflect.TypeFor[Summary]()} {
		for i := range typ.NumField() {
			if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); !described[name] {
				t.Errorf("%s.%s is not described in %s", typ, name, schemaFile)
			}
		}
	}
}

// TestReal shows a recording of a shell, made by recorderd (testdata/real.rec), in all formats.
func TestReal(t *testing.T) {
	in, err := os.ReadFile("testdata/real.rec")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(io.Discard, in, Options{}); errors.Is(err, dump.ErrForeign) || errors.Is(err, dump.ErrNewer) {
		t.Fatalf("records have another layout now, record it anew: %v", err)
	}
	checkSchema(t, []byte(show(t, in, Options{Query: query(t, "format=json&decode-fds")})))
	checkSchema(t, []byte(show(t, in, Options{Query: query(t, "format=json&summary=thread")})))
	checkNesting(t, checkChrome(t, []byte(show(t, in, Options{Query: query(t, "format=chrome&decode-fds")}))))
	text := show(t, in, Options{Query: query(t, "format=strace&decode-fds&time=none&durations=false")})
	for _, want := range []string{
		`openat(AT_FDCWD</etc>, "hostname", O_RDONLY) = 3</etc/hostname>`, // by cat, in the shell's directory
		`read(3</etc/hostname>, `,
		`dup2(3</etc/passwd>, 5)           = 5</etc/passwd>`,
		`read(0</etc/passwd>, `,
		`write(2</dev/null>, "\n", 1)`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
