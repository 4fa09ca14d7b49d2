package render

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/api"
)

// Group is crashes that have one cause, whichever replica they are of.
type Group struct {
	Fingerprint string `json:"fingerprint"`
	Cause       string `json:"cause"`
	Verdict     string `json:"verdict"` // of the last one
	Crashes     int    `json:"crashes"`
	// Of are their pods, else their containers.
	Of         []string  `json:"of"`
	Pods       int       `json:"pods"` // how many of these are pods
	Since      time.Time `json:"since"`
	Last       time.Time `json:"last"`
	Recordings []string  `json:"recordings"` // ids, the last one first
}

// Groups answers list --group.
type Groups struct {
	Groups []Group `json:"groups"`
}

// GroupsOf groups the crashes among recordings by their fingerprints, those that happened most
// often first. Several dumps of one recording are one crash.
func GroupsOf(recs []api.Recording) Groups {
	recs = slices.Clone(recs)
	slices.SortStableFunc(recs, func(a, b api.Recording) int { return b.Last().Compare(a.Last()) })
	by := map[string]*Group{}
	seen := map[string]bool{}
	var order []string
	for i := range recs {
		r := &recs[i]
		v := r.Verdict
		if v == nil || !r.Crashed() {
			continue
		}
		if one := r.Node + " " + api.BaseID(r.ID); seen[one] {
			continue
		} else {
			seen[one] = true
		}
		at := r.Last()
		g := by[v.Fingerprint]
		if g == nil {
			g = &Group{Fingerprint: v.Fingerprint, Cause: v.Cause, Verdict: v.Sentence(), Last: at}
			by[v.Fingerprint] = g
			order = append(order, v.Fingerprint)
		}
		g.Crashes++
		g.Since = at
		g.Recordings = append(g.Recordings, r.ID)
		name, _ := names(r)
		if !slices.Contains(g.Of, name) {
			g.Of = append(g.Of, name)
			if r.Pod != nil && r.Pod.Name != "" {
				g.Pods++
			}
		}
	}
	list := Groups{Groups: []Group{}}
	for _, f := range order {
		list.Groups = append(list.Groups, *by[f])
	}
	slices.SortStableFunc(list.Groups, func(a, b Group) int { return cmp.Compare(b.Crashes, a.Crashes) })
	return list
}

// WriteGroups writes groups for people. now and its location say how times are written.
func WriteGroups(w io.Writer, gs Groups, width int, now time.Time) error {
	var b bytes.Buffer
	for i := range gs.Groups {
		g := &gs.Groups[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintln(&b, fit(g.title(now), width))
		fmt.Fprintln(&b, fit("  "+Clean(g.Verdict), width))
		const most = 5
		of := strings.Join(g.Of[:min(len(g.Of), most)], ", ")
		if more := len(g.Of) - most; more > 0 {
			of += fmt.Sprintf(" and %d more", more)
		}
		fmt.Fprintln(&b, fit(fmt.Sprintf("  %s; the last %s ago: %s", Clean(of), age(g.Last, now), Clean(g.Recordings[0])), width))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (g *Group) title(now time.Time) string {
	of := Number(len(g.Of), "container")
	if g.Pods == len(g.Of) {
		of = Number(g.Pods, "pod")
	}
	since := g.Since.In(now.Location())
	at := since.Format("15:04")
	if now.Sub(since) > 20*time.Hour {
		at = since.Format("2006-01-02 15:04")
	}
	if g.Crashes == 1 {
		return fmt.Sprintf("1 crash of %s, at %s", of, at)
	}
	return fmt.Sprintf("%s of %s, one cause, since %s", Number(g.Crashes, "crash"), of, at)
}

// Number says how many there are of something: 1 crash, 14 crashes.
func Number(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "sh"):
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
