package main

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
	"github.com/recorderd/recorderd/internal/kube"
)

// completeTargets offers the recordings that there are. It is quiet and quick when
// the daemon is not there.
func (a *app) completeTargets(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const how = cobra.ShellCompDirectiveNoFileComp
		if len(args) >= most {
			return nil, how
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		c, err := a.client()
		if err != nil {
			return nil, how
		}
		defer c.Close()
		cl, remote := c.(*cluster.Cluster)
		var filter target.Filter
		if n := cmd.Flags().Lookup("namespace"); n != nil {
			filter.Namespace = n.Value.String()
		}
		var names <-chan []string
		if remote {
			inNamespace(c, &filter)
			names = a.clusterNames(ctx, cl, filter.Namespace, word)
		}
		list, err := c.List(ctx, filter) // in a cluster: what answers in time
		if err != nil && !remote {
			return nil, how
		}
		var out []cobra.Completion
		add := func(word, about string) {
			if offered(word) && !slices.Contains(args, word) {
				out = append(out, cobra.CompletionWithDesc(word, render.Clean(about)))
			}
		}
		for i := range list.Recordings {
			r := &list.Recordings[i]
			about := string(r.State) + " " + r.Container.Image
			add(r.ID, about+" "+r.Container.Name)
			add(r.Container.Name, about)
			if r.Pod != nil && r.Pod.Name != "" {
				add("pod/"+r.Pod.Name, about)
			}
		}
		if names != nil {
			for _, name := range <-names {
				add(name, "")
			}
		}
		slices.Sort(out)
		return slices.CompactFunc(out, sameWord), how
	}
}

// offered reports whether completion offers a name that a container chose: its characters are ones
// that no shell treats specially. The shells' scripts do not quote what they put on the command
// line, and bash's evaluates the line at the next key.
func offered(name string) bool { return plainName.MatchString(name) }

// plainName does not begin with -, which is a flag, or =, which zsh expands.
var plainName = regexp.MustCompile(`^[\p{L}\p{N}_./@%+,:][\p{L}\p{N}_./@%+,:=-]*$`)

// completionTime is how long a user who has pressed a key waits.
const completionTime = 1500 * time.Millisecond

// sameWord compares without what is said about the words.
func sameWord(a, b string) bool {
	x, _, _ := strings.Cut(a, "\t")
	y, _, _ := strings.Cut(b, "\t")
	return x == y
}

// clusterNames sends the names of what the API server has that word may begin.
func (a *app) clusterNames(ctx context.Context, cl *cluster.Cluster, namespace, word string) <-chan []string {
	names := make(chan []string, 1)
	go func() { names <- cl.Names(ctx, namespace, word) }()
	return names
}

// nodes returns the names of the nodes that have a recorderd.
func (k *kubeFlags) nodes(ctx context.Context) []string {
	cfg, err := kube.Load(k.Flags, "recorderctl")
	if err != nil {
		return nil
	}
	c, err := cluster.New(cfg, cluster.Options{RecorderNamespace: k.recorders})
	if err != nil {
		return nil
	}
	return c.Nodes(ctx)
}

// completeFlags completes the names of namespaces and containers, where a command has
// flags for them.
func (a *app) completeFlags(cmd *cobra.Command) {
	for flag, words := range map[string]func(ctx context.Context, c *cluster.Cluster, args []string) []string{
		"namespace": func(ctx context.Context, c *cluster.Cluster, _ []string) []string { return c.Namespaces(ctx) },
		"container": func(ctx context.Context, c *cluster.Cluster, args []string) []string {
			if len(args) == 0 {
				return nil
			}
			namespace, _ := cmd.Flags().GetString("namespace")
			return c.Containers(ctx, cmp.Or(namespace, c.Namespace()), strings.TrimPrefix(args[0], "pod/"))
		},
	} {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		_ = cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			const how = cobra.ShellCompDirectiveNoFileComp
			if remote, err := a.inCluster(); err != nil || !remote && cmd.Name() != "deploy" && cmd.Name() != "undeploy" {
				return nil, how
			}
			c, err := a.cluster()
			if err != nil {
				return nil, how
			}
			ctx, cancel := context.WithTimeout(context.Background(), completionTime)
			defer cancel()
			return words(ctx, c, args), how
		})
	}
}
