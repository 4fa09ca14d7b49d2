// Package columns measures and cuts text by the columns that it takes on a terminal: wide
// characters take two, combining ones none.
package columns

import "github.com/mattn/go-runewidth"

// Width is how many columns a text takes.
func Width(s string) int { return runewidth.StringWidth(s) }

// Head is the beginning of a text, in at most so many columns.
func Head(s string, width int) string { return runewidth.Truncate(s, width, "") }

// Tail is the end of a text, in at most so many columns.
func Tail(s string, width int) string {
	return runewidth.TruncateLeft(s, Width(s)-width, "")
}

// Cut cuts a text at its end, and says so.
func Cut(s string, width int) string { return runewidth.Truncate(s, width, "…") }

// CutMiddle cuts a text in its middle, and says so. At most so many columns of its end stay.
func CutMiddle(s string, width, tail int) string {
	if Width(s) <= width {
		return s
	}
	end := Tail(s, tail)
	return Head(s, width-Width(end)-1) + "…" + end
}

// Pad adds spaces behind a text up to a width.
func Pad(s string, width int) string { return runewidth.FillRight(s, width) }
