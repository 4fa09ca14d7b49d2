package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder"
)

// tree makes watched cgroups of these names, and returns their directories.
func (d *testDaemon) tree(names ...string) map[string]string {
	d.t.Helper()
	h, err := recorder.FindHierarchy("auto")
	if err != nil {
		d.t.Fatal(err)
	}
	dirs := map[string]string{}
	for _, name := range append([]string{""}, names...) {
		dir := filepath.Join(h.Mount, d.watched(), name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { poll(d.t, "remove "+dir, func() bool { return os.Remove(dir) == nil }) })
		dirs[name] = dir
	}
	return dirs
}

// enter is a command that enters a cgroup, and is killed at the end.
func enter(t *testing.T, dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(dir, "cgroup.procs")}, args...)...)
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait() //nolint:errcheck // killed
		}
	})
	return cmd
}

// recorded are the names of the containers of this test that have a recording, and how
// many of their tasks live. Others of this machine may have one, too.
func (d *testDaemon) recorded() map[string]uint64 {
	d.t.Helper()
	c := client.New(client.Unix(d.socket), client.Options{})
	defer c.Close()
	list, err := c.List(d.t.Context(), target.Filter{})
	if err != nil {
		d.t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, rec := range list.Recordings {
		if strings.HasPrefix(rec.Container.Cgroup, d.watched()+"/") {
			found[filepath.Base(rec.Container.Cgroup)] += rec.Tasks.Live
		}
	}
	return found
}

func (d *testDaemon) stale() uint64 {
	d.t.Helper()
	c := client.New(client.Unix(d.socket), client.Options{})
	defer c.Close()
	st, err := c.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return st.Lost.Stale
}

// A recorderd in a watched cgroup does not record that one, as long as nobody asks
// for it, and everything else: what is beside it, what was there, what comes, and what
// is below it if that is watched. So does the next one, and one that sees only its own
// cgroup's path, as in a pod.
func TestSelfIsNotRecorded(t *testing.T) {
	for name, in := range map[string]struct {
		self string
		wrap []string
	}{
		"on the node": {"self", nil},
		"in a pod":    {"cri-containerd-" + strings.Repeat("0123456789abcdef", 4) + ".scope", []string{"unshare", "--cgroup"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			dirs := d.tree(in.self, "there", "comes", in.self+"/runs", in.self+"/runs/one")
			run := func(dir string) {
				t.Helper()
				if err := enter(t, dirs[dir], "sleep", "1000").Start(); err != nil {
					t.Fatal(err)
				}
			}
			start := func(more ...string) {
				t.Helper()
				os.Remove(filepath.Join(d.dir, "ready"))
				args := append(append([]string{}, in.wrap...), binary)
				args = append(args, d.args(append([]string{"--clean=false", "--watch", d.watched(), "--watch", d.watched() + "/" + in.self + "/runs"}, more...)...)...)
				d.startAs(enter(t, dirs[in.self], args...))
			}
			// are demands recordings of these containers, with tasks, and no others.
			are := func(when string, want ...string) {
				t.Helper()
				var got map[string]uint64
				defer func() {
					if t.Failed() {
						t.Logf("recorded are %v; its log:\n%s", got, d.log.String())
					}
				}()
				poll(t, when, func() bool {
					got = d.recorded()
					for _, name := range want {
						if got[name] == 0 {
							return false
						}
					}
					return len(got) == len(want)
				})
			}
			run("there")
			start()
			are("what was there is recorded", "there")
			run("comes")
			run(in.self + "/runs/one")
			are("what came is, too", "there", "comes", "one")

			d.kill()
			start()
			are("the next one goes on", "there", "comes", "one")
			d.kill()
			start("--record-self")
			are("it is asked for", "there", "comes", "one", in.self)
			d.kill()
			start()
			are("not any more", "there", "comes", "one")
			if n := d.stale(); n > 0 {
				t.Errorf("%d of its calls are counted as lost", n)
			}
		})
	}
}
