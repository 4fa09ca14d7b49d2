package kubernetes

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// ReasonSaved is the reason of an event about a dump that was saved by itself.
const ReasonSaved = "FlightRecorderSaved"

// Limits of events. A pod that crashes in a loop, or a node full of them, must not
// be a burden to the API server; the recordings are there all the same.
const (
	podBurst, podEvery   = 5, 5 * time.Minute
	nodeBurst, nodeEvery = 25, 2 * time.Second
	maxQueued            = 128
	maxLimits            = 1024
	maxTries             = 6
	firstPause           = time.Second
	tryTimeout           = 10 * time.Second
	maxNote              = 1024 // bytes, as the API server has it
)

// Events tells users about recordings, by events on their pods. It only ever
// creates them: making one event out of many would take the right to change them.
type Events struct {
	client        rest.Interface
	node, agent   string
	log           *slog.Logger
	queue         chan *eventsv1.Event
	sleep         func(context.Context, time.Duration) // between two tries
	mu            sync.Mutex
	all           *rate.Limiter
	pods          map[string]*rate.Limiter // by uid
	counts        EventCounts
	failureLogged bool
}

// EventCounts says what became of events.
type EventCounts struct {
	Created   uint64
	Limited   uint64 // not created: too many for one pod, for the node, or while others wait
	Failed    uint64 // not created: the API server refused, or was away for too long
	LastError string // of the last one, "" if it was created
}

func newEvents(rc *rest.Config, node, agent string, log *slog.Logger) (*Events, error) {
	client, err := newClient(rc, eventsv1.SchemeGroupVersion, "/apis")
	if err != nil {
		return nil, err
	}
	return &Events{
		client: client, node: node, agent: agent, log: log, queue: make(chan *eventsv1.Event, maxQueued), sleep: sleep,
		all: rate.NewLimiter(rate.Every(nodeEvery), nodeBurst), pods: map[string]*rate.Limiter{},
	}, nil
}

// Tell makes an event on the pod, about its container if info has one. It returns
// at once; the event is created by and by, or not at all: [Events.Counts].
// reason is one word in CamelCase, note a sentence of at most 1024 bytes.
func (e *Events) Tell(info Info, reason, note string) {
	if info.Pod == "" || info.Namespace == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.allowed(info.UID) {
		e.counts.Limited++
		return
	}
	select {
	case e.queue <- e.event(info, reason, note, time.Now()):
	default:
		e.counts.Limited++
	}
}

// allowed takes a token of the pod's and one of the node's. e.mu is held.
func (e *Events) allowed(uid string) bool {
	l := e.pods[uid]
	if l == nil {
		if len(e.pods) >= maxLimits {
			for old, l := range e.pods {
				if l.Tokens() >= podBurst {
					delete(e.pods, old)
				}
			}
			if len(e.pods) >= maxLimits {
				return false
			}
		}
		l = rate.NewLimiter(rate.Every(podEvery), podBurst)
		e.pods[uid] = l
	}
	if l.Tokens() < 1 || !e.all.Allow() {
		return false
	}
	return l.Allow()
}

func (e *Events) event(info Info, reason, note string, now time.Time) *eventsv1.Event {
	note = strings.ToValidUTF8(cut(note, maxNote), "")
	on := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: info.Namespace, Name: info.Pod, UID: types.UID(info.UID)}
	field := map[string]string{KindRegular: "containers", KindInit: "initContainers", KindSidecar: "initContainers", KindEphemeral: "ephemeralContainers"}[info.Kind]
	if field != "" && info.Container != "" {
		on.FieldPath = fmt.Sprintf("spec.%s{%s}", field, info.Container)
	}
	name := strings.TrimRight(cut(info.Pod, 200), ".-")
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: info.Namespace, Name: fmt.Sprintf("%s.%x", name, now.UnixNano())},
		EventTime:  metav1.NewMicroTime(now), ReportingController: "recorderd", ReportingInstance: cut("recorderd-"+e.node, 128),
		Action: "Save", Reason: reason, Regarding: on, Note: note, Type: corev1.EventTypeNormal,
	}
}

// run creates what Tell was told, until the context ends.
func (e *Events) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-e.queue:
			e.done(ev, e.create(ctx, ev), ctx.Err() != nil)
		}
	}
}

// create tries until it works, or can't.
func (e *Events) create(ctx context.Context, ev *eventsv1.Event) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := e.client.Post().Namespace(ev.Namespace).Resource("events").Timeout(tryTimeout).Body(ev).Do(ctx).Error()
		if err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		if refused(err) || try == maxTries || ctx.Err() != nil {
			return err
		}
		e.sleep(ctx, pause)
		pause *= 2
	}
}

// refused reports whether the API server would say the same again.
func refused(err error) bool {
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		return false // it could not be asked
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != 408 && code != 429
}

func (e *Events) done(ev *eventsv1.Event, err error, ending bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.counts.Created++
		e.counts.LastError = ""
		e.failureLogged = false
		return
	}
	e.counts.Failed++
	e.counts.LastError = err.Error()
	if !e.failureLogged && !ending {
		e.failureLogged = true
		e.log.Warn("an event was not created; others will be tried without a word", "pod", ev.Namespace+"/"+ev.Regarding.Name, "error", err)
	}
}

// Counts returns what became of the events so far.
func (e *Events) Counts() EventCounts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
