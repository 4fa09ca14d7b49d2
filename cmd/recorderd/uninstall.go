package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/bpf"
)

func uninstallCommand() *cobra.Command {
	var pinDir string
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the programs and all recordings in memory off this node",
		Long: `uninstall takes away what a recorderd that has ended left pinned: the programs stop,
and the rings with all recordings in memory are gone. It refuses while a recorderd runs
with that pin directory.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return bpf.Uninstall(pinDir) },
	}
	cmd.Flags().StringVar(&pinDir, "pin-dir", "/sys/fs/bpf/recorderd", "directory on a BPF file system for programs and rings")
	return cmd
}
