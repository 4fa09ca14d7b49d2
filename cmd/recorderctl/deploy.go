package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/install"
	"github.com/recorderd/recorderd/deploy"
	"github.com/recorderd/recorderd/internal/kube"
	"github.com/recorderd/recorderd/internal/version"
)

func (a *app) deploy() *cobra.Command {
	o := deploy.Default()
	var namespace, dry string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Install recorderd into a Kubernetes cluster",
		Long: `Install recorderd into the cluster, as a DaemonSet in a namespace of its own, and wait
until every node records and reaches its container runtime. Run again it changes what is
there; recording goes on meanwhile. It does not touch what Helm or kustomize has
installed. What it applies (server-side, as field manager recorderctl) is printed with
--dry-run=client -o yaml.

A namespace that is there already stays as it is: it needs the label
pod-security.kubernetes.io/enforce=privileged where Pod Security admission enforces
less by default.`,
		Example: `  recorderctl deploy --image registry.example/recorderd:v1
  recorderctl deploy --memory-budget 1GiB --node-selector kubernetes.io/os=linux
  recorderctl deploy --dry-run=client -o yaml`,
		Args: none,
	}
	f := cmd.Flags()
	f.StringVarP(&namespace, "namespace", "n", "", "namespace to install into (default: --recorder-namespace)")
	podFlags(f, &o)
	f.Var(&o.MemoryBudget, "memory-budget", "memory for all rings of a node; the pods' requests and limits follow it")
	f.Var(&o.RingSize, "ring-size", "memory for the calls of one container, a power of two from 64KiB to 64MiB")
	f.StringVar(&o.ContainerdDir, "containerd-dir", o.ContainerdDir, "directory of containerd.sock on the nodes; k3s has /run/k3s/containerd")
	f.DurationVar(&timeout, "timeout", 3*time.Minute, "how long to wait for the nodes; 0: not at all")
	f.StringVar(&dry, "dry-run", "none", "none, or client: print what would be applied")
	out := outputFlag(cmd, "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Namespace = cmp.Or(namespace, a.kube.recorders)
		v, err := o.Values()
		if err != nil {
			return usagef("deploy: %w", err)
		}
		switch {
		case dry == "client":
			w, done := output(cmd)
			all, err := deploy.YAML(v)
			if err == nil {
				_, err = w.Write(all)
			}
			return done(err)
		case dry != "none":
			return usagef("deploy: --dry-run=%s: it is none or client", dry)
		case cmd.Flags().Changed("output"):
			return usagef("deploy: -o %s prints what --dry-run=client would apply, and nothing else", out.value)
		case timeout < 0:
			return usagef("deploy: --timeout %s is less than nothing", timeout)
		}
		in, err := a.installer(o.Namespace)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), cmp.Or(timeout, time.Minute), fmt.Errorf("not more after %s", cmp.Or(timeout, time.Minute)))
		defer cancel()
		if err := in.Apply(ctx, v); err != nil {
			return err
		}
		a.say("applied to namespace %s", o.Namespace)
		if timeout == 0 {
			return nil
		}
		if err := in.Wait(ctx, "recorderd", "recorded"); err != nil {
			return a.lines(err)
		}
		return a.lines(in.Check(ctx, o.ContainerdDir, func(ctx context.Context) ([]api.Status, error) { return a.statusesOf(ctx, o.Namespace) }))
	}
	return cmd
}

// statusesOf asks the daemons of a namespace. They may have been replaced since they were
// asked before, so that each time they are looked for anew.
func (a *app) statusesOf(ctx context.Context, namespace string) ([]api.Status, error) {
	one := *a
	one.kube.recorders, one.kube.node = namespace, ""
	c, err := one.cluster()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Statuses(ctx, 0)
}

// podFlags adds the flags that deploy and undeploy have in common.
func podFlags(f *pflag.FlagSet, o *deploy.Options) {
	f.StringVar(&o.Image, "image", o.Image, "recorderd's image")
	f.StringVar(&o.PullPolicy, "image-pull-policy", o.PullPolicy, "Always, IfNotPresent or Never")
	f.StringToStringVar(&o.NodeSelector, "node-selector", nil, "only on nodes with these labels, as key=value,…")
	f.StringVar(&o.PriorityClass, "priority-class", o.PriorityClass, "priority class of the pods; some clusters allow this one in kube-system only. Empty: the cluster's default")
}

func (a *app) undeploy() *cobra.Command {
	o := deploy.Default()
	var namespace string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "undeploy",
		Short: "Remove recorderd from a Kubernetes cluster",
		Long: `Remove what recorderctl deploy has made, and the programs and all recordings in
memory from the nodes: when the daemons have ended, a DaemonSet recorderd-uninstall
takes off every node what is pinned there, and goes. Only then are the objects deleted.
Dumps on the nodes' disks (/var/lib/recorderd) stay. The namespace goes if deploy has
made it, with all that is in it.

It looks at the nodes also where the DaemonSet is gone, as after helm uninstall or
kubectl delete, which leave pins on nodes that were away. For that it needs an image:
--image. Where there is a DaemonSet, its image, node selector and priority class are
used, unless flags say otherwise.`,
		Example: `  recorderctl undeploy
  recorderctl undeploy --image registry.example/recorderd:v1   # the DaemonSet is gone`,
		Args: none,
	}
	podFlags(cmd.Flags(), &o)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace to remove from (default: --recorder-namespace)")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Minute, "how long to wait for the nodes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Namespace = cmp.Or(namespace, a.kube.recorders)
		v, err := o.Values()
		if err != nil {
			return usagef("undeploy: %w", err)
		}
		given := cmd.Flags().Changed
		override := install.Override{
			Image: given("image"), PullPolicy: given("image-pull-policy"), NodeSelector: given("node-selector"), PriorityClass: given("priority-class"),
		}
		if timeout <= 0 {
			return usagef("undeploy: --timeout %s: it has to be more than nothing", timeout)
		}
		in, err := a.installer(o.Namespace)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("not more after %s", timeout))
		defer cancel()
		if err := a.lines(in.Remove(ctx, v, override)); err != nil {
			return err
		}
		a.say("removed from namespace %s", o.Namespace)
		return nil
	}
	return cmd
}

func (a *app) installer(namespace string) (*install.Installer, error) {
	if a.kube.flags.Changed("socket") {
		return nil, usagef("--socket is about this machine: this is about a cluster")
	}
	cfg, err := kube.Load(a.kube.Flags, "recorderctl/"+version.String())
	if err != nil {
		return nil, err
	}
	k, err := kube.New(cfg.Rest, cfg.Where)
	if err != nil {
		return nil, err
	}
	return &install.Installer{Kube: k, Namespace: namespace, Say: a.say}, nil
}

// lines says what is wrong with the nodes, a line for each.
func (a *app) lines(err error) error {
	var nodes *install.NotReadyError
	if !errors.As(err, &nodes) {
		return err
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		a.say("%s", line)
	}
	return exitStatus(statusPartial)
}
