package cluster

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/recorderd/recorderd/internal/kube"
)

// Names returns what TARGET may be that the API server knows: pods, or after
// "deploy/" and the like those. It is empty if the server does not tell.
func (c *Cluster) Names(ctx context.Context, namespace, word string) []string {
	p := kube.Path{Namespace: namespace, Resource: "pods"}
	prefix := ""
	if kind, _, slash := strings.Cut(word, "/"); slash {
		prefix = kind + "/"
		if w, ok := workloads[strings.ToLower(kind)]; ok {
			p.Group, p.Resource = w.Group, w.Resource
		} else if kind != "pod" && kind != "pods" && kind != "po" {
			return nil
		}
	}
	var list metav1.PartialObjectMetadataList
	if err := c.kube.ListNames(ctx, p, &list); err != nil {
		return nil
	}
	var names []string
	for i := range list.Items {
		names = append(names, prefix+list.Items[i].Name)
	}
	return names
}

// Namespaces returns the names of all namespaces, if the server tells.
func (c *Cluster) Namespaces(ctx context.Context) []string {
	var list metav1.PartialObjectMetadataList
	if err := c.kube.ListNames(ctx, kube.Path{Resource: "namespaces"}, &list); err != nil {
		return nil
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

// Containers returns the names of a pod's containers, if the server tells.
func (c *Cluster) Containers(ctx context.Context, namespace, pod string) []string {
	var p corev1.Pod
	if err := c.kube.Get(ctx, kube.Path{Namespace: namespace, Resource: "pods", Name: pod}, &p); err != nil {
		return nil
	}
	return strings.Split(containers(&p), ", ")
}

// Nodes returns the names of the nodes that have a recorderd.
func (c *Cluster) Nodes(ctx context.Context) []string {
	ds, err := c.find(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, d := range ds {
		names = append(names, d.node)
	}
	return slices.Compact(names)
}
