package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client/cluster"
)

const pagerHelp = `On a terminal, what is longer than the screen is shown by a pager: $RECORDERCTL_PAGER,
else $PAGER, else less, with LESS=FRX unless LESS is set. --no-pager, cat or an empty
value print at once.`

// noPagerFlag adds --no-pager.
func noPagerFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("no-pager", false, "print at once, also what is longer than the screen")
}

// pager sends what a command prints to another program, which shows it on the terminal. It is
// started by the first byte, so that a command that waits or fails does not need one.
type pager struct {
	terminal *os.File
	argv     []string
	stop     context.CancelFunc // of the command: the user has quit the pager

	start sync.Once
	to    io.Writer
	in    *os.File // of the pager; nil: there is none
	ended chan error
}

// page lets run print through a pager if standard output is a terminal and wanted says so.
func (a *app) page(cmd *cobra.Command, wanted bool, run func() error) error {
	terminal, argv := terminalOf(cmd), pagerCommand()
	if !wanted || terminal == nil || argv == nil {
		return run()
	}
	if program, err := exec.LookPath(argv[0]); err == nil {
		argv[0] = program
	} else {
		if named := cmp.Or(os.Getenv("RECORDERCTL_PAGER"), os.Getenv("PAGER")); named != "" {
			a.say("the pager %q is not installed: set RECORDERCTL_PAGER or PAGER, or give --no-pager", named)
		}
		return run()
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	p := &pager{terminal: terminal, argv: argv, stop: stop}
	cmd.SetContext(ctx)
	cmd.SetOut(p)
	defer cmd.SetOut(terminal)
	err := run()
	status := p.close()
	if p.in != nil {
		err = unlessQuit(err)
	}
	return errors.Join(err, status)
}

// unlessQuit leaves out the errors that say that the user has read enough. Others that came
// before, as of a node that did not answer, stay.
func unlessQuit(err error) error {
	switch e := err.(type) {
	case *cluster.PartialError:
		nodes := slices.DeleteFunc(slices.Clone(e.Nodes), func(n *cluster.NodeError) bool { return unlessQuit(n.Err) == nil })
		if len(nodes) == 0 {
			return nil
		}
		return &cluster.PartialError{Nodes: nodes, Asked: e.Asked}
	case *cluster.MissingError:
		// It stays whole, for its exit status.
	case interface{ Unwrap() []error }:
		var rest []error
		for _, one := range e.Unwrap() {
			rest = append(rest, unlessQuit(one))
		}
		return errors.Join(rest...)
	}
	if errors.Is(err, context.Canceled) || nobodyReads(err) {
		return nil
	}
	return err
}

// pagerCommand is the pager of the environment, nil for none.
func pagerCommand() []string {
	if os.Getenv("TERM") == "dumb" {
		return nil
	}
	named := "less"
	for _, name := range []string{"PAGER", "RECORDERCTL_PAGER"} {
		if value, set := os.LookupEnv(name); set {
			named = strings.TrimSpace(value)
		}
	}
	switch words := strings.Fields(named); {
	case len(words) == 0, named == "cat":
		return nil
	case strings.ContainsAny(named, "|&;<>()$`\\\"'*?[]#~=%!{}"):
		return []string{"sh", "-c", named}
	default:
		return words
	}
}

// Write writes to the pager.
func (p *pager) Write(b []byte) (int, error) {
	p.start.Do(p.run)
	return p.to.Write(b)
}

func (p *pager) run() {
	p.to = p.terminal
	in, out, err := os.Pipe()
	if err != nil {
		return
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, p.terminal, os.Stderr
	cmd.Env = os.Environ()
	for _, set := range []string{"LESS=FRX", "LV=-c"} { // as git has it
		if name, _, _ := strings.Cut(set, "="); os.Getenv(name) == "" {
			cmd.Env = append(cmd.Env, set)
		}
	}
	if os.Getenv("SUDO_UID") != "" {
		// Whoever may run this program by sudo may not run a shell by it, which less would start.
		cmd.Env = append(cmd.Env, "LESSSECURE=1")
	}
	err = cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return
	}
	// ^C is for the pager. Without us it would not give the terminal back.
	signal.Ignore(syscall.SIGINT)
	p.to, p.in, p.ended = out, out, make(chan error, 1)
	go func() {
		err := cmd.Wait()
		p.stop()
		p.ended <- err
	}()
}

// close waits until the user has read what was written.
func (p *pager) close() error {
	if p.in == nil {
		return nil
	}
	p.in.Close()
	err := <-p.ended
	signal.Reset(syscall.SIGINT)
	var exit *exec.ExitError
	if errors.As(err, &exit) && (exit.ExitCode() == 126 || exit.ExitCode() == 127) && len(p.argv) == 3 && p.argv[1] == "-c" {
		return fmt.Errorf("the pager %q cannot be run: set RECORDERCTL_PAGER or PAGER, or give --no-pager", p.argv[2])
	}
	return nil
}
