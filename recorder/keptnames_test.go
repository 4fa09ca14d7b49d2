package recorder

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/recorder/format"
	"github.com/recorderd/recorderd/recorder/kubernetes"
)

var updateNames = flag.Bool("update-names", false, "write the golden file of the present version")

// A file of each version is read to the last name, as the version before this one has read it.
func TestNamesOfEachVersion(t *testing.T) {
	files, err := filepath.Glob("testdata/names/version-*.json")
	if err != nil || len(files) != format.NamesVersion+1 && !*updateNames {
		t.Fatalf("%d files, %v: want one of each version", len(files), err)
	}
	b, err := os.ReadFile("testdata/names/version-0.json")
	if err != nil {
		t.Fatal(err)
	}
	var first struct { // the types of version 0 were these
		Runtime *format.RuntimeNames
		Pod     *kubernetes.Info
		Around  *kubernetes.Info
	}
	if err := json.Unmarshal(b, &first); err != nil {
		t.Fatal(err)
	}
	if *updateNames {
		b, err := json.Marshal(format.Names{Version: format.NamesVersion, Runtime: first.Runtime, Pod: podNames(first.Pod), Around: podNames(first.Around)})
		if err == nil {
			err = os.WriteFile("testdata/names/version-1.json", b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, err := format.ParseNames(b)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if diff := cmp.Diff(first.Runtime, n.Runtime); diff != "" {
			t.Errorf("%s, runtime:\n%s", file, diff)
		}
		if diff := cmp.Diff(first.Pod, podInfo(n.Pod)); diff != "" {
			t.Errorf("%s, pod:\n%s", file, diff)
		}
		if diff := cmp.Diff(first.Around, podInfo(n.Around)); diff != "" {
			t.Errorf("%s, pod around it:\n%s", file, diff)
		}
	}
	if _, err := format.ParseNames([]byte(`{"version":99}`)); err == nil || !strings.Contains(err.Error(), "version 99 is not known") {
		t.Errorf("a later version: %v", err)
	}
}

// No name is lost on the way to a file and back.
func TestNothingIsLostOfNames(t *testing.T) {
	var pod kubernetes.Info
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		n++
		switch {
		case v.Type() == reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(time.Date(2026, 11, 27, 12, 0, n, 0, time.UTC)))
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case v.Kind() == reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case v.Kind() == reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"key": "value"}))
		case v.Kind() == reflect.String:
			v.SetString("text")
		case v.Kind() == reflect.Bool:
			v.SetBool(true)
		case v.CanInt():
			v.SetInt(int64(n))
		default:
			t.Fatalf("no value for a %v", v.Type())
		}
	}
	fill(reflect.ValueOf(&pod).Elem())
	b, err := json.Marshal(format.Names{Pod: podNames(&pod)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := format.ParseNames(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&pod, podInfo(back.Pod)); diff != "" {
		t.Errorf("-was +is:\n%s", diff)
	}
}
