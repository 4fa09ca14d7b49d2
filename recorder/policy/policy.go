// Package policy says how each container is recorded: what is kept of its reads and
// writes, what is blanked, which calls are left out, or that nothing is recorded.
//
// Settings come from the daemon's flags, from rules by container, and from a pod's
// annotations. The package knows nothing of how they are carried out.
package policy

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/privacy"
	"github.com/recorderd/recorderd/recorder/replay"
)

// AnnotationPrefix is in front of the names of settings where they are a pod's
// annotations: recorderd.github.io/mute.
const AnnotationPrefix = "recorderd.github.io/"

// CaptureMax is the most that can be kept of one read or write, in bytes.
const CaptureMax = 4096

// Settings is how a container is recorded. The zero value, and a nil field, say nothing.
type Settings struct {
	Off          *bool       `json:"off,omitempty"`          // record nothing, and dump nothing of what was
	Mute         []string    `json:"mute,omitempty"`         // calls that are not recorded: expressions as replay.ParseExpr reads them
	CaptureStdio *size.Bytes `json:"captureStdio,omitempty"` // kept of each write to and read from descriptors 1 and 2
	CaptureData  *size.Bytes `json:"captureData,omitempty"`  // kept of each other read and write
	// CaptureStdioFiles has descriptors 1 and 2 count also if they are open on files.
	CaptureStdioFiles *bool    `json:"captureStdioFiles,omitempty"`
	CaptureDNS        *bool    `json:"captureDNS,omitempty"` // keep messages to and from port 53
	NoArgs            *bool    `json:"noArgs,omitempty"`     // of command lines, only the program
	Blank             []string `json:"blank,omitempty"`      // patterns whose matches are blanked: see package privacy
	// SaveCompleted has an exit with status 0 written to disk as a crash is, or never. Nil: if
	// Kubernetes starts the container again for it.
	SaveCompleted *bool          `json:"saveCompleted,omitempty"`
	Keep          *time.Duration `json:"keep,omitempty"` // how long an ended recording is kept before others
}

// setting is one of Settings' fields by its name in rules, flags and annotations.
type setting struct {
	name string
	set  func(s *Settings, value string) error
}

var settings = []setting{
	{"off", func(s *Settings, v string) error { return setBool(&s.Off, v) }},
	{"mute", func(s *Settings, v string) error {
		if _, err := replay.ParseExpr(v); err != nil {
			return err
		}
		s.Mute = append(s.Mute, v)
		return nil
	}},
	{"capture-stdio", func(s *Settings, v string) error { return setSize(&s.CaptureStdio, v) }},
	{"capture-stdio-files", func(s *Settings, v string) error { return setBool(&s.CaptureStdioFiles, v) }},
	{"capture-dns", func(s *Settings, v string) error { return setBool(&s.CaptureDNS, v) }},
	{"capture-data", func(s *Settings, v string) error { return setSize(&s.CaptureData, v) }},
	{"no-args", func(s *Settings, v string) error { return setBool(&s.NoArgs, v) }},
	{"blank", func(s *Settings, v string) error {
		patterns, err := privacy.Split(v)
		if err != nil {
			return err
		}
		s.Blank = append(s.Blank, patterns...)
		return nil
	}},
	{"save-completed", func(s *Settings, v string) error { return setBool(&s.SaveCompleted, v) }},
	{"keep", func(s *Settings, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return fmt.Errorf("want a length of time such as 90s, 30m or 24h")
		}
		s.Keep = &d
		return nil
	}},
}

// Names returns the names that Set knows.
func Names() []string {
	var names []string
	for _, s := range settings {
		names = append(names, s.name)
	}
	return names
}

// Set reads one setting. Those that are lists (mute, blank) grow. The error says
// what is wrong with the value; the caller names the setting.
func (s *Settings) Set(name, value string) error {
	for _, known := range settings {
		if known.name == name {
			return known.set(s, strings.TrimSpace(value))
		}
	}
	return fmt.Errorf("there is no such setting: there are %s", strings.Join(Names(), ", "))
}

