package main

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/privilege"
)

// rights are the capabilities that recorderd works with; docs/security.md has the
// reason for each.
var rights = bpf.Capabilities | privilege.Of(unix.CAP_SYS_PTRACE)

// dropRights gives up all that recorderd does not need from then on. What needs more
// has been done: the socket is its group's, and a BPF file system is mounted.
func dropRights(log *slog.Logger) error {
	have, err := privilege.Effective()
	if err != nil {
		return err
	}
	keep := rights
	if admin := privilege.Of(unix.CAP_SYS_ADMIN); !have.Has(bpf.Capabilities) && have.Has(admin) {
		keep |= admin // given by a runtime that does not know the newer ones
	}
	kept, err := privilege.Keep(keep)
	if err != nil {
		return err
	}
	if missing := rights &^ kept; missing.Has(privilege.Of(unix.CAP_SYS_PTRACE)) {
		log.Warn("calls that are going on are shown without what their arguments point to", "missing", privilege.Of(unix.CAP_SYS_PTRACE).String())
	}
	log.Debug("rights", "kept", kept.String())
	return nil
}
