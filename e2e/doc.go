// Package e2e tries the recorder on a whole node: a real API server, kubelet and
// containerd, brought up by the scripts in cluster/. Its tests have the build tag
// e2e and run in the cluster's network namespace: make e2e.
package e2e
