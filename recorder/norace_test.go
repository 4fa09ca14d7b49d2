//go:build !race

package recorder

const underRace = false
