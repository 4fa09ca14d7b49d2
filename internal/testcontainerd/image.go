package testcontainerd

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/client"
)

// BusyboxImage is the image of containers that name no other: a static busybox
// with all its applets in /bin, and a /tmp.
const BusyboxImage = "docker.io/testcontainerd/busybox:1"

// Image returns the busybox image, imported and unpacked at the first call.
func (s *Server) Image(ctx context.Context) (client.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.image != nil {
		return s.image, nil
	}
	archive, err := busyboxArchive()
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", BusyboxImage, err)
	}
	image, err := importImage(s.Context(ctx), s.client, archive)
	if err != nil {
		return nil, err
	}
	s.image = image
	return image, nil
}

// Import makes an image of busybox and more files, a map from paths in the
// image to executables on this machine. ctx may name another namespace than
// the server's ("k8s.io" for CRI).
func (s *Server) Import(ctx context.Context, ref string, files map[string]string) (client.Image, error) {
	archive, err := dockerArchive(ref, files)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", ref, err)
	}
	return importImage(ctx, s.Client(), archive)
}

func importImage(ctx context.Context, c *client.Client, archive []byte) (client.Image, error) {
	if c == nil {
		return nil, fmt.Errorf("import image: %w", errStopped)
	}
	imgs, err := c.Import(ctx, bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("import image: %w", err)
	}
	if len(imgs) == 0 {
		return nil, fmt.Errorf("import image: the archive holds none")
	}
	image := client.NewImage(c, imgs[0])
	if err := image.Unpack(ctx, snapshotter); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", image.Name(), err)
	}
	return image, nil
}

var busyboxArchive = sync.OnceValues(func() ([]byte, error) {
	return dockerArchive(BusyboxImage, nil)
})

// dockerArchive builds an image of one layer in the format of docker save.
func dockerArchive(ref string, files map[string]string) ([]byte, error) {
	layer, err := busyboxLayer(files)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      "2026-01-01T00:00:00Z",
		"config":       map[string]any{"Cmd": []string{"sh"}, "Env": []string{"PATH=/bin"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return nil, err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		name string
		data []byte
	}{{configName, config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := addFile(w, f.name, 0o644, f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func busyboxLayer(files map[string]string) ([]byte, error) {
	list, err := exec.Command(busyboxPath, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --list: %w", busyboxPath, err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{}
	for dir, mode := range map[string]int64{"bin": 0o755, "etc": 0o755, "tmp": 0o1777} {
		if err := addDir(w, made, dir, mode); err != nil {
			return nil, err
		}
	}
	data, err := os.ReadFile(busyboxPath)
	if err != nil {
		return nil, err
	}
	if err := addFile(w, "bin/busybox", 0o755, data); err != nil {
		return nil, err
	}
	for applet := range strings.FieldsSeq(string(list)) {
		if applet == "busybox" {
			continue
		}
		h := &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
	}
	paths := make([]string, 0, len(files))
	for p := range files {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		data, err := os.ReadFile(files[p])
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(path.Clean("/"+p), "/")
		if err := addDir(w, made, path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := addFile(w, name, 0o755, data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// addDir adds a directory and those above it, each once.
func addDir(w *tar.Writer, made map[string]bool, dir string, mode int64) error {
	var missing []string
	for d := dir; d != "." && d != "/" && !made[d]; d = path.Dir(d) {
		missing = append(missing, d)
	}
	slices.Reverse(missing)
	for _, d := range missing {
		made[d] = true
		m := int64(0o755)
		if d == dir {
			m = mode
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: m}); err != nil {
			return err
		}
	}
	return nil
}

func addFile(w *tar.Writer, name string, mode int64, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
