//go:build !race

// Package race tells tests whether the race detector watches them.
package race

// Enabled: it does not.
const Enabled = false
