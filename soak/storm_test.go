package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/recorderd/recorderd/api"
)

// member is a user who may use the socket of the storms' nodes by a group alone.
const (
	memberUID = 65534
	memberGID = 54321
)

// dialAs connects to the daemon as another user. The credentials are those of a thread,
// which ends with the goroutine that is locked to it.
func (n *node) dialAs(uid, gid int) (net.Conn, error) {
	var c net.Conn
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		for _, call := range [][4]uintptr{
			{syscall.SYS_SETGROUPS}, {syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)}, {syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
		} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				err = errno
				return
			}
		}
		var fd int
		if fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		if err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: n.socket}); err != nil {
			syscall.Close(fd)
			return
		}
		f := os.NewFile(uintptr(fd), "socket")
		c, err = net.FileConn(f)
		f.Close()
	}()
	<-done
	return c, err
}

// reachable lets others than root get to the daemon's socket as far as its own modes do.
func (n *node) reachable() {
	n.t.Helper()
	for _, dir := range []string{n.dir, filepath.Dir(n.dir)} {
		if err := os.Chmod(dir, 0o711); err != nil {
			n.t.Fatal(err)
		}
	}
}

// TestConnectionStorm catches a member of the socket's group whose 64 connections cost
// others their rings, or root its answers.
func TestConnectionStorm(t *testing.T) {
	alive, born := 100, times(100, 1000)
	n := newNode(t, "--ring-size", "64KiB", "--memory-budget", "64MiB", "--socket-group", strconv.Itoa(memberGID))
	n.start()
	began := time.Now()
	n.reachable()
	var living []*container
	for i := range alive {
		c, err := n.run(worker, "100", "0", "stay")
		if err != nil {
			t.Fatal(err)
		}
		living = append(living, c)
		if i%16 == 15 {
			time.Sleep(50 * time.Millisecond)
		}
	}
	defer func() {
		for _, c := range living {
			c.cmd.Process.Kill()
			c.end()
		}
	}()
	eventually(t, "all are recorded", func() bool { return n.status().Rings.Live == alive })

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var seen answers
	paths := []string{"/v1/recordings", "/v1/recordings", "/v1/status", "/metrics", "/v1/recordings/xyz"}
	for _, recs := range n.list() {
		paths = append(paths, "/v1/recordings/"+recs[0].ID+"/dump?follow=true", "/v1/recordings/"+recs[0].ID+"/dump", "/v1/recordings")
	}
	for i := range 64 {
		wg.Go(func() {
			for ctx.Err() == nil {
				n.ask(ctx, paths[i%len(paths)], &seen)
			}
		})
	}
	eventually(t, "the storm is there", func() bool { return seen.requests.Load() > 64 })
	before := n.status()
	var slowest time.Duration
	for range born {
		c, err := n.run(worker, "50", "0", "1")
		if err != nil {
			t.Fatal(err)
		}
		c.end()
		time.Sleep(20 * time.Millisecond) // as fast as runtimes are
	}
	for range 5 {
		asked := time.Now()
		n.list()
		slowest = max(slowest, time.Since(asked))
	}
	after := n.status()
	stop()
	wg.Wait()
	t.Logf("%d connections, %d requests, %d refused; %d of %d containers found no ring at once; root's list took up to %v",
		seen.connects.Load(), seen.requests.Load(), seen.refused.Load(), after.Lost.NoRing-before.Lost.NoRing, born, slowest)
	if lost := after.Lost.NoRing - before.Lost.NoRing; lost > 0 {
		t.Errorf("%d of %d containers found no ring", lost, born)
	}
	n.calm(began)
}

// answers counts what clients got.
type answers struct{ connects, requests, refused atomic.Int64 }

