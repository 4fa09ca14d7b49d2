package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/recorderd/recorderd/cmd/recorderd/internal/config"
	"github.com/recorderd/recorderd/recorder/policy"
)

// load puts the options together from the flags that were given and the file that one
// of them names. Flags win.
func load(given *pflag.FlagSet) (*options, error) {
	o, fs, err := fromFlags(given)
	if err != nil {
		return nil, err
	}
	if o.file == "" {
		return o, o.check()
	}
	b, err := o.readFile()
	if err == nil {
		err = o.addFile(fs, given, b)
	}
	if err != nil {
		return lastGood(given, b, err)
	}
	return o, nil
}

// readFile reads the configuration file. One that may be missing is then empty.
func (o *options) readFile() ([]byte, error) {
	b, err := config.Read(o.file)
	if o.fileOptional && errors.Is(err, fs.ErrNotExist) {
		return []byte{}, nil
	}
	return b, err
}

// fromFlags returns options of their own, and their flags, with what was given.
func fromFlags(given *pflag.FlagSet) (*options, *pflag.FlagSet, error) {
	o := defaults()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.flags(fs)
	var err error
	given.Visit(func(f *pflag.Flag) {
		to := fs.Lookup(f.Name)
		if to == nil || err != nil {
			return // --help, --version
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = to.Value.(pflag.SliceValue).Replace(list.GetSlice())
		} else {
			err = to.Value.Set(f.Value.String())
		}
	})
	o.flagState = o.config.StateDir
	return o, fs, err
}

// addFile adds what a file's bytes say, and checks all. All that is wrong is in the error.
func (o *options) addFile(fs, given *pflag.FlagSet, b []byte) error {
	f, err := config.Parse(o.file, b)
	if f == nil {
		return err
	}
	errs := []error{err, f.Apply(fs, given.Changed)}
	o.rules, o.ignored, o.bytes = f.Rules, f.Ignored, b
	o.values = map[string]string{}
	fs.VisitAll(func(f *pflag.Flag) { o.values[f.Name] = f.Value.String() })
	o.where = func(e *flagError) error { return f.Wrap(e.name, given.Changed, e) }
	return errors.Join(append(errs, o.check())...)
}

// live are the keys that change without a restart.
var live = map[string]bool{"capture-stdio": true, "capture-stdio-files": true, "capture-dns": true, "capture-data": true, "mute": true, "no-args": true, "blank": true, "forbid-annotations": true, "log-level": true}

// fileEvery is the time between two looks at the configuration file. It is read, not
// watched: it may be a link to a link, as in a mounted ConfigMap, on any file system.
const fileEvery = 2 * time.Second

// reloader carries out changes of the configuration file.
type reloader struct {
	given *pflag.FlagSet
	now   *options
	rec   interface{ SetPolicy(policy.Policy) error }
	log   *slog.Logger
	level *slog.LevelVar
	state *configState
	last  []byte // as it was read last
	was   error  // what came of that
	said  string // the last error that was logged
	later bool   // something waits for a restart: nobody knows whether it is good
}

// run looks at the file until the context ends, and at once if hup says so.
func (r *reloader) run(ctx context.Context, hup <-chan os.Signal) {
	for r.now.file == "" {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			r.log.Warn("there is no configuration to be read again: --config names it")
		}
	}
	if r.now.broken != nil {
		r.said = r.now.broken.Error() // it was logged at the start
	}
	tick := time.NewTicker(fileEvery)
	defer tick.Stop()
	for {
		r.look()
		select {
		case <-ctx.Done():
			return
		case <-hup:
			r.last, r.said = nil, ""
		case <-tick.C:
		}
	}
}

// look reads the file, and if it is another one carries it out. A broken one is told
// of once, and changes nothing.
func (r *reloader) look() {
	b, err := r.now.readFile()
	if err == nil {
		if r.last == nil || !bytes.Equal(b, r.last) {
			r.last = append([]byte{}, b...)
			r.was = r.change(b)
		}
		err = r.was
	}
	r.state.set(r.now.file, err, r.now.broken != nil, r.now.ignored)
	switch {
	case err == nil:
		r.said = ""
	case err.Error() != r.said:
		r.said = err.Error()
		r.log.Error("the configuration stays as it was", "error", err)
	}
}

func (r *reloader) change(b []byte) error {
	if r.now.refused != nil && bytes.Equal(b, r.now.refused) {
		return r.now.broken // it can be read, but not be started with
	}
	next, fs, err := fromFlags(r.given)
	if err != nil {
		return err
	}
	if err := next.addFile(fs, r.given, b); err != nil {
		return err
	}
	var changed, later []string
	fs.VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Value.String() == r.now.values[f.Name]:
		case live[f.Name]:
			changed = append(changed, f.Name)
		default:
			later = append(later, f.Name)
		}
	})
	if !reflect.DeepEqual(r.now.rules, next.rules) {
		changed = append(changed, "rules")
	}
	if len(changed) > 0 {
		if err := r.rec.SetPolicy(next.policy()); err != nil {
			return err
		}
		level, err := next.level()
		if err != nil {
			return err
		}
		r.level.Set(level)
		r.log.Info("the configuration has changed", "file", r.now.file, "keys", changed)
	}
	if !slices.Equal(next.ignored, r.now.ignored) {
		next.tellIgnored(r.log)
	}
	if r.later = r.later || len(later) > 0; !r.later {
		next.keepGood(r.log)
	}
	if len(later) > 0 {
		r.log.Warn("the configuration has changed in what takes a restart", "file", r.now.file, "keys", later)
	}
	r.now = next
	return nil
}

// tellIgnored says which settings of the file do nothing.
func (o *options) tellIgnored(log *slog.Logger) {
	if len(o.ignored) > 0 {
		log.Warn("flags on the command line win over the configuration, where these keys have no effect", "file", o.file, "keys", o.ignored)
	}
}
