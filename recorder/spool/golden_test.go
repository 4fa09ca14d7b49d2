package spool

import (
	"encoding/json"
	"io"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
)

// A file of every version is read whole, with all that its description says. The files are never
// written anew: they are what is on people's disks.
func TestReadsEveryVersion(t *testing.T) {
	f, err := os.Open("testdata/v1.recspool")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, whole, err := ReadMeta(f, info.Size())
	if err != nil || !whole {
		t.Fatalf("whole: %v, %v", whole, err)
	}
	want := Meta{
		Reason: Reason{Kind: KindExit, Text: "its first process exited with 1"}, Saved: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		BootID: "boot-1", Key: "pod/shop/web", Crash: &Crash{Number: 3, Since: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC), Role: RoleEarly},
		Node: m.Node, Kernel: m.Kernel, Version: m.Version, Recording: m.Recording,
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	pod := &api.Pod{
		Namespace: "shop", Name: "web-0", UID: "u-1", Labels: map[string]string{"app": "web"}, Owner: &api.Owner{Kind: "StatefulSet", Name: "web"},
	}
	if diff := cmp.Diff(pod, m.Recording.Pod); diff != "" {
		t.Errorf("pod: -want +got:\n%s", diff)
	}
	if m.Recording.ID == "" || m.Recording.Exit == nil || m.Recording.Exit.Code == 0 || len(m.Recording.Container.Command) == 0 || m.Recording.Coverage.Written == 0 || m.Node == "" || m.Kernel == "" {
		t.Errorf("the recording: %+v", m.Recording)
	}
	r, err := NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r.Dump())
	if err != nil || n == 0 || len(r.Damage()) != 0 {
		t.Errorf("%d bytes, damage %v, %v", n, r.Damage(), err)
	}
}

// All that a description says is in the file, whoever adds to it.
func TestDescriptionIsComplete(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m := Meta{
		Recording: api.Recording{ID: "366ed0c84781", Node: "n", Started: at}, Reason: Reason{Kind: KindOOM, Text: "t"},
		Node: "n", Kernel: "k", Version: "v", Saved: at, BootID: "b", Key: "key",
	}
	v := reflect.ValueOf(&m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case !f.IsZero():
		case f.Kind() == reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		default:
			t.Fatalf("give %s a value", v.Type().Field(i).Name)
		}
	}
	b, err := json.Marshal(blockOf(&m, 1))
	if err != nil {
		t.Fatal(err)
	}
	var back metaBlock
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, back.meta()); diff != "" {
		t.Errorf("-said +in the file:\n%s", diff)
	}
}
