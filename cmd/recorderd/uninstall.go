package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/bpf"
)

// reportTo is the environment variable that names a file for what uninstall has found:
// the pod's termination log, for recorderctl undeploy. It is not a flag, which an older
// image would refuse.
const reportTo = "RECORDERD_REPORT"

// countPins counts what is pinned in a directory; 0 if it is not there.
func countPins(dir string) int {
	n := 0
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { //nolint:errcheck // Uninstall says what is wrong
		if err == nil && !d.IsDir() {
			n++
		}
		return nil
	})
	return n
}

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
			pins := countPins(pinDir)
			if err := bpf.Uninstall(pinDir); err != nil {
				return err
			}
			said := fmt.Sprintf("nothing was pinned in %s", pinDir)
			if pins > 0 {
				said = fmt.Sprintf("%d pins of programs, maps and recordings were taken out of %s", pins, pinDir)
			}
			fmt.Fprintln(cmd.OutOrStdout(), said)
			if file := os.Getenv(reportTo); file != "" {
				if err := os.WriteFile(file, []byte(said), 0o644); err != nil {
					return fmt.Errorf("write the report for $%s: %w", reportTo, err)
				}
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
