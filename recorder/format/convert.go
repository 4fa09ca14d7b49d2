package format

import "github.com/recorderd/recorderd/api"

// Structs without structs in them convert as they are: a field that only one side has does not
// compile. What holds others is converted by hand, and a test walks both sides.

// Of returns what a file says of a recording.
func Of(r *api.Recording) Recording {
	return Recording{
		ID: r.ID, State: string(r.State), Frozen: r.Frozen, Off: r.Off,
		Node: r.Node, Container: Container(r.Container), Pod: podOf(r.Pod),
		Started: r.Started, Ended: r.Ended, Exit: (*Exit)(r.Exit), OOMKills: r.OOMKills,
		Tasks: Tasks(r.Tasks), Coverage: coverageOf(&r.Coverage), Ring: Ring(r.Ring),
		Spool: (*SpoolInfo)(r.Spool), Inside: insideOf(r.Inside),
		GoesOnAs: r.GoesOnAs, NotStarted: r.NotStarted, Verdict: (*Verdict)(r.Verdict),
	}
}

// API returns what the API says of a recording that a file describes.
func (r *Recording) API() api.Recording {
	return api.Recording{
		ID: r.ID, State: api.State(r.State), Frozen: r.Frozen, Off: r.Off,
		Node: r.Node, Container: api.Container(r.Container), Pod: r.Pod.api(),
		Started: r.Started, Ended: r.Ended, Exit: (*api.Exit)(r.Exit), OOMKills: r.OOMKills,
		Tasks: api.Tasks(r.Tasks), Coverage: r.Coverage.api(), Ring: api.Ring(r.Ring),
		Spool: (*api.SpoolInfo)(r.Spool), Inside: r.Inside.api(),
		GoesOnAs: r.GoesOnAs, NotStarted: r.NotStarted, Verdict: (*api.Verdict)(r.Verdict),
	}
}

func coverageOf(c *api.Coverage) Coverage {
	out := Coverage{
		From: c.From, To: c.To, Written: c.Written, Bytes: c.Bytes, Kept: c.Kept,
		Overwritten: c.Overwritten, Unfinished: c.Unfinished, Guarded: c.Guarded, GuardSkips: c.GuardSkips, Cut: c.Cut,
		Fault: c.Fault, Muted: c.Muted, MutedHarmless: c.MutedHarmless, FrozenCalls: c.FrozenCalls, Late: c.Late, BeganLate: c.BeganLate,
		BeganLateNs: c.BeganLateNs,
	}
	for _, a := range c.Apart {
		out.Apart = append(out.Apart, Apart(a))
	}
	return out
}

func (c *Coverage) api() api.Coverage {
	out := api.Coverage{
		From: c.From, To: c.To, Written: c.Written, Bytes: c.Bytes, Kept: c.Kept,
		Overwritten: c.Overwritten, Unfinished: c.Unfinished, Guarded: c.Guarded, GuardSkips: c.GuardSkips, Cut: c.Cut,
		Fault: c.Fault, Muted: c.Muted, MutedHarmless: c.MutedHarmless, FrozenCalls: c.FrozenCalls, Late: c.Late, BeganLate: c.BeganLate,
		BeganLateNs: c.BeganLateNs,
	}
	for _, a := range c.Apart {
		out.Apart = append(out.Apart, api.Apart(a))
	}
	return out
}

func insideOf(i *api.Inside) *Inside {
	if i == nil {
		return nil
	}
	return &Inside{Recording: i.Recording, Container: Container(i.Container), Pod: podOf(i.Pod)}
}

func (i *Inside) api() *api.Inside {
	if i == nil {
		return nil
	}
	return &api.Inside{Recording: i.Recording, Container: api.Container(i.Container), Pod: i.Pod.api()}
}

func podOf(p *api.Pod) *Pod {
	if p == nil {
		return nil
	}
	return &Pod{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, Labels: p.Labels, Owner: (*Owner)(p.Owner),
		Annotations: p.Annotations, HostNetwork: p.HostNetwork, HostPID: p.HostPID, Static: p.Static,
		Going: (*Going)(p.Going),
	}
}

func (p *Pod) api() *api.Pod {
	if p == nil {
		return nil
	}
	return &api.Pod{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, Labels: p.Labels, Owner: (*api.Owner)(p.Owner),
		Annotations: p.Annotations, HostNetwork: p.HostNetwork, HostPID: p.HostPID, Static: p.Static,
		Going: (*api.Going)(p.Going),
	}
}
