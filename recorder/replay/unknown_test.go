package replay

import (
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// fromTheFuture is a dump with a call, and a record of a type that does not exist yet.
func fromTheFuture(t testing.TB) []byte {
	t.Helper()
	b := newBuilder(t, testHeader())
	b.task(1000, 1000, 1, 1, 0, 0, "sh", "sh")
	b.call(1000, "getpid", 1_000_000, 1, 1)
	b.add(&record.Record{Type: 13, Time: at(1_000_100), Tid: 1000, Ret: 7})
	b.call(1000, "getuid", 1_000_200, 1, 0)
	return b.done()
}

// A newer recorderd's records are neither dropped without a word nor taken for damage.
func TestUnknownRecordType(t *testing.T) {
	in := fromTheFuture(t)
	for _, c := range []struct{ query, line, end string }{
		{"format=text", "a record of type 13, which this version does not know", "1 records are of types that this version does not know"},
		{"format=text&failed", "a record of type 13", "1 records are of types"},
		{"format=json", `"type":"unknown"`, `"unknown":1`},
		{"format=json", `"recordType":13,"record":"`, `"type":"end"`},
		{"format=strace", "a record of type 13, which this version does not know", ""},
		{"format=chrome", "a record of type 13, which this version does not know", ""},
	} {
		got := show(t, in, Options{Query: query(t, c.query)})
		if !strings.Contains(got, c.line) || !strings.Contains(got, c.end) {
			t.Errorf("%s: want %q and %q in\n%s", c.query, c.line, c.end, got)
		}
		switch {
		case strings.Contains(c.query, "json"):
			checkSchema(t, []byte(got))
		case strings.Contains(c.query, "chrome"):
			checkChrome(t, []byte(got))
		}
		if strings.Contains(got, "made no sense") {
			t.Errorf("%s: it is taken for damage:\n%s", c.query, got)
		}
	}
	// A copy that is narrowed down keeps it, for a reader that knows it.
	raw := show(t, in, Options{Query: query(t, "format=raw&e=getpid")})
	got := show(t, []byte(raw), Options{Query: query(t, "format=json")})
	if !strings.Contains(got, `"recordType":13`) || !strings.Contains(got, `"getpid"`) || strings.Contains(got, `"getuid"`) {
		t.Errorf("the narrowed copy:\n%s", got)
	}
}

// Every record type has its place: kindOf and the table agree.
func TestRecordTypesAreComplete(t *testing.T) {
	for typ, info := range layout.RecordTypes {
		known := layout.RecType(typ).Known()
		if kind := kindOf(layout.RecType(typ)); (kind != KindUnknown) != (info.Event != "") {
			t.Errorf("record type %d %q: event %q, kind %v", typ, info.Name, info.Event, kind)
		} else if info.Event != "" && kind.String() != info.Event {
			t.Errorf("record type %d %q: event %q, kind %v", typ, info.Name, info.Event, kind)
		}
		if known && info.Event != "" && info.Filter == layout.FilterNone {
			t.Errorf("record type %d %q makes an event, and a filtered copy drops it", typ, info.Name)
		}
	}
}
