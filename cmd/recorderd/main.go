// Command recorderd records the system calls of every container on its node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/recorder"
)

// Exit statuses, as the help states them.
const (
	exitError       = 1
	exitUsage       = 2
	exitUnsupported = 3 // this kernel or process cannot record
	exitInUse       = 4 // another recorderd has the pin directory, the socket or the state directory
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := command(os.Args[1:]).ExecuteContext(ctx)
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") { // joined errors
		fmt.Fprintf(os.Stderr, "recorderd: %s\n", line)
	}
	os.Exit(status(err))
}

func status(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, bpf.ErrUnsupported), errors.Is(err, bpf.ErrRights):
		return exitUnsupported
	case errors.Is(err, bpf.ErrInUse), errors.Is(err, server.ErrInUse), errors.Is(err, recorder.ErrStateInUse):
		return exitInUse
	}
	return exitError
}
