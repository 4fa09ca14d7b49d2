package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/cmd/recorderd/internal/config"
	"github.com/recorderd/recorderd/recorder"
	"github.com/recorderd/recorderd/recorder/kubernetes"
)

const checkFlag = "check-config"

// checkConfig says that the configuration is fine, or returns all that is wrong with it.
func checkConfig(w io.Writer, args []string) error {
	m := mistakesOf(args)
	if len(m.errs) > 0 {
		return errors.Join(m.errs...)
	}
	what := "the flags are fine; there is no configuration file (--config)"
	if file := m.options.file; file != "" {
		what = file + " is fine"
		if _, err := os.Stat(file); err != nil {
			what = file + " does not exist, as --config-optional allows; the flags are fine"
		}
	}
	if ignored := m.options.ignored; len(ignored) > 0 {
		what += "; flags on the command line win over these keys of it: " + strings.Join(ignored, ", ")
	}
	_, err := fmt.Fprintln(w, what)
	return err
}

// mistakes are all that is wrong with a command line and the configuration file that it names.
type mistakes struct {
	options   *options
	checkOnly bool
	errs      []error
}

// mistakesOf reads arguments to their end: a flag that is wrong keeps its default.
func mistakesOf(args []string) mistakes {
	var unknown []unknownFlag // so far
	for {
		var m mistakes
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		fs.Usage = func() {}
		m.options = defaults()
		m.options.flags(fs)
		fs.BoolVar(&m.checkOnly, checkFlag, false, "")
		fs.BoolP("help", "h", false, "")
		fs.BoolP("version", "v", false, "")
		fs.VisitAll(func(f *pflag.Flag) { f.Value = &collector{f.Value, f, &m.errs} })
		for _, u := range unknown {
			m.errs = append(m.errs, fmt.Errorf("there is no flag %s: recorderd --help lists them", u))
			u.add(fs)
		}
		err := fs.Parse(args)
		var no *pflag.NotExistError
		if errors.As(err, &no) {
			if u := unknownOf(no); !slices.Contains(unknown, u) {
				unknown = append(unknown, u)
				continue
			}
		}
		if err != nil && !errors.Is(err, pflag.ErrHelp) {
			m.errs = append(m.errs, err)
		}
		if fs.NArg() > 0 && len(unknown) == 0 { // else it may be such a flag's value
			m.errs = append(m.errs, fmt.Errorf("%q is too much: recorderd takes flags only", fs.Arg(0)))
		}
		fs.VisitAll(func(f *pflag.Flag) {
			if c, ok := f.Value.(*collector); ok {
				f.Value = c.Value
			}
		})
		m.file(fs)
		return m
	}
}

// file adds what is wrong with the values, and with the file.
func (m *mistakes) file(given *pflag.FlagSet) {
	o, fs, err := fromFlags(given)
	if err != nil {
		m.errs = append(m.errs, err)
		return
	}
	m.options = o
	switch b, rerr := []byte(nil), error(nil); {
	case o.file == "":
		err = o.check()
	default:
		if b, rerr = o.readFile(); rerr != nil {
			err = errors.Join(rerr, o.check())
		} else {
			err = o.addFile(fs, given, b)
		}
	}
	if err != nil {
		m.errs = append(m.errs, err)
	}
	if m.checkOnly {
		m.errs = append(m.errs, o.startable()...)
	}
}

// startable returns what else would keep recorderd from starting, of what needs no kernel.
func (o *options) startable() (errs []error) {
	fail := func(name string, err error) {
		if err != nil {
			errs = append(errs, o.at(&flagError{name, err}))
		}
	}
	for _, path := range o.config.Watch {
		fail("watch", recorder.CheckWatch(path))
	}
	if n := uint64(o.ringSize); n >= 64<<10 && n <= 64<<20 && n&(n-1) == 0 {
		cfg := o.config
		cfg.RingSize, cfg.MemoryBudget = n, uint64(o.budget)
		fail("memory-budget", cfg.CheckBudget())
	}
	if o.group != "" {
		_, err := server.GroupID(o.group)
		fail("socket-group", err)
	}
	if o.kubeconfig != "" {
		_, err := os.Stat(o.kubeconfig)
		fail("kubeconfig", err)
	} else if o.kubernetes == "on" && !kubernetes.InPod() {
		fail("kubernetes", fmt.Errorf("on: %w", kubernetes.ErrNoConfig))
	}
	return errs
}

// collector is a flag's value that notes mistakes instead of returning them.
type collector struct {
	pflag.Value
	flag *pflag.Flag
	errs *[]error
}

// Set sets the value.
func (c *collector) Set(s string) error {
	if err := c.Value.Set(s); err != nil {
		plain := *c.flag
		plain.Value = c.Value
		*c.errs = append(*c.errs, &flagError{c.flag.Name, config.Wanted(&plain, s, err)})
	}
	return nil
}

// unknownFlag is a flag that does not exist: either a name or a letter.
type unknownFlag struct{ name, letter string }

// unknownOf returns the flag that pflag does not know. pflag takes each byte for a letter.
func unknownOf(no *pflag.NotExistError) unknownFlag {
	if letters := no.GetSpecifiedShortnames(); letters != "" {
		letter, _ := utf8.DecodeRuneInString(letters)
		return unknownFlag{letter: string(letter)}
	}
	return unknownFlag{name: no.GetSpecifiedName()}
}

// String returns the flag as it stands on the command line.
func (u unknownFlag) String() string {
	if u.letter != "" {
		return "-" + u.letter
	}
	return "--" + u.name
}

// add makes the flag exist, so that parsing goes on behind it. Letters are named with a hyphen
// before them, which no name on a command line begins with. No flag of ours has a letter outside
// ASCII: the first of these adds all their bytes, so that later ones are not told.
func (u unknownFlag) add(fs *pflag.FlagSet) {
	switch {
	case u.letter == "":
		fs.VarPF(anything{}, u.name, "", "").NoOptDefVal = "true"
	case len(u.letter) == 1:
		fs.VarPF(anything{}, "-"+u.letter, u.letter, "").NoOptDefVal = "true"
	default:
		for b := utf8.RuneSelf; b <= 0xff; b++ {
			letter := string([]byte{byte(b)})
			fs.VarPF(anything{}, "-"+letter, letter, "").NoOptDefVal = "true"
		}
	}
}

// anything is the value of a flag that does not exist.
type anything struct{}

func (anything) String() string   { return "" }
func (anything) Set(string) error { return nil }
func (anything) Type() string     { return "" }
