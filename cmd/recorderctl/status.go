package main

import (
	"time"
	"unsafe"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/cmd/recorderctl/internal/render"
)

func (a *app) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the recorder costs and what it lost",
		Long: `Show what the recorder costs and what it lost: recordings, memory by kind, dumps on
disk, records a second, and every way in which something was not recorded.

--cost counts what its programs take of the CPUs, by the kernel's own statistics,
which are switched on for that time: they make each program some 20 to 100 ns slower.
That takes CAP_SYS_ADMIN, which recorderd does not keep: recorderctl does it, as root on
the node. Through a cluster they must be on already (sysctl kernel.bpf_stats_enabled=1).

In a cluster there is a line for each node, and with --node all of one. -o jsonpath= takes
an expression over what -o json has, and custom-columns= has a row for each node.`,
		Example: `  recorderctl status
  recorderctl status --cost 2s
  recorderctl status -o jsonpath='{.rings.bytes} of {.rings.budget} bytes{"\n"}'
  recorderctl status --context prod -o custom-columns=NODE:.node,VERSION:.version,SPARE:.rings.spare`,
		Args: none,
	}
	var cost time.Duration
	cmd.Flags().DurationVar(&cost, "cost", 0, "also count for so long what the programs cost (at most 20s)")
	format := dataFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("cost") && cost <= 0 {
			return usagef("status: --cost %s: want a duration such as 2s, at most 20s", cost)
		}
		remote, err := a.inCluster()
		if err != nil {
			return err
		}
		if remote {
			return a.statuses(cmd, format, cost)
		}
		c := a.local()
		defer c.Close()
		get := func() (api.Status, error) { return c.Status(cmd.Context()) }
		if cmd.Flags().Changed("cost") {
			// If this may not either, recorderd says what is missing.
			if fd, err := enableStats(); err == nil {
				defer unix.Close(fd)
			}
			get = func() (api.Status, error) { return c.Costs(cmd.Context(), cost) }
		}
		st, err := get()
		if err != nil {
			return err
		}
		w, done := output(cmd)
		switch format.value {
		case "json":
			return done(render.JSON(w, st))
		case "yaml":
			return done(render.YAML(w, st))
		case render.JSONPath, render.CustomColumns:
			return done(format.expr.Write(w, st, []any{st}))
		}
		return done(render.Status(w, &st, time.Now()))
	}
	return cmd
}

// enableStats lets the kernel count the runs and the time of all BPF programs for as long
// as the descriptor that it returns is open (bpf(2), since Linux 5.8). It is the only one
// of that call's commands that is needed here, which is worth no library of a megabyte.
func enableStats() (int, error) {
	attr := struct{ Type uint32 }{unix.BPF_STATS_RUN_TIME}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_ENABLE_STATS, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// statuses shows the nodes of a cluster.
func (a *app) statuses(cmd *cobra.Command, format *choiceFlag, cost time.Duration) error {
	c, err := a.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	sts, err := c.Statuses(cmd.Context(), cost)
	if !someAnswered(err) {
		return err
	}
	w, done := output(cmd)
	var werr error
	switch {
	case format.value == "json":
		werr = render.JSON(w, map[string]any{"nodes": sts})
	case format.value == "yaml":
		werr = render.YAML(w, map[string]any{"nodes": sts})
	case format.expr != nil:
		werr = format.expr.Write(w, map[string]any{"nodes": sts}, rows(sts))
	case a.kube.node != "" && len(sts) == 1:
		werr = render.Status(w, &sts[0], time.Now())
	default:
		werr = render.Statuses(w, sts, time.Now())
	}
	if werr := done(werr); werr != nil {
		return werr
	}
	return err
}
