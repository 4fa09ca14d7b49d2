package privacy

import (
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// A secret may begin in the beginning of a long write and go on in its end, or begin in between,
// where nobody looked.
func TestSecretsAcrossTheEnd(t *testing.T) {
	key := strings.Repeat("MIIEvQIBADANBgkqhkiG9w0B\n", 3)
	for _, tc := range []struct {
		name, pattern    string
		kind             layout.ItemKind
		gap              bool
		head, tail       string
		wantHead, wanted string
	}{
		{"in two halves", "passwords", layout.ItemData, false, "a password=hun", "ter2 and more", "a password=***", "**** and more"},
		{"in two halves of vectors", "passwords", layout.ItemIovdata, false, "a passw", "ord=hunter2 x", "a passw", "ord=******* x"},
		{"all in the end", "passwords", layout.ItemData, false, "nothing\n", "token=abc", "nothing\n", "token=***"},
		{"own expression", "/(foobar)/", layout.ItemData, false, "xfoo", "barx", "x***", "***x"},
		{"name before the gap", "passwords", layout.ItemData, true, "password=", "hunter2 x\nnext line", "password=", "*********\nnext line"},
		{"begun in the gap", "bearer-tokens", layout.ItemData, true, "GET /", "def.ghi\nHost: x", "GET /", "*******\nHost: x"},
		{"no line ends", "/secret/", layout.ItemData, true, "a", "what may be a secret", "a", "********************"},
		{"behind the first line", "passwords", layout.ItemData, true, "a", "b\npassword: hunter2", "a", "*\npassword: *******"},
		{
			"a key that begins in the gap", "private-keys", layout.ItemData, true, "config:\n", key + "-----END PRIVATE KEY-----\nend",
			"config:\n", strings.Repeat("*", len(key)) + "-----END PRIVATE KEY-----\nend",
		},
		{
			"a key that begins in the head", "private-keys", layout.ItemData, false, "-----BEGIN PRIVATE KEY-----\nMII", "Evx\ny\n-----END PRIVATE KEY-----",
			"-----BEGIN PRIVATE KEY-----****", "******-----END PRIVATE KEY-----",
		},
	} {
		r := compile(t, Policy{Blank: []string{tc.pattern}})
		head := record.Item{Arg: 1, Kind: tc.kind, Flags: layout.ItemCut, Data: []byte(tc.head)}
		tail := record.Item{Arg: 1, Kind: layout.ItemTail, Data: []byte(tc.tail)}
		if tc.gap {
			tail.Flags = layout.ItemCut
		}
		raw := record.Append(nil, &record.Record{Type: layout.RecCall, Nr: 1, Ret: 4000, Items: []record.Item{head, tail}})
		var rec record.Record
		if err := record.Parse(r.Record(raw), &rec); err != nil || len(rec.Items) != 2 {
			t.Fatalf("%s: %+v, %v", tc.name, rec, err)
		}
		if got, end := string(rec.Items[0].Data), string(rec.Items[1].Data); got != tc.wantHead || end != tc.wanted {
			t.Errorf("%s: %q and %q\nwant %q and %q", tc.name, got, end, tc.wantHead, tc.wanted)
		}
	}
	// Without what it is the end of, nothing is known of what is before it.
	r := compile(t, Policy{Blank: []string{"passwords"}})
	if got := blanked(t, r, layout.ItemTail, "hunter2\nx"); got != "*******\nx" {
		t.Errorf("a tail alone: %q", got)
	}
}