// ask asks on a connection of its own, again and again, until that is closed.
func (n *node) ask(ctx context.Context, path string, seen *answers) {
	c, err := n.dialAs(memberUID, memberGID)
	if err != nil {
		time.Sleep(time.Millisecond)
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	seen.connects.Add(1)
	buf := make([]byte, 32<<10)
	for ctx.Err() == nil {
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: recorderd\r\n\r\n", path); err != nil {
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		k, err := c.Read(buf)
		seen.requests.Add(1)
		if k > 12 && string(buf[9:12]) == "429" {
			seen.refused.Add(1)
		}
		if err != nil || k == 0 {
			return
		}
	}
}

// calm demands that the daemon's log has no more lines of one kind than it may: 50 at
// once, and one every two seconds.
func (n *node) calm(began time.Time) {
	n.t.Helper()
	b, err := os.ReadFile(n.log.Name())
	if err != nil {
		n.t.Fatal(err)
	}
	most := 50 + int(time.Since(began)/(2*time.Second)) + 2
	kinds := map[string]int{}
	for line := range strings.Lines(string(b)) {
		if m := kindOfLine.FindStringSubmatch(line); m != nil {
			kind := m[1] + " " + m[2]
			if uid := uidOfLine.FindString(line); uid != "" {
				kind += " " + uid
			}
			kinds[kind]++
		}
	}
	for kind, lines := range kinds {
		if lines > most {
			n.t.Errorf("the log has %d lines of %s", lines, kind)
		}
	}
}

var (
	kindOfLine = regexp.MustCompile(`level=(\w+) msg=("[^"]*"|\S+)`)
	uidOfLine  = regexp.MustCompile(`peer\.uid=\d+`)
)

// saved demands that the first crashes of the quiet ones are on disk, soon, and stay there.
func (n *node) saved(quiet []*container, loud func(api.Recording) bool) {
	n.t.Helper()
	onDisk := func() (missing []string, louds int) {
		all := n.list()
		for _, c := range quiet {
			if recs := all[c.name]; len(recs) != 1 || recs[0].Spool == nil {
				missing = append(missing, c.name)
			}
		}
		for _, recs := range all {
			for _, rec := range recs {
				if rec.Spool != nil && loud(rec) {
					louds++
				}
			}
		}
		return missing, louds
	}
	var louds int
	var missing []string
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if missing, louds = onDisk(); len(missing) == 0 {
			break
		}
		if time.Now().After(end) {
			n.t.Fatalf("%d of %d first crashes are not on disk within 30 s: %v", len(missing), len(quiet), missing)
		}
	}
	st := n.status()
	n.t.Logf("all %d quiet ones are on disk, and %d of the loud; waiting %d, refused %v, removed %v", len(quiet), louds, st.Spool.Waiting, st.Spool.Refused, st.Spool.Removed)
	if louds < 10 {
		n.t.Errorf("only %d crashes of the loud one are on disk", louds)
	}
}