func setBool(to **bool, v string) error {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return errors.New("want true or false")
	}
	*to = &b
	return nil
}

func setSize(to **size.Bytes, v string) error {
	var b size.Bytes
	if err := b.Set(v); err != nil {
		return err
	}
	if b > CaptureMax {
		return fmt.Errorf("%s: want at most %s", b, size.Bytes(CaptureMax))
	}
	*to = &b
	return nil
}

// Over returns s where it says something, and else base. What is muted and blanked
// is that of both.
func (s Settings) Over(base Settings) Settings {
	out := base
	over(&out.Off, s.Off)
	over(&out.CaptureStdio, s.CaptureStdio)
	over(&out.CaptureData, s.CaptureData)
	over(&out.CaptureStdioFiles, s.CaptureStdioFiles)
	over(&out.CaptureDNS, s.CaptureDNS)
	over(&out.NoArgs, s.NoArgs)
	over(&out.SaveCompleted, s.SaveCompleted)
	over(&out.Keep, s.Keep)
	out.Mute, out.Blank = join(base.Mute, s.Mute), join(base.Blank, s.Blank)
	return out
}

// Narrow is Over for settings by those who may only ask for less: it turns nothing
// on that base has off, captures no more, and blanks no less.
func (s Settings) Narrow(base Settings) Settings {
	out := s.Over(base)
	out.Off, out.NoArgs = either(s.Off, base.Off), either(s.NoArgs, base.NoArgs)
	out.CaptureStdio, out.CaptureData = least(s.CaptureStdio, base.CaptureStdio), least(s.CaptureData, base.CaptureData)
	if s.CaptureStdioFiles != nil && *s.CaptureStdioFiles {
		out.CaptureStdioFiles = base.CaptureStdioFiles
	}
	if s.CaptureDNS != nil && *s.CaptureDNS {
		out.CaptureDNS = base.CaptureDNS
	}
	return out
}

