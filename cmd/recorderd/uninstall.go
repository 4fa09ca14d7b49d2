package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/bpf"
)

func uninstallCommand() *cobra.Command {
	var pinDir string
	var wait bool
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the programs and all recordings in memory off this node",
		Long: `uninstall takes away what a recorderd that has ended left pinned: the programs stop,
and the rings with all recordings in memory are gone. It refuses while a recorderd runs
with that pin directory. It is no error if there is nothing.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := bpf.Uninstall(pinDir); err != nil {
				return err
			}
			if wait {
				<-cmd.Context().Done()
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&pinDir, "pin-dir", "/sys/fs/bpf/recorderd", "directory on a BPF file system for programs and rings")
	cmd.Flags().BoolVar(&wait, "wait", false, "stay until a signal comes, as a pod of a daemon set has to (recorderctl undeploy)")
	return cmd
}
