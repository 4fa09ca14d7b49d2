package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/recorderd/recorderd/api"
)

// admit lets requests of root and of the members of groups through to h, those of members
// no faster than they may ask. Everybody else is told why not, and the log is told who it
// was.
func admit(h http.Handler, log *slog.Logger, groups []uint32) http.Handler {
	asks := newRates(asksPerSecond, asksAtOnce, rate.NewLimiter(allAsksPerSecond, allAsksAtOnce))
	strangers := newRates(asksPerSecond, asksAtOnce, nil)
	version := ""
	if ours, ok := h.(*Handler); ok {
		version = ours.version
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(VersionHeader, version)
		p, ok := PeerFrom(r.Context())
		if ok && (p.root() || p.in(groups)) {
			if turn(asks, &p, r) {
				h.ServeHTTP(w, r)
			} else {
				refuse(w, api.Errorf(api.CodeTooMany, "user %d asks too often: %d times a second is what one user other than root may", p.UID, asksPerSecond))
			}
			return
		}
		turn(strangers, &p, r) // for the log's sake
		log.LogAttrs(r.Context(), slog.LevelWarn, "refused", slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)), peerAttr(r.Context()))
		refuse(w, api.Errorf(api.CodeForbidden, "%s", refusal(p, ok, groups)))
	})
}

// turn waits until a user may ask. It returns false, after a while, if that would take too
// long, and if the client has left.
func turn(l *rates, p *Peer, r *http.Request) bool {
	d, ok := l.wait(p, maxWait)
	if !ok {
		d = maxWait / 2 // who asks again at once is not answered at once
	}
	if d <= 0 {
		return ok
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ok
	case <-r.Context().Done():
		return false
	}
}

// refuse answers with an error and hangs up.
func refuse(w http.ResponseWriter, e *api.Error) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxWait))
	if e.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Connection", "close")
	_ = writeJSON(w, e.Status, api.ErrorBody{Error: *e}) // who does not read it is refused all the same
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
