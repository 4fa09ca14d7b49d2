package postmortem

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/recorderd/recorderd/api"
)

const schemaFile = "../../docs/show.schema.json"

var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(schemaFile)
})

func asJSON(t testing.TB, r *Report) []byte {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkSchema holds a report against docs/show.schema.json.
func checkSchema(t testing.TB, text []byte) {
	t.Helper()
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	if err := s.Validate(v); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
}

// TestSchemaHasAllFields catches a field that nobody described: a report in which every
// field says something must be valid.
func TestSchemaHasAllFields(t *testing.T) {
	r := new(Report)
	fill(reflect.ValueOf(r).Elem(), 0)
	r.Type, r.Outcome = "postmortem", Killed
	r.Signs.Items[0].Kind, r.Signs.Items[0].Certainty = "oom", Likely
	r.Peers.Items[0].State = "no answer"
	r.Output.Items[0].Stream, r.Blocked.Items[0].Kind = "stderr", "io"
	text := asJSON(t, r)
	checkSchema(t, text)
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{`"type":"other"`, `"outcome":"fine"`, `"new":1,"verdict":"x"`, `"lacks":1`} {
		name, _, _ := strings.Cut(other, ":")
		var m map[string]json.RawMessage
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		m[strings.Trim(name, `"`)] = json.RawMessage(other[len(name)+1:][:strings.IndexAny(other[len(name)+1:]+",", ",")])
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("with %s it is valid", other)
		}
	}
}

// fill sets every exported field to something.
func fill(v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		return
	case *api.Recording:
		v.Set(reflect.ValueOf(&api.Recording{ID: "x"}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	}
}
