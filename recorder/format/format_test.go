package format

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
)

// fill gives everything below v a value of its own that is not zero.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 12, 0, *n, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("value"))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), n)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		t.Fatalf("no value for a %v", v.Type())
	}
}

// Nothing that the API says of a recording is missing in files, and nothing changes on the way.
func TestNothingIsLostOnTheWayToAFile(t *testing.T) {
	var r api.Recording
	n := 0
	fill(t, reflect.ValueOf(&r).Elem(), &n)
	r.Activity = nil // of the moment, and only in lists
	f := Of(&r)
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var back Recording
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back.API()); diff != "" {
		t.Errorf("-api +file:\n%s", diff)
	}
	// Version 1 files have the names that the API had then.
	was, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var a, c any
	if json.Unmarshal(was, &a) != nil || json.Unmarshal(b, &c) != nil {
		t.Fatal("not JSON")
	}
	if diff := cmp.Diff(a, c); diff != "" {
		t.Errorf("names in files differ from those of version 1:\n%s", diff)
	}
}
