//go:build race

// Package race tells tests whether the race detector watches them.
package race

// Enabled: everything takes some ten times as long, each byte that is used has memory of its own
// beside it, and sync.Pool forgets some of what it is given, on purpose.
const Enabled = true
