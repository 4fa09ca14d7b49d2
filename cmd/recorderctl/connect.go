package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/kube"
	"github.com/recorderd/recorderd/internal/version"
	"github.com/recorderd/recorderd/recorder/replay"
)

// recorders are what the commands talk to: the daemon of this machine, or those of a
// cluster.
type recorders interface {
	List(ctx context.Context, f target.Filter) (api.RecordingList, error)
	Get(ctx context.Context, name string, sel target.Selector) (api.Recording, error)
	Dump(ctx context.Context, name string, sel target.Selector, q replay.Query) (io.ReadCloser, error)
	Freeze(ctx context.Context, name string, sel target.Selector) (api.Recording, error)
	Resume(ctx context.Context, name string, sel target.Selector) (api.Recording, error)
	Save(ctx context.Context, name string, sel target.Selector) (api.Recording, error)
	Delete(ctx context.Context, name string, sel target.Selector) (api.Recording, error)
	Close()
}

var (
	_ recorders = (*client.Client)(nil)
	_ recorders = (*cluster.Cluster)(nil)
)

// plugin is the name of the program by which kubectl finds it.
const plugin = "kubectl-recorder"

// newApp returns an app that is called by the name in argv[0].
func newApp(argv0 string, stderr io.Writer) *app {
	a := &app{name: "recorderctl", stderr: stderr}
	if base := strings.TrimSuffix(path.Base(argv0), ".exe"); base == plugin {
		a.name, a.kube.plugin = "kubectl recorder", true
	}
	return a
}

// kubeFlags are the flags that are about a cluster: the usual ones of kubectl, and ours.
type kubeFlags struct {
	kube.Flags
	recorders string
	node      string
	perNode   time.Duration
	plugin    bool // called by kubectl
	flags     *pflag.FlagSet
}

// clusterFlags are those that say by themselves that a cluster is meant.
var clusterFlags = []string{"context", "kubeconfig", "cluster", "user", "as", "as-group", "node", "recorder-namespace"}

func (k *kubeFlags) add(root *cobra.Command) {
	f := root.PersistentFlags()
	k.flags = f
	f.StringVar(&k.Context, "context", "", "context of the kubeconfig")
	f.StringVar(&k.Kubeconfig, "kubeconfig", "", "kubeconfig file (default: KUBECONFIG, ~/.kube/config, or the credentials of the pod this runs in)")
	f.StringVar(&k.Cluster, "cluster", "", "cluster of the kubeconfig")
	f.StringVar(&k.User, "user", "", "user of the kubeconfig")
	f.StringVar(&k.As, "as", "", "user to impersonate")
	f.StringArrayVar(&k.AsGroups, "as-group", nil, "group to impersonate")
	f.StringVar(&k.recorders, "recorder-namespace", cluster.DefaultNamespace, "namespace of recorderd's pods")
	f.StringVar(&k.node, "node", "", "ask this node only")
	f.DurationVar(&k.perNode, "timeout-per-node", 10*time.Second, "how long a node may take to answer")
	for name, words := range map[string]func(ctx context.Context) []string{
		"context": func(context.Context) []string { return kube.Contexts(k.Flags) },
		"node":    k.nodes,
	} {
		_ = root.RegisterFlagCompletionFunc(name, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			ctx, cancel := context.WithTimeout(context.Background(), completionTime)
			defer cancel()
			return words(ctx), cobra.ShellCompDirectiveNoFileComp
		})
	}
}

// first returns the first flag that says that a cluster is meant, or nothing.
func (k *kubeFlags) first() string {
	for _, name := range clusterFlags {
		if k.flags != nil && k.flags.Changed(name) {
			return "--" + name
		}
	}
	return ""
}

// given reports whether a flag says that a cluster is meant.
func (k *kubeFlags) given() bool { return k.first() != "" }

// inCluster decides whom to talk to: a socket that was named; a cluster that was named;
// the socket of this machine if there is one; a cluster, if there is a kubeconfig.
func (a *app) inCluster() (bool, error) {
	named := a.kube.flags.Changed("socket")
	switch {
	case named && a.kube.given():
		return false, usagef("--socket and %s exclude each other: one is about this machine, the other about a cluster", a.kube.first())
	case named:
		return false, nil
	case a.kube.given(), a.kube.plugin:
		return true, nil
	case a.socket != "": // RECORDER_SOCKET
		return false, nil
	}
	if _, err := os.Stat(client.DefaultSocket); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return kube.Present(), nil
}

// client returns what to talk to.
func (a *app) client() (recorders, error) {
	remote, err := a.inCluster()
	if err != nil {
		return nil, err
	}
	if !remote {
		return a.local(), nil
	}
	return a.cluster()
}

// cluster returns the recorderds of the cluster.
func (a *app) cluster() (*cluster.Cluster, error) {
	cfg, err := kube.Load(a.kube.Flags, "recorderctl/"+version.String())
	if err != nil {
		return nil, err
	}
	if a.kube.perNode <= 0 {
		return nil, usagef("--timeout-per-node is %s: it has to be more than nothing", a.kube.perNode)
	}
	return cluster.New(cfg, cluster.Options{
		RecorderNamespace: a.kube.recorders, Node: a.kube.node, PerNode: a.kube.perNode, Version: version.String(),
		Warn: a.warn,
	})
}
