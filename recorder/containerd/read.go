package containerd

import (
	"context"
	"errors"
	"fmt"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
)

const (
	// sweepInterval is how often all tasks are listed, in case that a change
	// left no trace: a task paused, or started in an old container.
	sweepInterval = time.Minute

	// youngFor is for how long a container without a task is asked for one.
	youngFor = 2 * time.Minute

	// maxAsked is how many tasks are asked for one by one. More are listed.
	maxAsked = 16

	// taskTimeout bounds a question that a hung shim would not answer.
	taskTimeout = 2 * time.Second
)

// read reads containers, then tasks. Names are known before the first shim is
// asked: one that hangs makes a state old, but no container nameless.
func (sv *server) read(ctx context.Context, poll bool) error {
	c, err := sv.connect(ctx)
	if err != nil {
		return err
	}
	nss, err := c.NamespaceService().List(ctx)
	if err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	seen := map[key]bool{}
	for _, ns := range nss {
		list, err := c.ContainerService().List(namespaces.WithNamespace(ctx, ns))
		if err != nil {
			return fmt.Errorf("list containers of namespace %s: %w", ns, err)
		}
		sv.merge(ns, list, seen)
	}
	sv.src.listed(sv, nss, seen)

	sweep := poll && time.Since(sv.swept) > sweepInterval
	var errs []error
	for _, ns := range nss {
		if err := sv.readTasks(ctx, c, ns, poll, sweep); err != nil {
			errs = append(errs, fmt.Errorf("read tasks of namespace %s: %w", ns, err))
		}
	}
	if sweep {
		sv.swept = time.Now()
	}
	// Unreadable tasks are a shim's fault, or show in the next read.
	sv.found(len(seen), errors.Join(errs...))
	return nil
}

// merge takes over what changed in a namespace's containers, and notes those
// that are there in seen.
func (sv *server) merge(ns string, list []containers.Container, seen map[key]bool) {
	s, now := sv.src, time.Now()
	var changed []*entry
	s.mu.RLock()
	for i := range list {
		c := &list[i]
		k := key{sv, ns, c.ID}
		seen[k] = true
		old := s.entries[k]
		if old == nil || !old.info.Gone.IsZero() || !old.updated.Equal(c.UpdatedAt) || !old.info.Created.Equal(c.CreatedAt) {
			changed = append(changed, newEntry(sv, ns, c, now))
		}
	}
	s.mu.RUnlock()
	if len(changed) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range changed {
		old := s.entries[e.key]
		if old != nil && old.info.Created.Equal(e.info.Created) { // the same one, with other labels
			e.started = old.started
			e.info.State, e.info.Pid = old.info.State, old.info.Pid
			e.info.Started, e.info.Finished, e.info.ExitCode = old.info.Started, old.info.Finished, old.info.ExitCode
		}
		s.put(e)
	}
}

// listed notes what a server has no more, now that all is read that it has.
func (s *Source) listed(sv *server, nss []string, seen map[key]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.namespaces[sv] = nss
	for k, e := range s.entries {
		if k.server == sv && e.info.Gone.IsZero() && !seen[k] {
			e.info.Gone = now
			if e.info.State != StateCreated {
				e.info.State = StateStopped
			}
			s.gone++
		}
	}
	s.prune(now)
}

func (s *Source) knows(k key) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[k]
	return e != nil && e.info.Gone.IsZero()
}

// readTasks reads those tasks of a namespace that may have changed; in a sweep
// all of them.
func (sv *server) readTasks(ctx context.Context, c *client.Client, ns string, poll, sweep bool) error {
	asked, all := sv.unsettled(ns, poll)
	if len(all) == 0 || len(asked) == 0 && !sweep {
		return nil
	}
	if len(asked) <= maxAsked && !sweep {
		var errs []error
		for _, id := range asked {
			if err := sv.readTask(ctx, c, ns, id); err != nil {
				errs = append(errs, fmt.Errorf("task %s: %w", id, err))
				sv.apply(key{sv, ns, id}, nil) // its process may be gone
			}
		}
		return errors.Join(errs...)
	}
	resp, err := c.TaskService().List(namespaces.WithNamespace(ctx, ns), &tasksapi.ListTasksRequest{})
	if err != nil {
		return errgrpc.ToNative(err)
	}
	tasks := make(map[string]*task.Process, len(resp.Tasks))
	for _, p := range resp.Tasks {
		tasks[p.ID] = p
	}
	for _, id := range all {
		sv.apply(key{sv, ns, id}, tasks[id])
	}
	return nil
}

