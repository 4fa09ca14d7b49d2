package recorder

import (
	"regexp"
	"slices"
	"testing"

	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/replay"
)

// TestCaptureDNS keeps messages to and from port 53, by whatever call and however the socket
// is addressed, and nothing else: a file that gets the number of such a socket is a file.
func TestCaptureDNS(t *testing.T) {
	yes, no := true, false
	for _, tc := range []struct {
		name string
		dns  *bool
		want []string
	}{
		{"on", &yes, []string{"sendto", "sendmsg", "send", "write", "sendmmsg", "recvfrom", "read", "recvmsg"}},
		{"off", &no, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAside(t, "names.c", Config{Policy: policy.Policy{Base: policy.Settings{CaptureDNS: tc.dns}}})
			rec, _ := a.run(t, t.TempDir())
			var got []string
			shown := text(t, a.Recorder, rec.ID, replay.Query{})
			for _, m := range regexp.MustCompile(`"(names|elsewhere)-(\w+)-end`).FindAllStringSubmatch(shown, -1) {
				if what := m[2]; m[1] == "names" {
					got = append(got, what)
				} else {
					t.Errorf("what went elsewhere by %s is there", what)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v in\n%s", got, tc.want, shown)
			}
		})
	}
}
