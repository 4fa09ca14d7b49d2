package main

import (
	"slices"
	"strings"
)

// list is a flag that can be given several times, and whose values are checked when
// they are.
type list struct {
	to    *[]string
	check func(string) error
}

// String shows the values.
func (l *list) String() string {
	if l.to == nil || len(*l.to) == 0 {
		return ""
	}
	return strings.Join(*l.to, "\n")
}

// Set adds a value.
func (l *list) Set(s string) error { return l.Append(s) }

// Type is shown in the help.
func (l *list) Type() string { return "strings" }

// Append adds a value.
func (l *list) Append(s string) error {
	if err := l.check(s); err != nil {
		return err
	}
	*l.to = append(*l.to, s)
	return nil
}

// Replace sets all values.
func (l *list) Replace(values []string) error {
	for _, s := range values {
		if err := l.check(s); err != nil {
			return err
		}
	}
	*l.to = slices.Clone(values)
	return nil
}

// GetSlice returns the values.
func (l *list) GetSlice() []string { return *l.to }
