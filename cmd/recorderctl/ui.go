package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/web"
	"github.com/recorderd/recorderd/recorder/replay"
)

func (a *app) ui() *cobra.Command {
	var filter scope
	var addr string
	var noBrowser bool
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show recordings in a browser",
		Long: `Show recordings in a browser: all that there are, with badge, verdict and how many
calls there were when; crashes of one cause together; and of each its report, with a
timeline, as show -o html has it. What lives is followed. Two can be compared.

It serves on 127.0.0.1 of the machine that it runs on. What is shown goes to whoever has the
address that it prints, which has a random token; no port is opened on any node. It reads
recordings as the other commands do, through recorderd's socket or with the rights of the
kubeconfig, when a page asks for them. On a node without a browser, forward the port:

  ssh -L 7070:127.0.0.1:7070 NODE sudo recorderctl ui --http 127.0.0.1:7070 --no-browser

It ends with Ctrl-C.`,
		Example: `  recorderctl ui
  recorderctl ui -n shop
  recorderctl ui --http 127.0.0.1:7070 --no-browser`,
		Args: none,
	}
	f := cmd.Flags()
	f.StringVar(&addr, "http", "127.0.0.1:0", "loopback `ADDRESS` to serve on; port 0 is any")
	f.BoolVar(&noBrowser, "no-browser", false, "print the address, and open no browser")
	filter.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := filter.check(cmd); err != nil {
			return err
		}
		if err := loopback(addr); err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		filter.in(c)
		return serve(cmd, addr, &webSource{c, filter.Filter}, !noBrowser)
	}
	return cmd
}

// loopback refuses addresses that others can reach.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("ui: --http %s: %w", addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return usagef("ui: --http %s: it serves on a loopback address only, such as 127.0.0.1:7070", addr)
	}
	return nil
}

func serve(cmd *cobra.Command, addr string, source web.Source, browse bool) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("ui: %w", err)
	}
	s := web.NewServer(l.Addr(), source)
	h := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	fmt.Fprintln(cmd.OutOrStdout(), s.URL())
	if browse {
		tidy, err := openBrowser(s.URL())
		defer tidy()
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%v: open the address above\n", err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("ui: %w", err)
	case <-ctx.Done():
		return h.Close()
	}
}

// openBrowser opens an address in the user's browser, as go tool pprof -http does. The browser gets
// a file that leads there: the words of a command are for all users of a machine to read. tidy
// removes the file.
func openBrowser(url string) (tidy func(), err error) {
	tidy = func() {}
	var tries [][]string
	if b := os.Getenv("BROWSER"); b != "" {
		tries = append(tries, []string{b})
	}
	switch {
	case runtime.GOOS == "darwin":
		tries = append(tries, []string{"/usr/bin/open"})
	case os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "":
		tries = append(tries, []string{"xdg-open"}, []string{"chromium"}, []string{"google-chrome"}, []string{"firefox"})
	}
	if len(tries) == 0 {
		return tidy, errNoBrowser
	}
	file, err := os.CreateTemp("", "recorderctl-*.html") // of mode 0600
	if err != nil {
		return tidy, err
	}
	tidy = func() { os.Remove(file.Name()) }
	_, err = fmt.Fprintf(file, "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=\"0;url=%s\"><a href=\"%s\">recordings</a>\n", url, url)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return tidy, err
	}
	for _, words := range tries {
		c := exec.Command(words[0], append(words[1:], file.Name())...)
		c.SysProcAttr = &unix.SysProcAttr{Setsid: true} // Ctrl-C here does not close it
		if c.Start() == nil {
			go c.Wait() //nolint:errcheck // it may have handed it to one that runs
			return tidy, nil
		}
	}
	return tidy, errNoBrowser
}

var errNoBrowser = errors.New("there is no browser here")

// webSource is where the pages have recordings from.
type webSource struct {
	c      recorders
	filter target.Filter
}

func (s *webSource) List(ctx context.Context) (api.RecordingList, error) {
	list, err := s.c.List(ctx, s.filter)
	if err != nil && someAnswered(err) {
		err = &web.Partial{Err: err}
	}
	return list, err
}

func (s *webSource) Dump(ctx context.Context, id string) (io.ReadCloser, error) {
	body, err := s.c.Dump(ctx, id, target.Selector{}, replay.Query{Format: replay.FormatRaw})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	file, broken, err := fetched(body)
	if err != nil {
		return nil, err
	}
	if broken != nil {
		file.Close()
		return nil, fmt.Errorf("read recording %s: %w", id, broken)
	}
	return file, nil
}
