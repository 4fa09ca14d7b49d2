//go:build race

package spool

// underRace: sync.Pool forgets some of what it is given, on purpose.
const underRace = true
