//go:build !race

package spool

const underRace = false
