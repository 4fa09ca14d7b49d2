package main

import (
	"io"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// show writes a raw dump as o has it.
func show(w io.Writer, r io.Reader, o replay.Options) error {
	d, err := dump.NewReader(r)
	if err != nil {
		return err
	}
	_, err = replay.Run(w, d, o)
	return err
}
