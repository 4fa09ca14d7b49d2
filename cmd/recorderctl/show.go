package main

import (
	"fmt"
	"io"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// show writes a raw dump as o has it. If it says that something is missing, the
// error does, too, after everything that is there was shown.
func show(w io.Writer, r io.Reader, o replay.Options) error {
	d, err := dump.NewReader(r)
	if err != nil {
		return err
	}
	stats, err := replay.Run(w, d, o)
	if err != nil || len(stats.Damage) == 0 {
		return err
	}
	if len(stats.Damage) == 1 {
		return fmt.Errorf("%w: %s", dump.ErrCorrupt, stats.Damage[0].String())
	}
	return fmt.Errorf("%w in %d places, the first: %s", dump.ErrCorrupt, len(stats.Damage), stats.Damage[0].String())
}
