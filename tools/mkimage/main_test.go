package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The same programs give the same archive, and what is in it is what containerd and
// skopeo look for.
func TestArchive(t *testing.T) {
	dir := t.TempDir()
	for _, arch := range []string{"amd64", "arm64"} {
		for _, program := range []string{"recorderd", "recorderctl"} {
			file := filepath.Join(dir, arch, program)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(program+" for "+arch), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	var archives [2][]byte
	for i := range archives {
		out := filepath.Join(dir, "out.tar")
		if err := run(out, "docker.io/x/recorderd:v1", "v1", []string{"amd64=" + filepath.Join(dir, "amd64"), "arm64=" + filepath.Join(dir, "arm64")}); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same programs differ")
	}
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(archives[0]))
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string, into any) {
		t.Helper()
		if err := json.Unmarshal(files[name], into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	var top, index v1.IndexManifest
	read("index.json", &top)
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["io.containerd.image.name"] != "docker.io/x/recorderd:v1" ||
		top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v1" {
		t.Fatalf("index.json has %+v", top.Manifests)
	}
	read(blob(top.Manifests[0].Digest), &index)
	if len(index.Manifests) != 2 {
		t.Fatalf("%d images", len(index.Manifests))
	}
	for _, d := range index.Manifests {
		var m v1.Manifest
		var cfg v1.ConfigFile
		read(blob(d.Digest), &m)
		read(blob(m.Config.Digest), &cfg)
		if d.Platform.Architecture != cfg.Architecture || cfg.OS != "linux" || strings.Join(cfg.Config.Entrypoint, " ") != "/recorderd" || len(m.Layers) != 1 {
			t.Errorf("%s: %+v", d.Platform, cfg)
		}
	}
}
