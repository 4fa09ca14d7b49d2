package recorder

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// mostStuck is how many reads of tasks' memory may be under way that were given up.
const mostStuck = 16

// progressSoon is progress without what the arguments point to, if it does not come in a
// while: memory of a file whose server hangs, or of a process that serves its own page
// faults, may never come, and nothing breaks the read off.
func (r *Recorder) progressSoon(t *layout.TaskDump, follow bool) *record.Record {
	if !follow || r.stuck.Load() >= mostStuck {
		return r.progress(t, false)
	}
	task := *t
	rec, late := soon(func() *record.Record { return r.progress(&task, true) })
	if late == nil {
		return rec
	}
	r.stuck.Add(1)
	go func() {
		<-late
		r.stuck.Add(-1)
	}()
	return r.progress(t, false)
}

// progress makes a record of the call that a task is in. What its arguments point
// to is read from the task's memory now, if that is wanted, as far as the call reads and
// does not write it.
func (r *Recorder) progress(t *layout.TaskDump, follow bool) *record.Record {
	flags := layout.RecFlag(t.Flags)
	rec := &record.Record{Type: layout.RecEnter, Flags: flags | layout.RecfNodur, Time: t.Enter, Tid: t.Info.Tid, Nr: uint16(t.Nr), Args: t.Args}
	if t.Enter != 0 {
		rec.Flags &^= layout.RecfNodur
	}
	index := t.Nr % layout.PlanCalls
	if flags&layout.RecfCompat != 0 {
		index += layout.PlanCalls
	}
	plan := r.plans[index]
	if t.Nr >= layout.PlanCalls {
		plan = layout.Plan{Nargs: 6} // no call that has a plan
	}
	if t.Nr >= layout.NrItem {
		rec.Nr = layout.NrItem
		rec.Items = append(rec.Items, record.Item{Kind: layout.ItemNumber, Data: binary.LittleEndian.AppendUint32(nil, t.Nr)})
	}
	for i := int(plan.Nargs); i < len(rec.Args); i++ {
		rec.Args[i] = 0
	}
	if !follow {
		if plan.Nops > 0 {
			rec.Flags |= layout.RecfCut
		}
		return rec
	}
	if layout.PlanFlag(plan.Flags)&layout.PlanSub != 0 && plan.Sub < 6 {
		key := layout.SubplanKey{Nr: index, Cmd: uint32(t.Args[plan.Sub])}
		if sub, ok := r.subPlans[key]; ok {
			plan = sub
		}
	}
	args := t.Args
	if layout.PlanFlag(plan.Flags)&layout.PlanArgs != 0 {
		b := make([]byte, 4*min(int(plan.Nargs), len(args)))
		b = b[:readMemory(int(t.Info.Tid), t.Args[1], b)]
		rec.Items = append(rec.Items, record.Item{Arg: 1, Kind: layout.ItemMem, Flags: layout.ItemEntry, Data: b})
		args = [6]uint64{}
		for i := range len(b) / 4 {
			args[i] = uint64(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
	for _, op := range plan.Op[:min(int(plan.Nops), len(plan.Op))] {
		if when := layout.OpWhen(op.When); when == layout.OpOk || when == layout.OpSame || op.Arg > 5 {
			continue
		}
		if it, ok := readItem(int(t.Info.Tid), &op, &args); ok {
			rec.Items = append(rec.Items, it)
		}
	}
	return rec
}

// readItem follows one pointer of a task that is in a call.
func readItem(tid int, op *layout.PlanOp, args *[6]uint64) (record.Item, bool) {
	ptr := args[op.Arg]
	if ptr == 0 {
		return record.Item{}, false
	}
	it := record.Item{Arg: op.Arg, Flags: layout.ItemEntry}
	var n uint64
	switch layout.OpKind(op.Kind) {
	case layout.OpStr:
		it.Kind, n = layout.ItemStr, uint64(op.Max)
	case layout.OpMem, layout.OpPoll:
		count := uint64(1)
		switch layout.OpTimes(op.Count) {
		case layout.CountArg:
			count = uint64(max(int32(args[op.Carg%6]), 0))
		case layout.CountArgLong:
			count = args[op.Carg%6]
		case layout.CountRet, layout.CountPtr, layout.CountBits, layout.CountPages:
			return it, false // known only at the call's end
		}
		it.Kind, n = layout.ItemMem, min(count, 1<<16)*uint64(op.Size)
		if n > uint64(op.Max) {
			n, it.Flags = uint64(op.Max), it.Flags|layout.ItemCut
		}
	default:
		return it, false
	}
	if n == 0 || n > layout.RecMax/2 {
		n = min(n, layout.RecMax/2)
	}
	b := make([]byte, n)
	got := readMemory(tid, ptr, b)
	b = b[:got]
	if it.Kind == layout.ItemStr {
		end := cstring(b)
		if end < 0 {
			it.Flags |= layout.ItemCut
			end = len(b)
		}
		b = b[:end]
	} else if uint64(got) < n {
		it.Flags |= layout.ItemFault
	}
	if got == 0 {
		it.Flags |= layout.ItemFault
	}
	it.Data = b
	return it, true
}

// readMemory reads a task's memory page by page, so that what lies before an
// unmapped page is read. It returns the bytes read.
func readMemory(tid int, addr uint64, b []byte) int {
	done := 0
	for done < len(b) {
		at := addr + uint64(done)
		step := min(len(b)-done, int(4096-at%4096))
		local := []unix.Iovec{{Base: &b[done]}}
		local[0].SetLen(step)
		n, err := unix.ProcessVMReadv(tid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: step}}, 0)
		if err != nil || n <= 0 {
			break
		}
		done += n
	}
	return done
}

func cstring(b []byte) int {
	for i, c := range b {
		if c == 0 {
			return i
		}
	}
	return -1
}

// decodeTask reads a struct task_info.
func decodeTask(b []byte, info *layout.TaskInfo) bool {
	if len(b) != layout.SizeofTaskInfo {
		return false
	}
	_, err := binary.Decode(b, binary.LittleEndian, info)
	return err == nil
}

// sameTask reports whether a thread id still belongs to the thread that was listed
// with it: ids are reused, and its memory was read by the id.
func sameTask(t *layout.TaskDump) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.Info.Tid))
	if err != nil {
		return false
	}
	// The start time, in ticks of 10 ms on CLOCK_BOOTTIME, is field 22 (proc(5)); the
	// second ends with the last parenthesis.
	_, rest, _ := strings.Cut(string(b[max(bytes.LastIndexByte(b, ')'), 0):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return false
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return false
	}
	var boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return false
	}
	asleep := time.Duration(boot.Nano()) - time.Duration(monotonic())
	began := time.Duration(ticks)*10*time.Millisecond - asleep
	return (began - time.Duration(t.Info.Start)).Abs() < 50*time.Millisecond
}
