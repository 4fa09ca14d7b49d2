package replay

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/recorderd/recorderd/internal/must"
	"github.com/recorderd/recorderd/recorder/dump"
)

// sameSink holds each call's line of JSON against its text.
type sameSink struct {
	t     *testing.T
	json  *jsonSink
	text  formatter
	calls int
	wrong int
}

func (s *sameSink) event(ev *Event) error {
	if ev.Kind != KindCall && ev.Kind != KindExec || ev.NoArgs {
		return nil
	}
	s.json.buf = s.json.buf[:0]
	if err := s.json.event(ev); err != nil {
		return err
	}
	line := string(s.text.call(nil, ev, 0))
	if err := must.SameAsJSON(line, s.json.buf); err != nil {
		if s.wrong++; s.wrong <= 20 {
			s.t.Error(err)
		}
	}
	s.calls++
	return nil
}

func (s *sameSink) mark(bool) error           { return nil }
func (s *sameSink) again(*dump.Header) error  { return nil }
func (s *sameSink) damage(*dump.Damage) error { return nil }
func (s *sameSink) end(*Stats, error) error   { return nil }

// sameAsText walks a dump and compares all calls, and returns how many there were.
func sameAsText(t *testing.T, in []byte) int {
	t.Helper()
	r, err := dump.NewReader(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	s := &sameSink{t: t}
	_, err = walk(r, &Query{}, time.UTC, func(h *dump.Header) (sink, error) {
		s.text = newFormatter(h)
		s.text.opt.Verbose = true
		s.json, err = newJSON(&lines{w: discard{}}, h, &Options{})
		return s, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.wrong > 0 {
		t.Errorf("%d of %d calls are not the same in JSON", s.wrong, s.calls)
	}
	return s.calls
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// Real recordings, among them those of all programs of recorder/testdata/must (must.rec.gz, made
// by TestMustShow) and of some that are hard on a decoder: what JSON says of a call is what text says.
func TestJSONSameAsText(t *testing.T) {
	files, err := filepath.Glob("testdata/*.rec*")
	more, err2 := filepath.Glob("../postmortem/testdata/*.rec.gz")
	if files = append(files, more...); err != nil || err2 != nil || len(files) < 20 {
		t.Fatalf("%d recordings, %v, %v", len(files), err, err2)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if n := sameAsText(t, recording(t, name)); n == 0 {
				t.Error("there are no calls in it")
			}
		})
	}
}

func recording(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil && filepath.Ext(name) == ".gz" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}
