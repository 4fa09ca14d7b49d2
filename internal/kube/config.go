package kube

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // as kubectl; other providers are exec plugins
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Flags are those of kubectl that say which cluster is meant, and who asks.
type Flags struct {
	Kubeconfig string
	Context    string
	Cluster    string
	User       string
	As         string
	AsGroups   []string
}

// Config is a cluster and how to talk to it.
type Config struct {
	Rest      *rest.Config
	Namespace string // of the context
	Where     string // for errors: the cluster, its context and address
	InCluster bool   // the credentials are those of the pod that this runs in
}

// ConfigError is a mistake in the flags or in the kubeconfig.
type ConfigError struct{ msg string }

// Error says which.
func (e *ConfigError) Error() string { return e.msg }

// Present reports whether a kubeconfig or a pod's credentials are there at all.
func Present() bool {
	for _, file := range clientcmd.NewDefaultClientConfigLoadingRules().GetLoadingPrecedence() {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	_, err := rest.InClusterConfig()
	return err == nil
}

// Load reads the kubeconfig as kubectl does, or takes the credentials of the pod that
// this runs in. agent is what the API server's logs show.
func Load(f Flags, agent string) (*Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.Kubeconfig
	rules.WarnIfAllMissing = false
	raw, err := rules.Load()
	if err != nil {
		return nil, &ConfigError{fmt.Sprintf("kubeconfig: %v", err)}
	}
	name := cmp.Or(f.Context, raw.CurrentContext)
	for _, known := range []struct {
		flag, name string
		names      []string
	}{
		{"context", f.Context, slices.Sorted(maps.Keys(raw.Contexts))},
		{"cluster", f.Cluster, slices.Sorted(maps.Keys(raw.Clusters))},
		{"user", f.User, slices.Sorted(maps.Keys(raw.AuthInfos))},
	} {
		if known.name != "" && !slices.Contains(known.names, known.name) {
			return nil, &ConfigError{fmt.Sprintf("--%s %s: it is not in the kubeconfig, which has %s", known.flag, known.name, cmp.Or(strings.Join(known.names, ", "), "none"))}
		}
	}
	o := &clientcmd.ConfigOverrides{CurrentContext: f.Context}
	o.Context.Cluster, o.Context.AuthInfo = f.Cluster, f.User
	o.AuthInfo.Impersonate, o.AuthInfo.ImpersonateGroups = f.As, f.AsGroups
	cc := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, o)
	cfg, err := cc.ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err), errors.Is(err, rest.ErrNotInCluster):
		return nil, &ConfigError{"there is no kubeconfig (KUBECONFIG, --kubeconfig, ~/.kube/config), and this is no pod with credentials of its own"}
	case err != nil:
		return nil, &ConfigError{fmt.Sprintf("kubeconfig: %v", err)}
	}
	ns, _, err := cc.Namespace()
	if err != nil {
		return nil, &ConfigError{fmt.Sprintf("kubeconfig: %v", err)}
	}
	cfg.UserAgent = agent
	cfg.WarningHandler = rest.NoWarnings{} // they would come between the lines of a dump
	c := &Config{Rest: cfg, Namespace: ns, Where: fmt.Sprintf("the cluster of context %s (%s)", name, cfg.Host)}
	if name == "" {
		c.InCluster = len(raw.Clusters) == 0
		c.Where = fmt.Sprintf("the cluster (%s)", cfg.Host)
	}
	return c, nil
}

// Contexts returns the names of the contexts, for completion.
func Contexts(f Flags) []string {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.Kubeconfig
	raw, err := rules.Load()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(raw.Contexts))
}
