package record

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Group is a row of lanes of one kind in a ring; see struct lane_group in bpf/recorder.h.
// Sizes and places are in bytes.
type Group struct {
	Kind   layout.LaneKind
	Role   layout.LaneRole
	Lanes  int
	At     uint64 // of the first lane, in the ring
	Size   uint64 // of each, a power of two
	Tail   uint64 // behind each; 0: records wrap
	State  uint64 // of the first lane, in the header
	Stride uint64 // from one's state to the next one's
	Notes  uint64 // late writers that a state has room for
}

// Geometry says where a ring has its lanes. The main lane is the last.
type Geometry []Group

// NewGeometry is that of a new ring. main is the size of its main lane; guard and tasks are
// about what the lanes of each of these roles take together. All are powers of two, of
// 16 KiB or more.
func NewGeometry(main, guard, tasks uint64) Geometry {
	const (
		longest = 8 << 10  // any record fits
		first   = 16 << 10 // a sixteenth has room for a typical execve
	)
	head := &layout.RingHead{}
	small := uint64(uintptr(unsafe.Pointer(&head.Small)) - uintptr(unsafe.Pointer(head)))
	g := Geometry{}
	at := uint64(layout.RingHeader)
	add := func(kind layout.LaneKind, role layout.LaneRole, lanes int, size uint64) {
		g = append(g, Group{
			Kind: kind, Role: role, Lanes: lanes, At: at, Size: size,
			State: small + uint64(kind-layout.LaneFirst)*layout.SizeofSmallLane, Stride: layout.SizeofSmallLane, Notes: 1,
		})
		at += uint64(lanes) * size
	}
	for _, l := range []struct {
		kind layout.LaneKind
		size uint64
	}{
		{layout.LaneFirst, max(guard/8, first)},
		{layout.LaneRecent, max(guard/4, longest)},
		{layout.LaneOut, max(guard/16, longest)},
		{layout.LaneErr, max(guard/16, longest)},
		{layout.LaneExec, max(guard/16, longest)},
		{layout.LaneExit, guard / 32},
		{layout.LaneCrash, guard / 16},
		{layout.LaneSignal, guard / 32},
		{layout.LaneLong, max(guard/16, longest)},
	} {
		add(l.kind, layout.RoleGuard, 1, l.size)
	}
	for _, l := range []struct {
		kind layout.LaneKind
		size uint64
	}{
		{layout.LaneProcFirst, tasks / 8},
		{layout.LaneProc, tasks / 2},
		{layout.LaneBad, tasks / 8},
		{layout.LaneThreadFirst, tasks / 8},
		{layout.LaneThread, tasks / 8},
	} {
		add(l.kind, layout.RoleTasks, 1, l.size)
	}
	add(layout.LaneFail, layout.RoleGuard, layout.FailLanes, guard/4/layout.FailLanes)
	return append(g, Group{
		Kind: layout.LaneMain, Role: layout.RoleMain, Lanes: 1, At: at, Size: main, Tail: layout.RingTail,
		State: mainState, Stride: layout.SizeofLane, Notes: layout.Lates,
	})
}

// mainState is where the main lane's state is in the header, in every geometry so far.
const mainState = uint64(unsafe.Offsetof(layout.RingHead{}.Main))

// Bytes is the size of a ring in memory, header and all lanes.
func (g Geometry) Bytes() uint64 {
	n := uint64(layout.RingHeader1)
	for i := range g {
		n = max(n, g[i].end())
	}
	return n
}

func (g *Group) end() uint64 { return g.At + uint64(g.Lanes)*(g.Size+g.Tail) }

// Main is the group of the main lane, nil if there is none.
func (g Geometry) Main() *Group {
	for i := range g {
		if g[i].Role == layout.RoleMain {
			return &g[i]
		}
	}
	return nil
}

// Note writes a geometry into a ring's header.
func (g Geometry) Note(h *layout.RingHead) {
	h.Geometry, h.Records, h.Groups = layout.RingGeometry, layout.RecorderLayout, uint32(len(h.Group))
	for _, p := range g {
		h.Group[p.Kind] = layout.LaneGroup{
			Kind: uint8(p.Kind), Role: uint8(p.Role), Lanes: uint16(p.Lanes), At: uint32(p.At), Size: uint32(p.Size), Tail: uint32(p.Tail),
			State: uint16(p.State), Stride: uint16(p.Stride), Notes: uint16(p.Notes),
		}
	}
}

