package strace

import (
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

const efault = 14

// untouched says why only the address of an argument is known, where that could be taken for
// a bad pointer. A call that seccomp refuses or a notifier answers is not seen to begin,
// and the kernel reads none of its arguments: a page that nobody has touched is then not in
// memory, and the recorder cannot fetch it.
func (d *decoder) untouched(a *syscalls.Arg) string {
	if d.rec.Type != layout.RecCall || d.rec.Flags&layout.RecfNodur == 0 || d.rec.Ret == -efault {
		return ""
	}
	for i := range d.rec.Items {
		it := &d.rec.Items[i]
		if it.Arg == a.Reg && it.Fault() && len(it.Data) == 0 && !it.Entry() {
			return "page not in memory"
		}
	}
	return ""
}