// TestNestedCrashStorm catches a container that makes crashing containers inside it, and so
// keeps the first crashes of others from the disk.
func TestNestedCrashStorm(t *testing.T) {
	storm := times(150, 3000)
	n := newNode(t, "--ring-size", "64KiB", "--memory-budget", "64MiB", "--spool-free", "0", "--spool-size", "1MiB")
	// What is below it counts as containers, as it would if their names were such.
	n.flags = append(n.flags, "--watch", n.watch+"/c1/nest")
	n.start()
	began := time.Now()
	done := n.overBudget(t.Context())
	defer done()
	script := fmt.Sprintf(`cd %s; mkdir nest; i=0; while [ $i -lt %d ]; do i=$((i+1)); mkdir nest/in$i
		sh -c "echo \$\$ >nest/in$i/cgroup.procs; exec false"; rmdir nest/in$i; done; rmdir nest; sleep 1000`, filepath.Join(n.root, "c1"), storm)
	hostile, err := n.run("/bin/sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { hostile.cmd.Process.Kill(); hostile.end() }()
	nested := func(rec api.Recording) bool { return strings.Contains(rec.Container.Cgroup, "/nest/") }
	crashed := func() (k int) {
		for _, recs := range n.list() {
			for _, rec := range recs {
				if nested(rec) && rec.Exit != nil {
					k++
				}
			}
		}
		return k
	}
	var quiet []*container
	for i := range 4 {
		eventually(t, "the storm goes on", func() bool { return crashed() > (i+1)*storm/6 || n.status().Lost.Evicted > 0 })
		quiet = append(quiet, n.crash())
	}
	eventually(t, "the storm is over", func() bool {
		_, err := os.Stat(filepath.Join(n.root, "c1", "nest"))
		return os.IsNotExist(err) && n.status().Rings.Ended == 0
	})
	n.saved(quiet, nested)
	n.calm(began)
}

// apiServer is as much of an API server as a recorder asks for: so many bad pods at once a
// real one would have to be made for.
type apiServer struct {
	*httptest.Server
	pods []corev1.Pod
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	q := req.URL.Query()
	switch {
	case req.Method == http.MethodPost:
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"kind":"Event","apiVersion":"events.k8s.io/v1"}`)
	case q.Get("watch") != "" && q.Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":422,"reason":"Invalid"}`)
	case q.Get("watch") != "":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	case strings.HasSuffix(req.URL.Path, "/pods"):
		_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: s.pods})
	default:
		fmt.Fprint(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"items":[]}`)
	}
}

// pod adds a pod with one container, and returns the container's cgroup below a node's.
func (s *apiServer) pod(i int, namespace, owner string) (cgroup string) {
	yes := true
	uid := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	id := fmt.Sprintf("%064x", 1<<40+i)
	name := fmt.Sprintf("%s-5d9c7b-%03d", owner, i)
	s.pods = append(s.pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID(uid), Labels: map[string]string{"pod-template-hash": "5d9c7b"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner + "-5d9c7b", Controller: &yes}},
		},
		Spec:   corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "app"}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", ContainerID: "containerd://" + id}}},
	})
	return filepath.Join("kubepods", "pod"+uid, id)
}

// TestBadRollout catches a rollout of a hundred bad pods that keeps the first crashes of
// others from the disk.
func TestBadRollout(t *testing.T) {
	bad := times(100, 1000)
	s := &apiServer{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	var cgroups []string
	quietAt := map[int]bool{}
	for i := range bad {
		cgroups = append(cgroups, s.pod(i, "shop", "cart"))
		switch i {
		case bad / 4, bad / 2, 3 * bad / 4, bad - 1:
			quietAt[len(cgroups)] = true
			namespace := []string{"shop", "db"}[len(quietAt)%2]
			cgroups = append(cgroups, s.pod(bad+i, namespace, fmt.Sprint("quiet", len(quietAt))))
		}
	}
	n := newNode(t, "--ring-size", "64KiB", "--memory-budget", "64MiB", "--spool-free", "0", "--spool-size", "1MiB", "--node", "n1")
	kubeconfig := filepath.Join(n.dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}],
contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}]}`, s.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	n.flags = append(n.flags, "--kubeconfig", kubeconfig)
	n.start()
	began := time.Now()
	done := n.overBudget(t.Context())
	defer done()
	eventually(t, "the pods are known", func() bool {
		for _, rt := range n.status().Runtimes {
			if rt.Name == "kubernetes" && rt.Connected && rt.Containers == len(cgroups) {
				return true
			}
		}
		return false
	})
	var quiet []*container
	for i, cgroup := range cgroups {
		c, err := n.runAt(cgroup, worker, "100", "0", "1")
		if err != nil {
			t.Fatal(err)
		}
		c.end()
		os.Remove(filepath.Dir(c.path))
		if quietAt[i] {
			quiet = append(quiet, c)
		}
		if i%8 == 7 {
			time.Sleep(50 * time.Millisecond) // as fast as a node starts containers
		}
	}
	n.saved(quiet, func(rec api.Recording) bool {
		return rec.Pod != nil && rec.Pod.Owner != nil && rec.Pod.Owner.Name == "cart"
	})
	n.calm(began)
}
