//go:build race

package recorder

// underRace: the race detector has memory of its own for each byte that is used.
const underRace = true
