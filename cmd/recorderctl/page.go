package main

import (
	"github.com/spf13/cobra"

	"github.com/recorderd/recorderd/cmd/recorderctl/internal/web"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/timeline"
)

// page writes the report on a dump as a page for a browser.
func page(cmd *cobra.Command, d *dump.Reader) error {
	t, readErr := timeline.Build(d, timeline.Options{})
	w, done := output(cmd)
	if err := done(web.WriteReport(w, t)); err != nil {
		return err
	}
	return readErr
}
