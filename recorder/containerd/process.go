package containerd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of times in /proc, the same on all architectures.
const ticksPerSecond = 100

// processStart returns when a process started, in ticks since boot. It reports
// false if there is none, or only a zombie.
func processStart(root string, pid uint32) (ticks uint64, ok bool) {
	b, err := os.ReadFile(filepath.Join("/", root, fmt.Sprintf("proc/%d/stat", pid)))
	if err != nil {
		return 0, false
	}
	// 1234 (name) S …: the name may hold anything, also ")".
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return 0, false
	}
	f := strings.Fields(string(b[end+1:]))
	const state, starttime = 0, 19 // fields 3 and 22
	if len(f) <= starttime || f[state] == "Z" || f[state] == "X" {
		return 0, false
	}
	ticks, err = strconv.ParseUint(f[starttime], 10, 64)
	return ticks, err == nil
}

// wallTime converts ticks since boot.
func wallTime(ticks uint64) time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Time{}
	}
	ago := time.Duration(ts.Nano()) - time.Duration(ticks)*(time.Second/ticksPerSecond)
	return time.Now().Add(-ago).Round(time.Millisecond)
}
