package web

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/timeline"
)

// A page has its policy, one script and one style that fit it, and the data as it was given.
func TestPage(t *testing.T) {
	const evil = "</script><script>alert(1)</script>"
	in := &timeline.Timeline{Report: &postmortem.Report{Verdict: evil}, Began: -1, Events: timeline.Events{Text: []string{evil}}}
	var b bytes.Buffer
	if err := WriteReport(&b, in); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if n := strings.Count(page, "alert(1)"); n != 0 {
		t.Errorf("what a container chose stands in the page %d times", n)
	}
	for _, want := range []string{"default-src 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(page, want) {
			t.Errorf("the policy lacks %s", want)
		}
	}
	if strings.Contains(page, "unsafe-inline") || strings.Contains(page, "connect-src") {
		t.Error("the policy allows more than it needs to")
	}
	for tag, text := range map[string]string{"script-src": between(page, `<script type="module">`), "style-src": between(page, "<style>")} {
		if text == "" || !strings.Contains(page, tag+" 'sha256-"+hash([]byte(text))+"'") {
			t.Errorf("the policy does not fit the page's %s", tag)
		}
	}
	if m := regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(https?:)?//`).FindString(page); m != "" {
		t.Errorf("the page asks for %s", m)
	}
	raw, err := base64.StdEncoding.DecodeString(between(page, `id="data">`))
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	var out timeline.Timeline
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(out.Events.Text, in.Events.Text) || out.Report.Verdict != evil {
		t.Errorf("the data is %+v", out)
	}
}

// between is what stands behind a text, up to the next "</".
func between(page, begin string) string {
	_, rest, ok := strings.Cut(page, begin)
	if !ok {
		return ""
	}
	end := "</script>"
	if begin == "<style>" {
		end = "</style>"
	}
	text, _, _ := strings.Cut(rest, end)
	return text
}
