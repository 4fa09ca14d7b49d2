package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func decodeEvent(b []byte) (eventsv1.Event, error) {
	var envelope runtime.Unknown
	var ev eventsv1.Event
	if len(b) < 4 {
		return ev, errors.New("too short")
	}
	if err := envelope.Unmarshal(b[4:]); err != nil {
		return ev, err
	}
	return ev, ev.Unmarshal(envelope.Raw)
}

func crashed(pod string) Info {
	return Info{Namespace: "shop", Pod: pod, UID: "uid-" + pod, Container: "main", Kind: KindRegular}
}

// TestEventsFail follows events through a server that fails: they are tried again
// for a while, given up where that is of no use, counted, and logged once.
func TestEventsFail(t *testing.T) {
	s := newServer(t)
	log := &logLines{}
	src := s.source(t, Config{Log: slog.New(slog.NewTextHandler(log, nil))})
	var slept []time.Duration
	e := src.Events()
	e.sleep = func(_ context.Context, d time.Duration) {
		slept = append(slept, d)
		if len(slept) == 3 {
			s.set(func() { s.fail = 0 })
		}
	}
	s.fail = http.StatusInternalServerError
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); e.run(ctx) }()
	e.Tell(crashed("cart"), ReasonSaved, "saved 7 system calls")
	eventually(t, "it is created at last", func() bool { return e.Counts().Created == 1 })
	if fmt.Sprint(slept) != "[1s 2s 4s]" {
		t.Errorf("between the tries it waited %v", slept)
	}
	ev := s.events[0]
	if ev.Regarding.Name != "cart" || ev.Regarding.UID != "uid-cart" || ev.Regarding.FieldPath != "spec.containers{main}" || ev.Reason != ReasonSaved ||
		ev.Note != "saved 7 system calls" || ev.Namespace != "shop" || !strings.HasPrefix(ev.Name, "cart.") || ev.EventTime.IsZero() {
		t.Errorf("the event is %+v", ev)
	}
	asked := s.count("events")
	s.set(func() { s.fail = http.StatusForbidden })
	e.Tell(crashed("cart"), ReasonSaved, "x")
	e.Tell(crashed("cart"), ReasonSaved, "y")
	eventually(t, "both have failed", func() bool { return e.Counts().Failed == 2 })
	if n := s.count("events") - asked; n != 2 {
		t.Errorf("what was forbidden was asked for %d times", n)
	}
	if c := e.Counts(); !strings.Contains(c.LastError, "made to fail") || !strings.Contains(src.Status().LastError, "create events") {
		t.Errorf("counts %+v, status %+v", c, src.Status())
	}
	if n := log.count("not created"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	cancel()
	<-done
}

// TestEventLimits catches a node full of crashing pods that floods the API server,
// or a pod that takes the events of all others.
func TestEventLimits(t *testing.T) {
	e := newServer(t).source(t, Config{}).Events()
	for range 20 {
		e.Tell(crashed("cart"), ReasonSaved, "x")
	}
	if c := e.Counts(); len(e.queue) != podBurst || c.Limited != 20-podBurst {
		t.Errorf("one pod has %d events, %+v", len(e.queue), c)
	}
	for i := range 100 {
		e.Tell(crashed(fmt.Sprint("p", i)), ReasonSaved, "x")
	}
	if n := len(e.queue); n != nodeBurst {
		t.Errorf("the node has %d events at once, want %d", n, nodeBurst)
	}
	for i := range 2 * maxLimits {
		e.Tell(crashed(fmt.Sprint("q", i)), ReasonSaved, "x")
	}
	if n := len(e.pods); n > maxLimits {
		t.Errorf("%d pods' limits are remembered", n)
	}
	e.Tell(Info{}, ReasonSaved, "of no pod")
	long := e.event(crashed(strings.Repeat("a-", 126)+"b"), ReasonSaved, strings.Repeat("é", 800), time.Now())
	if len(long.Name) > 253 || len(long.Note) > maxNote || !strings.HasSuffix(long.Note, "é") {
		t.Errorf("a name of %d and a note of %d bytes", len(long.Name), len(long.Note))
	}
}
