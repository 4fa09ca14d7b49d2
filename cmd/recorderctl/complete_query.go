package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// completeQuery completes the values of -e and -P: calls and classes, and the files of the
// recording. It is quiet when there is none. open is the recording that the command line
// names so far.
func completeQuery(cmd *cobra.Command, open func(ctx context.Context, args []string) (io.ReadCloser, error)) {
	const how = cobra.ShellCompDirectiveNoFileComp
	_ = cmd.RegisterFlagCompletionFunc("expr", func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return callsFor(word), how
	})
	_ = cmd.RegisterFlagCompletionFunc(replay.ParamPath, func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, how
		}
		ctx, cancel := context.WithTimeout(context.Background(), pathTime)
		defer cancel()
		in, err := open(ctx, args)
		if err != nil {
			return nil, how
		}
		defer in.Close()
		return pathsFor(word, &until{ctx, in}), how
	})
}

// callsFor are the classes and calls that the last word of an expression may become.
func callsFor(expr string) []cobra.Completion {
	at := strings.LastIndexAny(expr, ",!=") + 1
	before, word := expr[:at], expr[at:]
	var words []string
	for _, class := range syscalls.ClassNames() {
		words = append(words, "%"+class)
	}
	for _, arch := range []record.Arch{record.ArchX86_64, record.ArchARM64} {
		for _, call := range syscalls.All(arch) {
			words = append(words, call.Name)
		}
	}
	var out []cobra.Completion
	for _, w := range words {
		if strings.HasPrefix(w, word) {
			out = append(out, before+w)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// pathTime is how long paths are looked for, and mostPaths how many are offered: the newest.
const pathTime, mostPaths = time.Second, 500

// pathsFor are the names of files in a dump that a word may become.
func pathsFor(word string, in io.Reader) []cobra.Completion {
	d, err := dump.NewReader(in)
	if err != nil {
		return nil
	}
	found := &paths{word: word}
	e, err := replay.ParseExpr("%file")
	if err != nil {
		return nil
	}
	// What was found before an error, or before time was up, is offered.
	_, _ = replay.Run(found, d, replay.Options{Query: replay.Query{Format: replay.FormatJSON, Exprs: []replay.Expr{e}}})
	out := found.names[max(0, len(found.names)-mostPaths):]
	slices.Sort(out)
	return slices.Compact(out)
}

// paths takes JSON, an object a line, and keeps the names of files that can be offered.
type paths struct {
	word  string
	part  []byte // of a line
	names []string
}

func (p *paths) Write(b []byte) (int, error) {
	p.part = append(p.part, b...)
	for {
		line, rest, whole := bytes.Cut(p.part, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		p.line(line)
		p.part = rest
	}
}

func (p *paths) line(line []byte) {
	var call struct {
		Args []struct {
			Type  string
			Value any
			Cut   bool
		}
	}
	if json.Unmarshal(line, &call) != nil {
		return
	}
	for _, arg := range call.Args {
		name, ok := arg.Value.(string)
		if !ok || arg.Type != "path" || arg.Cut || !strings.HasPrefix(name, p.word) || !offered(name) {
			continue
		}
		if i := slices.Index(p.names, name); i >= 0 {
			p.names = slices.Delete(p.names, i, i+1) // it is newer now
		} else if len(p.names) == mostPaths {
			p.names = p.names[1:]
		}
		p.names = append(p.names, name)
	}
}

// until is a reader until time is up.
type until struct {
	ctx context.Context
	in  io.Reader
}

func (u *until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.in.Read(b)
}

// openRecording is the recording that dump would show.
func (a *app) openRecording(sel *target.Selector) func(ctx context.Context, args []string) (io.ReadCloser, error) {
	return func(ctx context.Context, args []string) (io.ReadCloser, error) {
		c, err := a.client()
		if err != nil {
			return nil, err
		}
		body, err := c.Dump(ctx, args[0], *sel, replay.Query{Format: replay.FormatRaw})
		if err != nil {
			c.Close()
			return nil, err
		}
		return body, nil
	}
}

// openFile is the file that decode would show.
func openFile(_ context.Context, args []string) (io.ReadCloser, error) {
	if args[0] == "-" {
		return nil, errors.New("standard input is the shell's")
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, err
	}
	raw, done, err := unpack(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		closer
	}{raw, func() error { done(); return f.Close() }}, nil
}

type closer func() error

func (c closer) Close() error { return c() }
