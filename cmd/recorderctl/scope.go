package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/api/client/cluster"
	"github.com/recorderd/recorderd/api/target"
)

// scope is which recordings a command is about, where it is about all that fit: -n, -A and -l, as
// kubectl has them.
type scope struct {
	target.Filter
	all bool // of all namespaces
}

func (s *scope) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&s.Namespace, "namespace", "n", "", "only of pods in this namespace")
	f.BoolVarP(&s.all, "all-namespaces", "A", false, "of all namespaces, and of no pod (the default on one machine)")
	f.StringVarP(&s.Labels, "selector", "l", "", "only those whose labels fit, such as app=web,tier!=db")
}

func (s *scope) check(cmd *cobra.Command) error {
	if s.all && s.Namespace != "" {
		return usagef("%s: -n %s and -A exclude each other", cmd.Name(), s.Namespace)
	}
	return nil
}

// in narrows a scope down for whom it asks.
func (s *scope) in(c recorders) {
	if !s.all {
		inNamespace(c, &s.Filter)
	}
}

// inNamespace narrows a filter without a namespace down to the context's, in a cluster.
func inNamespace(c recorders, f *target.Filter) {
	if cl, ok := c.(*cluster.Cluster); ok && f.Namespace == "" {
		f.Namespace = cl.Namespace()
	}
}

// someAnswered reports whether a list has what there is, or that of some of the nodes.
func someAnswered(err error) bool {
	var partial *cluster.PartialError
	return err == nil || errors.As(err, &partial) && !partial.All()
}
