// Package manpages makes manual pages of a program's commands.
package manpages

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Command is a hidden command, man, that writes the manual pages of its program into a directory.
func Command(section string) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages of all commands into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return Write(cmd.Root(), section, args[0])
		},
	}
}

// Write writes a page for each command into a directory, which it makes. The date of the pages is
// $SOURCE_DATE_EPOCH if that is set.
func Write(root *cobra.Command, section, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // no list of dates
	escape(root)
	header := &doc.GenManHeader{Section: section, Source: root.Name() + " " + root.Version, Manual: root.Short}
	return doc.GenManTree(root, header, dir)
}

// escape keeps the characters of Markdown, from which the pages are made, from being taken for it.
func escape(cmd *cobra.Command) {
	cmd.Long = markdown.Replace(cmd.Long)
	for _, sub := range cmd.Commands() {
		escape(sub)
	}
}

var markdown = strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, "`", "\\`")
