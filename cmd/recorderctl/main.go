// Command recorderctl shows what containers did: it lists the flight recordings of
// a recorderd and dumps what is in them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/internal/kube"
)

// Exit statuses. The help of the root command documents them.
const (
	statusOK          = 0
	statusError       = 1
	statusUsage       = 2
	statusNotFound    = 3
	statusUnreachable = 4
	statusPartial     = 5
	statusForbidden   = 6
)

func main() {
	// No signal is caught: there is nothing to tidy up, and a closed pipe or ^C is no
	// error. Only the command run has more to do.
	//
	// The client for Kubernetes logs by itself what it also returns, and that a
	// connection was closed by ourselves: errors are one line here, and ours.
	utilruntime.ErrorHandlers = nil
	klog.SetLogger(logr.Discard())
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program, and returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(args[0], stderr)
	root := a.root()
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil || nobodyReads(err) { // whoever read has read enough
		return statusOK
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	for _, e := range each(err) {
		a.complain(e)
	}
	return statusOf(err)
}

// nobodyReads reports whether an error says that our output is closed, and not a
// connection to recorderd or to a cluster.
func nobodyReads(err error) bool {
	var connection *net.OpError
	return errors.Is(err, syscall.EPIPE) && !errors.As(err, &connection)
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Unwrap returns the error without its kind.
func (e usageError) Unwrap() error { return e.error }

// exitStatus ends the program without a word: everything has been said.
type exitStatus int

// Error names the status.
func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// each returns the errors that were joined: each is a line.
func each(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, each(e)...)
	}
	return all
}

// statusOf returns the exit status of an error; of several, that of the first.
func statusOf(err error) int {
	var missing *cluster.MissingError
	var partial *cluster.PartialError
	switch {
	case errors.As(err, &missing):
		return statusPartial
	case errors.As(err, &partial) && partial.All():
		return statusUnreachable
	case errors.As(err, &partial):
		return statusPartial
	}
	err = each(err)[0]
	var usage usageError
	var config *kube.ConfigError
	var forbidden *kube.ForbiddenError
	var unauthorized *kube.UnauthorizedError
	var none *cluster.NoDaemonError
	var un *client.UnreachableError
	var e *api.Error
	switch {
	case errors.As(err, &usage), errors.As(err, &config):
		return statusUsage
	case errors.As(err, &forbidden), errors.As(err, &unauthorized):
		return statusForbidden
	case errors.As(err, &un), errors.As(err, &none):
		return statusUnreachable
	case !errors.As(err, &e):
		return statusError
	}
	switch e.Code {
	case api.CodeBadRequest:
		return statusUsage
	case api.CodeNotFound, api.CodeAmbiguous:
		return statusNotFound
	case api.CodeNotReady:
		return statusUnreachable
	}
	return statusError
}

// complain writes an error as one line, whatever is in it.
func (a *app) complain(err error) {
	a.say("%v", err)
}

// say writes a message for people.
func (a *app) say(format string, args ...any) {
	lines := strings.Split(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n")
	for i := range lines {
		lines[i] = render.Clean(strings.TrimSpace(lines[i]))
	}
	fmt.Fprintln(a.stderr, a.name+":", strings.Join(lines, "; "))
}

// none wants no arguments.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s: %q is too much: %s takes flags only", cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}
