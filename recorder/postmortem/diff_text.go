package postmortem

import (
	"fmt"
	"io"
	"strconv"

	"github.com/recorderd/recorderd/recorder/replay"
)

// WriteDifference writes a difference for one screen.
func WriteDifference(w io.Writer, d *Difference, o TextOptions) error {
	t := newScreen(nil, o, 120)
	t.side("A", &d.A)
	t.side("B", &d.B)
	if p := d.Part; p != nil {
		t.title("They part after %s of the first thread that are the same", counted(uint64(p.Steps), "step"))
		for i := range p.Before {
			t.line(dim, "  both  "+p.Before[i].Text)
		}
		t.after("A", p.A)
		t.after("B", p.B)
	} else if d.A.begins && d.B.begins {
		t.title("Their first threads do the same from the beginning to the end")
	}
	t.only("A", &d.OnlyA)
	t.only("B", &d.OnlyB)
	if len(d.Lacks) > 0 {
		t.title("Not compared")
		for _, l := range d.Lacks {
			t.line(yellow, "  "+l)
		}
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

func (t *screen) side(name string, s *Side) {
	rec := s.Recording
	title := rec.Container.Name
	if rec.Pod != nil && rec.Pod.Name != "" {
		title = rec.Pod.Namespace + "/" + rec.Pod.Name + " " + title
	}
	if title == "" {
		title = rec.Container.Cgroup
	}
	t.line(bold, fmt.Sprintf("%s  %s (%s) on %s", name, title, rec.ID, s.Node))
	for _, l := range wrap(replay.Safe(s.Verdict), t.o.Width-3) {
		t.line("", "   "+l)
	}
}

func (t *screen) after(name string, ev *Event) {
	text := "does nothing more"
	if ev != nil {
		text = ev.Text
	}
	t.line(bold, "  "+name+"     "+text)
}

func (t *screen) only(name string, list *List[Diff]) {
	const most = 12
	if len(list.Items) == 0 {
		return
	}
	t.title("Only %s", name)
	for i := range list.Items[:min(len(list.Items), most)] {
		d := &list.Items[i]
		text := fmt.Sprintf("  %5s  %s", strconv.FormatFloat(d.Weight, 'f', -1, 64), d.Text)
		if d.Count > 1 {
			text += " (" + times(d.Count) + ")"
		}
		colour := ""
		if d.Kind == DiffError && d.Weight >= verdictWeight {
			colour = red
		}
		t.line(colour, text)
	}
	if more := list.More + uint64(max(0, len(list.Items)-most)); more > 0 {
		t.line(dim, "         "+replay.Thousands(more)+" more: -o json has them")
	}
}
