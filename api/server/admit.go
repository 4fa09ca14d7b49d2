package server

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/recorderd/recorderd/api"
)

// admit lets requests of root and of the members of groups through to h. Everybody
// else is told why not, and the log is told who it was.
func admit(h http.Handler, log *slog.Logger, groups []uint32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := PeerFrom(r.Context())
		if ok && (p.root() || p.in(groups)) {
			h.ServeHTTP(w, r)
			return
		}
		log.LogAttrs(r.Context(), slog.LevelWarn, "refused", slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)), peerAttr(r.Context()))
		e := api.Errorf(api.CodeForbidden, "%s", refusal(p, ok, groups))
		w.Header().Set("Connection", "close")
		_ = writeJSON(w, e.Status, api.ErrorBody{Error: *e}) // who does not read it is refused all the same
	})
}

func refusal(p Peer, known bool, groups []uint32) string {
	switch {
	case !known:
		return "who asks is not known: connect through recorderd's Unix socket"
	case len(groups) == 0:
		return fmt.Sprintf("user %d may not use this socket: only root may (recorderd --socket-group lets a group)", p.UID)
	}
	return fmt.Sprintf("user %d may not use this socket: only root and the members of group %d may", p.UID, groups[0])
}
