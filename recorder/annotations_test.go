package recorder

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/policy"
)

// What annotations ask for is less than the daemon's rules say, but for contents,
// which are the pod's own; the pod's come over its namespace's; wrong ones change
// nothing and are told once.
func TestAnnotations(t *testing.T) {
	var log bytes.Buffer
	r := &Recorder{native: nativeArch(), log: slog.New(slog.NewTextHandler(&log, nil))}
	yes, none, some := true, size.Bytes(0), size.Bytes(512)
	base := policy.Settings{NoArgs: &yes, CaptureData: &none, CaptureStdio: &some, Mute: []string{"futex"}, Blank: []string{"passwords"}}
	rec := &recording{}
	if got := r.annotated(rec, base); !got.Equal(base) {
		t.Errorf("a container without a pod: %+v", got)
	}
	rec.pod.known = true
	rec.pod.info.NamespaceAnnotations = map[string]string{policy.AnnotationPrefix + "keep": "1h", policy.AnnotationPrefix + "capture-data": "64"}
	rec.pod.info.Annotations = map[string]string{
		policy.AnnotationPrefix + "capture-data": "1KiB", policy.AnnotationPrefix + "mute": "read", policy.AnnotationPrefix + "no-args": "false",
		policy.AnnotationPrefix + "off": "true",
	}
	got := r.annotated(rec, base)
	if *got.CaptureData != 1024 || *got.CaptureStdio != 512 || !*got.NoArgs || !*got.Off || *got.Keep != time.Hour {
		t.Errorf("data %v, stdio %v, no-args %v, off %v, keep %v", *got.CaptureData, *got.CaptureStdio, *got.NoArgs, *got.Off, *got.Keep)
	}
	if len(got.Mute) != 2 || len(got.Blank) != 1 {
		t.Errorf("muted %v, blanked %v; want both calls, and what the rules blank", got.Mute, got.Blank)
	}
	rec.pod.info.Annotations[policy.AnnotationPrefix+"mute"] = "no_such_call"
	for range 3 {
		if got := r.annotated(rec, base); is(got.Off) || *got.CaptureData != 64 {
			t.Errorf("with one that is wrong: off %v, data %v; want the namespace's alone", is(got.Off), *got.CaptureData)
		}
	}
	if n := strings.Count(log.String(), "not carried out"); n != 1 || !strings.Contains(log.String(), "no_such_call") {
		t.Errorf("what is wrong was told %d times, want once:\n%s", n, log.String())
	}
}

// An operator can forbid that a pod hides itself. What else its annotations ask for holds,
// and the log names the annotation once.
func TestForbiddenAnnotations(t *testing.T) {
	var log bytes.Buffer
	none, some := size.Bytes(0), size.Bytes(512)
	base := policy.Settings{CaptureData: &none, CaptureStdio: &some}
	r := &Recorder{native: nativeArch(), log: slog.New(slog.NewTextHandler(&log, nil))}
	r.policy.Forbidden = []string{"off", "mute"}
	rec := &recording{}
	rec.pod.known = true
	rec.pod.info.NamespaceAnnotations = map[string]string{policy.AnnotationPrefix + "mute": "/./"}
	rec.pod.info.Annotations = map[string]string{policy.AnnotationPrefix + "off": "true", policy.AnnotationPrefix + "no-args": "true"}
	for range 3 {
		got := r.annotated(rec, base)
		if is(got.Off) || len(got.Mute) != 0 || !is(got.NoArgs) {
			t.Errorf("off %v, mute %v, no-args %v; want no-args alone", is(got.Off), got.Mute, is(got.NoArgs))
		}
	}
	if n := strings.Count(log.String(), "not carried out"); n != 1 || !strings.Contains(log.String(), policy.AnnotationPrefix+"off") {
		t.Errorf("it was told %d times, want once:\n%s", n, log.String())
	}
	yes := true
	if got := r.annotated(rec, policy.Settings{Off: &yes}); !is(got.Off) {
		t.Error("a rule's off does not hold")
	}
}