// ReadGeometry reads where a ring has its lanes from its header, and checks that mem has
// all of them. ErrNewer: another recorderd made it, and this one does not know how.
func ReadGeometry(mem []byte) (Geometry, error) {
	if len(mem) < layout.RingHeader {
		return nil, fmt.Errorf("%w: a ring of %d bytes", ErrShort, len(mem))
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%8 != 0 {
		return nil, fmt.Errorf("%w: a ring at an odd address", ErrInvalid)
	}
	h := (*layout.RingHead)(unsafe.Pointer(unsafe.SliceData(mem)))
	records := h.Records
	var g Geometry
	header := uint64(layout.RingHeader)
	switch h.Geometry {
	case 1:
		g, records, header = geometry1(h.LaneBits), 1, layout.RingHeader1
	case layout.RingGeometry:
		for _, p := range h.Group[:min(int(h.Groups), len(h.Group))] {
			if p.Lanes == 0 {
				continue
			}
			g = append(g, Group{
				Kind: layout.LaneKind(p.Kind), Role: layout.LaneRole(p.Role), Lanes: int(p.Lanes), At: uint64(p.At), Size: uint64(p.Size),
				Tail: uint64(p.Tail), State: uint64(p.State), Stride: uint64(p.Stride), Notes: uint64(p.Notes),
			})
		}
	default:
		return nil, fmt.Errorf("%w: its geometry is version %d, this recorderd reads up to %d", ErrNewer, h.Geometry, layout.RingGeometry)
	}
	if records > layout.RecorderLayout {
		return nil, fmt.Errorf("%w: its records are of layout %d, this recorderd reads up to %d", ErrNewer, records, layout.RecorderLayout)
	}
	if g.Main() == nil {
		return nil, fmt.Errorf("%w: a ring without a main lane", ErrInvalid)
	}
	for i := range g {
		if err := g[i].check(header, uint64(len(mem))); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// check says what is wrong with a group in a ring of so many bytes.
func (g *Group) check(header, bytes uint64) error {
	lane := uint64(unsafe.Offsetof(layout.Lane{}.Late)) + g.Notes*layout.SizeofLate
	switch {
	case bits.OnesCount64(g.Size) != 1 || g.Size < layout.RecHead || g.Size > layout.RingMax || g.Tail > layout.RingMax:
		return fmt.Errorf("%w: lanes of kind %d of %d bytes and %d behind", ErrInvalid, g.Kind, g.Size, g.Tail)
	case g.At%8 != 0 || g.At < header:
		return fmt.Errorf("%w: lanes of kind %d at byte %d", ErrInvalid, g.Kind, g.At)
	case g.State%8 != 0 || g.Stride%8 != 0 || g.Stride < lane || g.Notes == 0 || g.State+uint64(g.Lanes)*g.Stride > header:
		return fmt.Errorf("%w: the states of lanes of kind %d at byte %d of the header", ErrInvalid, g.Kind, g.State)
	case g.end() > bytes:
		return fmt.Errorf("%w: a ring of %d bytes, lanes of kind %d end at byte %d", ErrShort, bytes, g.Kind, g.end())
	}
	return nil
}

// geometry1 is that of rings made before the guard lane was divided. Three lanes with a
// tail each follow the header, a page, in which their states are in a row.
func geometry1(laneBits uint32) Geometry {
	var g Geometry
	at := uint64(layout.RingHeader1)
	for i, role := range []layout.LaneRole{layout.RoleMain, layout.RoleGuard, layout.RoleTasks} {
		size := uint64(1) << min(laneBits>>(8*i)&0xff, 32)
		g = append(g, Group{
			Kind: layout.LaneKind(i), Role: role, Lanes: 1, At: at, Size: size, Tail: layout.RingTail,
			State: mainState + uint64(i)*layout.SizeofLane, Stride: layout.SizeofLane, Notes: layout.Lates,
		})
		at += size + layout.RingTail
	}
	return g
}
