package main

import (
	"cmp"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/manpages"
	"github.com/recorderd/recorderd/internal/version"
)

// app is what the commands share.
type app struct {
	name   string // as the user calls the program
	socket string
	kube   kubeFlags
	stderr io.Writer
}

const rootHelp = `recorderctl shows what containers did: every system call with its arguments,
result and duration, signals, and how they ended, as recorderd has recorded it.

TARGET is the id of a recording or the beginning of it; the id of a container or
at least 4 characters of it; the name of a container or of a pod, or the beginning
of one; pod/NAME; or the path of a cgroup. Of several recordings of one container
the live one is meant, else the newest.

It talks to recorderd's socket if that is on this machine, or --socket is given;
else, or with one of the flags --context, --kubeconfig, --cluster, --user, --as,
--node and --recorder-namespace, to the recorderds of the Kubernetes cluster that
kubectl would talk to. There names are those of the context's namespace, as with
kubectl, and TARGET may be deploy/NAME, sts/NAME, ds/NAME, rs/NAME or job/NAME too:
of several pods the one that failed last, else the newest.

As kubectl-recorder in PATH it is the plugin "kubectl recorder", for which there is
no socket but with --socket.

Exit status: 0 all is well; 1 an error; 2 the command line or the kubeconfig is
wrong; 3 there is no such recording, or several fit; 4 recorderd, or the cluster,
cannot be reached, or is not ready; 5 some nodes did not answer: what is shown is
what the others have; 6 the cluster does not allow it. The status of recorderctl
run is that of its command.`

func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "recorderctl",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: a.name},
		Short:         "A flight recorder for containers",
		Long:          rootHelp,
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := a.name + " --help shows what there is"
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
	cmd.PersistentFlags().StringVar(&a.socket, "socket", os.Getenv("RECORDER_SOCKET"), "recorderd's socket, also RECORDER_SOCKET (default "+client.DefaultSocket+")")
	a.kube.add(cmd)
	for _, g := range a.groups() {
		cmd.AddGroup(&cobra.Group{ID: g.id, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.id
			cmd.AddCommand(c)
		}
	}
	cmd.AddCommand(a.dialStdio(), a.health(), manpages.Command("1")) // hidden
	cmd.SetHelpCommandGroupID(groupOther)
	cmd.SetCompletionCommandGroupID(groupOther)
	cmd.InitDefaultHelpCmd()
	cmd.InitDefaultCompletionCmd()
	for _, c := range cmd.Commands() { // cobra's own
		switch c.Name() {
		case "help":
			c.Example = "  recorderctl help dump"
		case "completion":
			c.Example = "  source <(recorderctl completion bash)\n  recorderctl completion zsh >~/.zfunc/_recorderctl"
		}
	}
	for _, c := range cmd.Commands() {
		a.completeFlags(c)
	}
	return cmd
}

const groupOther = "other"

// group is a part of the list of commands in the help.
type group struct {
	id, title string
	commands  []*cobra.Command
}

// groups are the commands, by what people want of them.
func (a *app) groups() []group {
	return []group{
		{"see", "See what happened", []*cobra.Command{a.list(), a.show(), a.dump(), a.diff(), a.ui(), a.decode(), a.top(), a.mcp()}},
		{"keep", "Keep and manage recordings", []*cobra.Command{a.save(), a.freeze(), a.resume(), a.delete()}},
		{"set-up", "Run and set up", []*cobra.Command{a.run(), a.status(), a.deploy(), a.undeploy()}},
		{groupOther, "Other commands", []*cobra.Command{a.version()}},
	}
}

func (a *app) localSocket() string { return cmp.Or(a.socket, client.DefaultSocket) }

// local returns a connection to the daemon on this machine.
func (a *app) local() *client.Client {
	return client.New(client.Unix(a.localSocket()), client.Options{
		Version: version.String(),
		Warn:    func(msg string) { a.say("warning: %s", msg) },
	})
}

func (a *app) warn(msg string) { a.say("%s", msg) }

// selectorFlags are the flags that narrow down TARGET.
func selectorFlags(cmd *cobra.Command, sel *target.Selector) {
	cmd.Flags().StringVarP(&sel.Namespace, "namespace", "n", "", "the pod's namespace")
	cmd.Flags().StringVarP(&sel.Container, "container", "c", "", "the container's name")
	cmd.Flags().BoolVar(&sel.Previous, "previous", false, "the instance of the container before this one, as in kubectl logs")
}
