//go:build chromium

package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/internal/testrecording"
	"github.com/recorderd/recorderd/recorder/timeline"
)

var screenshots = flag.String("screenshots", "", "write pictures of five stories into this `DIR`, and test nothing")

func load(t *testing.T, file string) *timeline.Timeline {
	t.Helper()
	tl, _ := timeline.Build(testrecording.Reader(t, testrecording.Raw(t, file)), timeline.Options{}) // some of the recordings are damaged
	return tl
}

func write(t *testing.T, dir, name string, tl *timeline.Timeline) int {
	t.Helper()
	var b bytes.Buffer
	if err := WriteReport(&b, tl); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".html"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

// hostile puts into every string of a timeline what a container may have chosen.
func hostile(t *testing.T, tl *timeline.Timeline) *timeline.Timeline {
	t.Helper()
	const evil = "</script><script>window.pwned=1</script><img src=x onerror=pwned=1>\"'`${pwned=1}\u202egnp.\u2066\x1b[2J javascript:pwned=1 "
	text, err := json.Marshal(tl)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(v any, key string) any
	walk = func(v any, key string) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k], k)
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i], key)
			}
		case string:
			switch key { // these are recorderd's
			case "started", "ended", "at", "end", "time", "taken", "from", "to", "last", "first", "since", "kind", "class", "savedAt":
				return v
			}
			return evil + v
		}
		return v
	}
	v = walk(v, "")
	m := v.(map[string]any)
	events := m["events"].(map[string]any)["text"].([]any)
	events[len(events)-1] = strings.Repeat("A<b>", 10<<20/4) // a line of ten megabytes
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var bad timeline.Timeline
	if err := json.Unmarshal(out, &bad); err != nil {
		t.Fatal(err)
	}
	return &bad
}

// large makes a timeline of so many calls of those that real programs made.
func large(t *testing.T, dir string, calls int) *timeline.Timeline {
	t.Helper()
	all, err := filepath.Glob(dir + "/*.rec.gz")
	if err != nil || len(all) == 0 {
		t.Fatal("no recordings", err)
	}
	big := load(t, filepath.Join(dir, "forks.rec.gz"))
	e := &big.Events
	first := int64(0) // an age that all others are less than
	for i := 0; len(e.Age) < calls; i++ {
		from := load(t, all[i%len(all)])
		base := len(big.Names)
		big.Names = append(big.Names, from.Names...)
		errors := len(big.Errors)
		big.Errors = append(big.Errors, from.Errors...)
		f := &from.Events
		n := min(len(f.Age), calls-len(e.Age))
		for k := range n {
			e.Age = append(e.Age, 0)
			e.Took = append(e.Took, f.Took[k])
			e.Thread = append(e.Thread, (f.Thread[k]+i)%len(big.Threads))
			e.Name = append(e.Name, base+f.Name[k])
			e.State = append(e.State, f.State[k])
			if f.Error[k] > 0 {
				e.Error = append(e.Error, errors+f.Error[k])
			} else {
				e.Error = append(e.Error, 0)
			}
			e.Weight = append(e.Weight, f.Weight[k])
			e.Stream = append(e.Stream, f.Stream[k])
			e.Guard = append(e.Guard, f.Guard[k])
			e.Text = append(e.Text, f.Text[k])
		}
	}
	for i := range e.Age {
		if i > 0 {
			e.Age[i] = 1 + int64(i*7919%200_000) // µs in between, as real ones have
			first += e.Age[i]
		}
	}
	e.Age[0] = first
	big.Began, big.Whole, big.Links = first, first, nil
	return big
}

// TestInChromium opens pages in a browser and uses them.
func TestInChromium(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"abort", "deadlock", "dns", "forks", "traceback", "blocked", "closed"} {
		write(t, dir, name, load(t, filepath.Join(recordings, name+".rec.gz")))
	}
	args := []string{"--test", "--test-reporter=spec", "--test-concurrency=1", "test/page.test.mjs", "test/ui.test.mjs"}
	if *screenshots != "" {
		args = []string{"test/screenshots.mjs", *screenshots}
	} else {
		write(t, dir, "hostile", hostile(t, load(t, filepath.Join(recordings, "forks.rec.gz"))))
		const calls, most = 20_000, 600_000
		if n := write(t, dir, "large", large(t, recordings, calls)); n > most {
			t.Errorf("a page of %d calls has %d bytes, more than %d", calls, n, most)
		} else {
			t.Logf("a page of %d calls has %d bytes", calls, n)
		}
	}
	ui := httptest.NewUnstartedServer(nil)
	server := NewServer(ui.Listener.Addr(), newFake(t, recordings))
	ui.Config.Handler = server.Handler()
	ui.Start()
	defer ui.Close()
	cmd := exec.Command("node", args...)
	cmd.Env = append(os.Environ(), "PAGES="+dir, "UI="+server.URL())
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
