package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/spool"
)

func (a *app) decode() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "decode FILE",
		Short: "Show a dump from a file",
		Long: `Show what recorderctl dump -o raw has saved or what recorderd has spooled, on any
machine. FILE may be - for standard input. A file that is damaged or cut short is
shown as far as it can be read, with a mark where something is missing, and the
exit status is 1.

` + queryHelp + `
` + pagerHelp,
		Example: `  recorderctl dump web -o raw >web.rec
  recorderctl decode web.rec --failed
  recorderctl decode web.rec -c
  recorderctl decode web.rec -o chrome >web.json   # for ui.perfetto.dev
  recorderctl decode 20261122T132350.846Z_web-0_app_366ed0c84781.recspool --last 50`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("decode: %d files are given: one is expected, or - for standard input", len(args))
			}
			return nil
		},
	}
	flags := newQueryFlags(cmd, false)
	completeQuery(cmd, openFile)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := flags.options(cmd)
		if err != nil {
			return err
		}
		name, in := args[0], cmd.InOrStdin()
		if name == "-" {
			name = "standard input"
		} else {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		raw, done, err := unpack(in)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer done()
		if err := a.page(cmd, flags.paged(&o), func() error { return show(cmd.OutOrStdout(), raw, o) }); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	return cmd
}

// unpack returns what can be read of a raw or a spooled dump, as a raw one. done
// is called when it has been read.
func unpack(in io.Reader) (raw io.Reader, done func(), err error) {
	done = func() {}
	if f, ok := in.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			at, err := f.Seek(0, io.SeekCurrent) // standard input may have been read from
			if err != nil {
				return nil, done, err
			}
			part := io.NewSectionReader(f, at, st.Size()-at)
			if spool.Detect(part, part.Size()) {
				r, err := spool.NewReader(part, part.Size())
				if err != nil {
					return nil, done, err
				}
				return r.Dump(), done, nil
			}
			return dump.Salvage(f), done, nil
		}
	}
	// A stream: its beginning says what it is. A raw dump goes on as it comes.
	b := bufio.NewReaderSize(in, len(spool.Magic))
	if first, err := b.Peek(len(spool.Magic)); string(first) != spool.Magic {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, done, err
		}
		return dump.Salvage(b), done, nil
	}
	// A spooled one is read from both ends.
	f, err := os.CreateTemp("", "recorderctl-")
	if err != nil {
		return nil, done, err
	}
	done = func() { f.Close() }
	if err := os.Remove(f.Name()); err != nil {
		done()
		return nil, func() {}, err
	}
	size, err := io.Copy(f, b)
	if err == nil {
		var r *spool.Reader
		if r, err = spool.NewReader(f, size); err == nil {
			return r.Dump(), done, nil
		}
	}
	done()
	return nil, func() {}, err
}
