package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client/cluster"
)

// TestQuitPager catches a node that did not answer and is not told, since the user has quit the
// pager, or a quit pager that is told as an error.
func TestQuitPager(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("RECORDERCTL_PAGER", "true")
	master, terminal := pty(t)
	go io.Copy(io.Discard, master) //nolint:errcheck // it ends with the terminal
	away := &cluster.NodeError{Node: "n1", Err: errors.New("no answer")}
	partial := &cluster.PartialError{Nodes: []*cluster.NodeError{away}, Asked: 3}
	for _, tc := range []struct {
		listErr error
		status  int
		want    string
	}{
		{nil, statusOK, ""},
		{partial, statusPartial, "node n1: no answer"},
		{&cluster.PartialError{Nodes: []*cluster.NodeError{away, {Node: "n2", Err: context.Canceled}}, Asked: 3}, statusPartial, "1 of 3 nodes"},
		{&cluster.PartialError{Nodes: []*cluster.NodeError{{Node: "n2", Err: context.Canceled}}, Asked: 3}, statusOK, ""},
		{&cluster.MissingError{Partial: &cluster.PartialError{Nodes: []*cluster.NodeError{{Node: "n2", Err: context.Canceled}}, Asked: 3}, Err: api.Errorf(api.CodeNotFound, "none")}, statusOK, ""},
		{api.Errorf(api.CodeNotFound, "gone"), statusNotFound, "gone"},
	} {
		for name, quit := range map[string]func(cmd *cobra.Command) error{
			"nobody reads": func(cmd *cobra.Command) error {
				for {
					if _, err := cmd.OutOrStdout().Write(bytes.Repeat([]byte("x\n"), 1000)); err != nil {
						if !errors.Is(err, syscall.EPIPE) {
							t.Errorf("write: %v", err)
						}
						return err
					}
				}
			},
			"canceled": func(cmd *cobra.Command) error {
				fmt.Fprintln(cmd.OutOrStdout(), "x")
				<-cmd.Context().Done()
				return fmt.Errorf("get the dump: %w", cmd.Context().Err())
			},
		} {
			cmd := &cobra.Command{}
			cmd.SetContext(t.Context())
			cmd.SetOut(terminal)
			err := newApp("recorderctl", io.Discard).page(cmd, true, func() error {
				return eachOf([]one{{called: "a"}, {called: "b"}}, tc.listErr, func(*one) error { return quit(cmd) })
			})
			status, said := statusOK, ""
			if err != nil {
				status, said = statusOf(err), err.Error()
			}
			if status != tc.status || !strings.Contains(said, tc.want) || tc.want == "" && said != "" ||
				strings.Contains(said, "cancel") || strings.Contains(said, "pipe") {
				t.Errorf("%v, %s: status %d, %q, want %d and %q", tc.listErr, name, status, said, tc.status, tc.want)
			}
		}
	}
}
