package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/pflag"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/recorder"
)

// A configuration file that breaks must not keep every node's recorderd from starting. So
// recorderd keeps a copy of the last file with which it got ready, and starts with that
// copy if the file itself is not good.

// goodPath is where the copy of the configuration file is; empty: nowhere. It goes by the
// flags alone, since a broken file says nothing.
func (o *options) goodPath() string {
	if o.flagState == "" || o.config.StateDir == "" || o.file == "" {
		return ""
	}
	name := o.file
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(o.flagState, "configuration", hex.EncodeToString(sum[:8])+".yaml")
}

// keepGood makes the copy.
func (o *options) keepGood(log *slog.Logger) {
	path := o.goodPath()
	if path == "" {
		return
	}
	if b, err := os.ReadFile(path); err == nil && bytes.Equal(b, o.bytes) {
		return
	}
	if err := writeWhole(path, o.bytes); err != nil {
		log.Warn("the configuration is not kept for the next start", "error", err)
	}
}

// writeWhole writes a file that is there with all its bytes, or as it was.
func writeWhole(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// lastGood returns options with the copy in place of the file, which is refused for why;
// why itself if there is no copy that helps.
func lastGood(given *pflag.FlagSet, refused []byte, why error) (*options, error) {
	o, fs, err := fromFlags(given)
	if err != nil {
		return nil, why
	}
	path := o.goodPath()
	if path == "" {
		return nil, why
	}
	b, err := os.ReadFile(path)
	if err != nil || refused != nil && bytes.Equal(b, refused) || o.addFile(fs, given, b) != nil {
		return nil, why
	}
	o.refused, o.broken = refused, why
	return o, nil
}

// startError says that recorderd could not start with its configuration.
type startError struct{ error }

func (e startError) Unwrap() error { return e.error }

// runOrLastGood is run. If the file's settings cannot be started with, it starts with
// those of the last good file.
func (o *options) runOrLastGood(ctx context.Context, given *pflag.FlagSet) error {
	err := o.run(ctx, given)
	var start startError
	if o.file == "" || o.broken != nil || !errors.As(err, &start) {
		return err
	}
	for _, other := range []error{bpf.ErrInUse, bpf.ErrUnsupported, bpf.ErrRights, server.ErrInUse} {
		if errors.Is(err, other) {
			return err
		}
	}
	good, err := lastGood(given, o.bytes, fmt.Errorf("%s: %w", o.file, err))
	if err != nil {
		return start
	}
	return good.run(ctx, given)
}

// configState is what has become of the configuration file. It is safe for concurrent use.
type configState struct {
	mu sync.Mutex
	st api.ConfigStatus
}

// set notes what is wrong with the file, and which of its keys have no effect.
func (c *configState) set(file string, err error, lastGood bool, ignored []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.st = api.ConfigStatus{File: file, LastGood: lastGood, Ignored: ignored}
	if err != nil {
		c.st.Error = err.Error()
	}
}

// status is nil if there is no file.
func (c *configState) status() *api.ConfigStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.st.File == "" {
		return nil
	}
	st := c.st
	return &st
}

// notice is what readiness says of it: nothing, if the file is in force.
func (c *configState) notice() string {
	if st := c.status(); st != nil && st.Error != "" {
		return "the configuration is broken, and the last good one is in force: " + st.Error
	}
	return ""
}

// backend is the recorder, whose status has the configuration's.
type backend struct {
	*recorder.Recorder
	config *configState
}

// Status adds the configuration's.
func (b backend) Status(ctx context.Context) (api.Status, error) {
	st, err := b.Recorder.Status(ctx)
	st.Configuration = b.config.status()
	return st, err
}
