package api

import "testing"

// Recordings are of the same container exactly if their letter is the same.
func TestContainerKey(t *testing.T) {
	pod := func(namespace, name, container, id string) Recording {
		return Recording{Pod: &Pod{Namespace: namespace, Name: name}, Container: Container{Name: container, ID: id, Cgroup: "/kubepods/" + id}}
	}
	container := func(runtime, namespace, name, id string) Recording {
		return Recording{Container: Container{Runtime: runtime, Namespace: namespace, Name: name, ID: id, Cgroup: "/" + namespace + "/" + id}}
	}
	plain := func(id, name, path string) Recording {
		return Recording{Container: Container{ID: id, Name: name, Cgroup: path}}
	}
	on := func(node string, r Recording) Recording { r.Node = node; return r }
	keys := map[string]string{}
	letters := map[string]string{}
	for i, c := range []struct {
		letter string
		rec    Recording
	}{
		{"a", pod("shop", "web-0", "app", "1")},
		{"a", pod("shop", "web-0", "app", "2")},
		{"a", on("elsewhere", pod("shop", "web-0", "app", "3"))}, // a pod of a StatefulSet moves
		{"b", pod("shop", "web-0", "proxy", "4")},
		{"c", pod("shop", "web-1", "app", "5")},
		{"d", pod("test", "web-0", "app", "6")},
		{"e", container("docker", "", "db", "7")},
		{"e", container("docker", "", "db", "8")},
		{"f", on("n1", container("docker", "", "db", "9"))},
		{"g", container("containerd", "default", "db", "10")},
		{"h", container("containerd", "other", "db", "11")},
		{"i", container("docker", "", "12", "12")}, // nobody has named it
		{"j", container("docker", "", "13", "13")},
		{"k", Recording{Pod: &Pod{UID: "u"}, Container: Container{ID: "14", Name: "14", Cgroup: "/kubepods/14"}}},
		{"l", plain("web", "web", "/a/web")}, // a plain cgroup's name is its id
		{"l", plain("web", "web", "/a/web")},
		{"m", plain("web", "web", "/b/web")},
		{"n", plain("", "web", "/c/web")},
		{"o", plain("", "web", "/d/web")},
		{"p", plain("", "", "/e/web")},
		{"q", plain("x", "x", "/watched/x/one")}, // its name is that of the cgroup below the watched one
		{"r", plain("x", "x", "/watched/x/two")},
		{"s", on("n1", plain("web", "web", "/a/web"))},
	} {
		key := c.rec.ContainerKey()
		if l, ok := letters[key]; ok && l != c.letter {
			t.Errorf("%d: %q is the key of %s and of %s", i, key, l, c.letter)
		}
		if k, ok := keys[c.letter]; ok && k != key {
			t.Errorf("%d: %s has the keys %q and %q", i, c.letter, k, key)
		}
		letters[key], keys[c.letter] = c.letter, key
	}
}
