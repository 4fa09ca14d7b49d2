// Package cli tries recorderctl through a whole Kubernetes node: deployed as a
// DaemonSet by recorderctl deploy, asked as a user with a kubeconfig would. Its tests
// have the build tag e2e and run in the cluster's network namespace: scripts/e2e-cli.
package cli