// Equal reports whether two settings say the same.
func (s Settings) Equal(o Settings) bool {
	return same(s.Off, o.Off) && same(s.CaptureStdio, o.CaptureStdio) && same(s.CaptureData, o.CaptureData) &&
		same(s.CaptureStdioFiles, o.CaptureStdioFiles) && same(s.CaptureDNS, o.CaptureDNS) && same(s.NoArgs, o.NoArgs) &&
		same(s.SaveCompleted, o.SaveCompleted) &&
		same(s.Keep, o.Keep) && slices.Equal(s.Mute, o.Mute) && slices.Equal(s.Blank, o.Blank)
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func over[T any](to **T, v *T) {
	if v != nil {
		*to = v
	}
}

func join(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	return append(slices.Clone(a), b...)
}

func either(a, b *bool) *bool {
	if a == nil || b != nil && *b {
		return b
	}
	return a
}

func least(a, b *size.Bytes) *size.Bytes {
	if a == nil || b == nil || *b < *a {
		return b
	}
	return a
}

// Match says which containers a rule is for: all that is given must hold. Names are
// patterns as path.Match has them, with * and ?. The zero Match is for all.
type Match struct {
	Namespace string `json:"namespace,omitempty"` // of the pod
	Pod       string `json:"pod,omitempty"`       // its name
	Container string `json:"container,omitempty"` // the container's name
	Labels    string `json:"labels,omitempty"`    // a label selector, for the pod's labels and the container's
	Cgroup    string `json:"cgroup,omitempty"`    // its path; * stops at /
}

// Set reads one condition.
func (m *Match) Set(name, value string) error {
	to := map[string]*string{"namespace": &m.Namespace, "pod": &m.Pod, "container": &m.Container, "labels": &m.Labels, "cgroup": &m.Cgroup}[name]
	if to == nil {
		return errors.New("there is no such condition: there are namespace, pod, container, labels, cgroup")
	}
	*to = value
	if name == "labels" {
		if _, err := (target.Filter{Labels: value}).Select(nil); err != nil {
			return err
		}
		return nil
	}
	if _, err := path.Match(value, ""); err != nil {
		return fmt.Errorf("%q is no pattern of names: * and ? stand for others, [ ] for one of those inside", value)
	}
	return nil
}

func (m *Match) fits(r *api.Recording) bool {
	r = ruled(r)
	var namespace, pod string
	if r.Pod != nil {
		namespace, pod = r.Pod.Namespace, r.Pod.Name
	}
	for _, c := range []struct{ pattern, name string }{
		{m.Namespace, namespace}, {m.Pod, pod}, {m.Container, r.Container.Name}, {m.Cgroup, r.Container.Cgroup},
	} {
		if c.pattern == "" {
			continue
		}
		if ok, err := path.Match(c.pattern, c.name); err != nil || !ok {
			return false
		}
	}
	if m.Labels == "" {
		return true
	}
	fit, err := target.Filter{Labels: m.Labels}.Select([]api.Recording{*r})
	return err == nil && len(fit) == 1
}

// ruled is the container that rules are asked for: of one that has no name, since somebody
// in another made it, that other.
func ruled(r *api.Recording) *api.Recording {
	if !r.Nameless() {
		return r
	}
	out := *r
	out.Container = r.Inside.Container
	return &out
}

// Rule is settings for some containers.
type Rule struct {
	Match    Match
	Settings Settings
}

// Policy is the settings for all containers and rules for some.
type Policy struct {
	Base      Settings
	Rules     []Rule   // the later ones win
	Forbidden []string // settings that annotations cannot make, by name
}

// Allowed returns the annotations that may be carried out, and the keys of those that
// Forbidden has.
func (p *Policy) Allowed(annotations map[string]string) (allowed map[string]string, forbidden []string) {
	for _, name := range p.Forbidden {
		if _, ok := annotations[AnnotationPrefix+name]; ok {
			forbidden = append(forbidden, AnnotationPrefix+name)
		}
	}
	if forbidden == nil {
		return annotations, nil
	}
	allowed = maps.Clone(annotations)
	for _, key := range forbidden {
		delete(allowed, key)
	}
	return allowed, forbidden
}

// For returns the settings of a container by all rules that fit it.
func (p *Policy) For(r *api.Recording) Settings {
	out := p.Base
	for i := range p.Rules {
		if p.Rules[i].Match.fits(r) {
			out = p.Rules[i].Settings.Over(out)
		}
	}
	return out
}

// Bounds of annotations, which anybody who may make a pod can write: how long one is, in
// bytes, and what its regular expressions cost (privacy.Cost): all that the container has
// captured is held against them.
const (
	annotationMax     = 1024
	annotationMaxCost = 128
)

// Annotations reads the settings among a pod's annotations; others are none of
// its business. An error names each that is wrong, and the rest is returned.
func Annotations(annotations map[string]string) (Settings, error) {
	var s Settings
	var errs []error
	for key, value := range annotations {
		name, ok := strings.CutPrefix(key, AnnotationPrefix)
		if !ok {
			continue
		}
		if err := s.annotate(name, value); err != nil {
			errs = append(errs, fmt.Errorf("annotation %s: %w", key, err))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return s, errors.Join(errs...)
}

// annotate is Set for what an annotation may say.
func (s *Settings) annotate(name, value string) error {
	if len(value) > annotationMax {
		return fmt.Errorf("it is longer than %d bytes", annotationMax)
	}
	var one Settings
	if err := one.Set(name, value); err != nil {
		return err
	}
	cost := privacy.Cost(one.Blank)
	for _, s := range one.Mute {
		if e, err := replay.ParseExpr(s); err == nil {
			cost += e.Cost()
		}
	}
	if cost > annotationMaxCost {
		return fmt.Errorf("its regular expressions are too large: together they have some %d states, want at most %d", cost, annotationMaxCost)
	}
	*s = one.Over(*s)
	return nil
}
