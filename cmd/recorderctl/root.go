package main

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/version"
)

// app is what the commands share.
type app struct {
	socket string
	stderr io.Writer
}

const rootHelp = `recorderctl shows what containers did: every system call with its arguments,
result and duration, signals, and how they ended, as recorderd has recorded it.

TARGET is the id of a recording or the beginning of it; the id of a container or
at least 4 characters of it; the name of a container or of a pod; pod/NAME; or the
path of a cgroup. Of several recordings of one container the live one is meant,
else the newest.

Exit status: 0 all is well; 1 an error; 2 the command line is wrong; 3 there is no
such recording, or several fit; 4 recorderd cannot be reached. The status of
recorderctl run is that of its command.`

func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "recorderctl",
		Short:         "A flight recorder for containers",
		Long:          rootHelp,
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "recorderctl --help shows what there is"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "is it " + strings.Join(near, " or ") + "?"
			}
			return usagef("unknown command %q: %s", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w: %s --help has more", err, cmd.CommandPath())
	})
	socket := os.Getenv("RECORDER_SOCKET")
	if socket == "" {
		socket = client.DefaultSocket
	}
	cmd.PersistentFlags().StringVar(&a.socket, "socket", socket, "recorderd's socket (also RECORDER_SOCKET)")
	cmd.AddCommand(a.list(), a.show(), a.dump(), a.decode(), a.run(), a.status(), a.freeze(), a.resume(), a.save(), a.delete(), a.version())
	return cmd
}

// client returns a connection to the daemon.
func (a *app) client() *client.Client {
	return client.New(client.Unix(a.socket), client.Options{
		Version: version.String(),
		Warn:    func(msg string) { a.say("warning: %s", msg) },
	})
}

// selectorFlags are the flags that narrow down TARGET.
func selectorFlags(cmd *cobra.Command, sel *target.Selector) {
	cmd.Flags().StringVarP(&sel.Namespace, "namespace", "n", "", "the pod's namespace")
	cmd.Flags().StringVarP(&sel.Container, "container", "c", "", "the container's name")
	cmd.Flags().BoolVar(&sel.Previous, "previous", false, "the instance of the container before this one, as in kubectl logs")
}