// readTask reads one task.
func (sv *server) readTask(ctx context.Context, c *client.Client, ns, id string) error {
	ctx, cancel := context.WithTimeout(ctx, taskTimeout)
	defer cancel()
	resp, err := c.TaskService().Get(namespaces.WithNamespace(ctx, ns), &tasksapi.GetRequest{ContainerID: id})
	if err := errgrpc.ToNative(err); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	sv.apply(key{sv, ns, id}, resp.GetProcess())
	return nil
}

// unsettled returns the containers of a namespace whose tasks have to be asked
// for, and all of them. A process that is still there needs no asking.
func (sv *server) unsettled(ns string, poll bool) (asked, all []string) {
	type running struct {
		id      string
		pid     uint32
		started uint64
	}
	var alive []running
	now := time.Now()
	s := sv.src
	s.mu.RLock()
	for k, e := range s.entries {
		if k.server != sv || k.namespace != ns || !e.info.Gone.IsZero() {
			continue
		}
		all = append(all, k.id)
		switch e.info.State {
		case StateCreated:
			if e.info.Pid != 0 || now.Sub(e.seen) < youngFor {
				asked = append(asked, k.id)
			}
		case StateRunning:
			if e.started != 0 {
				alive = append(alive, running{k.id, e.info.Pid, e.started})
			} else if poll { // the host's processes are not visible
				asked = append(asked, k.id)
			}
		case StatePaused:
			if poll {
				asked = append(asked, k.id)
			}
		}
	}
	s.mu.RUnlock()
	for _, r := range alive {
		if started, ok := processStart(s.cfg.Root, r.pid); !ok || started != r.started {
			asked = append(asked, r.id)
		}
	}
	return asked, all
}

// apply takes over the state of a container's task; nil stands for none.
func (sv *server) apply(k key, p *task.Process) {
	s := sv.src
	var (
		started uint64
		alive   bool
	)
	if p != nil {
		started, alive = processStart(s.cfg.Root, p.Pid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k]
	if e == nil || !e.info.Gone.IsZero() {
		return
	}
	i := &e.info
	if p == nil {
		if i.State != StateRunning && i.State != StatePaused {
			return
		}
		// A list of tasks leaves out those whose shim does not answer.
		if at, ok := processStart(s.cfg.Root, i.Pid); !ok || e.started == 0 || at != e.started {
			i.State = StateStopped
		}
		return
	}
	switch p.Status {
	case task.Status_CREATED:
		i.State, i.Pid = StateCreated, p.Pid
	case task.Status_RUNNING, task.Status_PAUSED, task.Status_PAUSING:
		if i.State == StateStopped && i.Pid == p.Pid && (!alive || started == e.started) {
			return // an answer that was overtaken
		}
		if i.Pid != p.Pid || e.started == 0 || alive && started != e.started {
			i.Started, e.started = time.Time{}, 0
			// In another pid namespace, the number means someone else.
			if at := wallTime(started); alive && !at.Before(i.Created.Add(-time.Second)) {
				i.Started, e.started = at, started
			}
		}
		i.State, i.Pid, i.Finished, i.ExitCode = StateRunning, p.Pid, time.Time{}, nil
		if p.Status != task.Status_RUNNING {
			i.State = StatePaused
		}
	case task.Status_STOPPED:
		if i.Pid != p.Pid { // began and ended between two reads
			i.Started, e.started = time.Time{}, 0
		}
		code := p.ExitStatus
		i.State, i.Pid, i.ExitCode = StateStopped, p.Pid, &code
		if t := p.ExitedAt; t.IsValid() {
			i.Finished = t.AsTime()
		}
	}
}
