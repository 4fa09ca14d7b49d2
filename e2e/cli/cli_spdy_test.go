//go:build e2e

package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// (This file sorts before cli_test.go, whose last test takes the recorder away.)

// TestSPDY goes to the API server through something that knows no WebSocket, as some
// proxies in front of clusters do. All is as without it.
func TestSPDY(t *testing.T) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig("admin"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.NextProtos = []string{"http/1.1"} // connections of HTTP/2 have no upgrades
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	var refused, spdy atomic.Int64
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(server) },
		Transport:     transport,
		FlushInterval: -1,
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Upgrade") {
		case "websocket":
			refused.Add(1)
			http.Error(w, "no such upgrade", http.StatusBadRequest)
			return
		case "SPDY/3.1":
			spdy.Add(1)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.CloseClientConnections) // Close would wait for those that were upgraded

	config := kubeconfigTo(t, proxy.URL)
	through := func(args ...string) *exec.Cmd { return ctl(append(args, "--kubeconfig", config)...) }
	ns := namespace(t)
	pod(t, ns, "talks", "", "app=dd if=/dev/zero of=/dev/stdout bs=1 count=20000 | cat >/dev/null; cat /etc/talks.conf; sleep 100000")
	pod(t, ns, "counts", "", "app=i=0; while :; do i=$((i+1)); echo n-$i-n; sleep 0.2; done")
	eventually(t, "20,000 writes", 60*time.Second, func() bool {
		recs := recordings(t, ns, "talks", "app")
		return len(recs) == 1 && recs[0].Coverage.Written >= 40000 && recs[0].Tasks.Live <= 2
	})

	dir := t.TempDir()
	for name, cmd := range map[string]*exec.Cmd{
		"direct": ctl("dump", "-n", ns, "talks", "-o", "raw"), "spdy": through("dump", "-n", ns, "talks", "-o", "raw"),
	} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = f, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, &errs)
		}
		f.Close()
	}
	if a, b := calls(t, filepath.Join(dir, "direct")), calls(t, filepath.Join(dir, "spdy")); a != b {
		t.Errorf("checksum of the calls %s, by SPDY %s", a, b)
	}
	contains(t, "list by SPDY", must(t, through("list", "-n", ns)), ns+"/talks", ns+"/counts")

	// On and on, and the end at once.
	had := 0
	for _, m := range regexp.MustCompile(`n-(\d+)-n`).FindAllStringSubmatch(must(t, through("dump", "-n", ns, "counts", "-e", "write")), -1) {
		had, _ = strconv.Atoi(m[1])
	}
	follow := through("dump", "-n", ns, "counts", "-f", "-e", "write")
	var out bytes.Buffer
	pipe, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(60*time.Second, func() { follow.Process.Kill() })
	defer late.Stop()
	want := fmt.Sprintf("n-%d-n", had+10)
	for b := make([]byte, 32<<10); !bytes.Contains(out.Bytes(), []byte(want)); {
		n, err := pipe.Read(b)
		out.Write(b[:n])
		if err != nil {
			t.Fatalf("%s did not come: %v: %.2000s", want, err, out.Bytes())
		}
	}
	follow.Process.Signal(os.Interrupt)
	follow.Wait()
	eventually(t, "the connection's end after ^C", 10*time.Second, func() bool { return len(dialers(t)) == 0 })
	if spdy.Load() < 3 || refused.Load() < 3 {
		t.Errorf("%d connections by SPDY, %d WebSockets were refused: want three of each", spdy.Load(), refused.Load())
	}
}
