package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Headers whose ioctl requests get a name, first come first served where two
// share a number.
var ioctlHeaders = []string{
	"asm-generic/ioctls.h", "linux/sockios.h", "linux/fs.h", "linux/kd.h", "linux/vt.h", "linux/loop.h", "linux/nsfs.h",
	"linux/pidfd.h", "linux/if_tun.h", "linux/fscrypt.h", "linux/fsverity.h", "linux/fuse.h", "linux/btrfs.h", "linux/dm-ioctl.h",
	"linux/kvm.h", "linux/vhost.h", "linux/vfio.h", "linux/iommufd.h", "linux/perf_event.h", "linux/userfaultfd.h", "linux/seccomp.h",
	"linux/random.h", "linux/rtc.h", "linux/watchdog.h", "linux/input.h", "linux/uinput.h", "linux/hidraw.h", "linux/i2c-dev.h",
	"linux/spi/spidev.h", "linux/gpio.h", "linux/nvme_ioctl.h", "linux/blkzoned.h", "linux/blkpg.h", "linux/usbdevice_fs.h",
	"linux/ppp-ioctl.h", "linux/raid/md_u.h", "linux/nbd.h", "linux/cdrom.h", "linux/hdreg.h", "linux/videodev2.h",
	"linux/media.h", "linux/dma-buf.h", "linux/dma-heap.h", "linux/udmabuf.h", "linux/sync_file.h", "linux/msdos_fs.h", "linux/fiemap.h", "linux/ptp_clock.h",
	"linux/tee.h", "linux/vm_sockets.h", "linux/vduse.h", "linux/ublk_cmd.h", "linux/bpf.h", "linux/mount.h", "linux/net_tstamp.h",
	"linux/android/binder.h", "linux/fanotify.h", "linux/lirc.h", "linux/kfd_ioctl.h", "drm/drm.h", "sound/asound.h", "mtd/mtd-abi.h", "rdma/rdma_user_ioctl_cmds.h",
}

// probe compiles and runs C that prints lines.
type probe struct {
	cc, headers, tmp string
}

// run returns what the program prints, or the lines of body that do not compile.
func (p probe) run(includes []string, body string) (string, []int, error) {
	var src bytes.Buffer
	src.WriteString("#define _GNU_SOURCE 1\n")
	for _, h := range includes {
		fmt.Fprintf(&src, "#include <%s>\n", h)
	}
	if !bytes.Contains(src.Bytes(), []byte("<stdio.h>")) {
		src.WriteString("#include <stdio.h>\n")
	}
	src.WriteString("int main(void) {\n")
	first := bytes.Count(src.Bytes(), []byte("\n")) + 1
	fmt.Fprintf(&src, "%s\nreturn 0; }\n", body)
	c, bin := filepath.Join(p.tmp, "probe.c"), filepath.Join(p.tmp, "probe")
	if err := os.WriteFile(c, src.Bytes(), 0o600); err != nil {
		return "", nil, err
	}
	cmd := exec.Command(p.cc, append(p.args(), "-w", "-O0", "-o", bin, c)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if msg, err := cmd.CombinedOutput(); err != nil {
		var missing []int
		for _, m := range regexp.MustCompile(`(?m)^\S*probe\.c:(\d+):\d+: error`).FindAllSubmatch(msg, -1) {
			if n, _ := strconv.Atoi(string(m[1])); n >= first {
				missing = append(missing, n-first)
			}
		}
		return "", missing, fmt.Errorf("%w: %s", err, msg)
	}
	out, err := exec.Command(bin).Output()
	return string(out), nil, err
}

func (p probe) args() []string {
	return []string{"-isystem", p.headers, "-isystem", filepath.Join(p.headers, "x86_64-linux-gnu")}
}

// macros returns the object-like macros of a header and what they stand for.
func (p probe) macros(headers ...string) (map[string]string, error) {
	var src bytes.Buffer
	for _, h := range headers {
		fmt.Fprintf(&src, "#include <%s>\n", h)
	}
	cmd := exec.Command(p.cc, append(p.args(), "-D_GNU_SOURCE", "-E", "-dM", "-x", "c", "-")...)
	cmd.Stdin = &src
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("macros of %v: %w", headers, err)
	}
	m := map[string]string{}
	for _, l := range strings.Split(string(out), "\n") {
		f := strings.SplitN(l, " ", 3)
		if len(f) == 3 && !strings.Contains(f[1], "(") {
			m[f[1]] = f[2]
		}
	}
	return m, nil
}

// values evaluates names; those that the headers lack are left out and named.
func (p probe) values(headers, names []string, format string) ([]string, error) {
	for {
		var body strings.Builder
		for _, n := range names {
			fmt.Fprintf(&body, "printf(\"%%s\\t%s\\n\", \"%s\", (unsigned long long)(%s));\n", format, n, n)
		}
		out, missing, err := p.run(headers, body.String())
		if err == nil {
			return strings.Split(strings.TrimSpace(out), "\n"), nil
		}
		if len(missing) == 0 {
			return nil, err
		}
		var kept, lost []string
		for i, n := range names {
			if slices.Contains(missing, i) {
				lost = append(lost, n)
			} else {
				kept = append(kept, n)
			}
		}
		fmt.Fprintf(os.Stderr, "gensyscalls: %s lacks %s\n", headers[len(headers)-1], strings.Join(lost, " "))
		if len(kept) == len(names) {
			return nil, err
		}
		names = kept
		if len(names) == 0 {
			return nil, nil
		}
	}
}

// writeConsts writes consts.tsv.
func writeConsts(dir, headers, cc, source string) error {
	tmp, err := os.MkdirTemp("", "gensyscalls")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	p := probe{cc, headers, tmp}
	sets, err := readSets(dir)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Constants: set of sets.txt (or errno, signal, ioctl), name, value; errno: also its text.\n")
	fmt.Fprintf(&out, "# Written by gensyscalls facts from the user-space headers of %s; do not edit.\n", source)
	for _, s := range sets {
		names, err := expand(p, s)
		if err != nil {
			return fmt.Errorf("set %s: %w", s.name, err)
		}
		if len(names) == 0 {
			continue
		}
		lines, err := p.values(s.headers, names, "%#llx")
		if err != nil {
			return fmt.Errorf("set %s: %w", s.name, err)
		}
		for _, l := range lines {
			if l != "" {
				fmt.Fprintf(&out, "%s\t%s\n", s.name, l)
			}
		}
	}
	if err := errnos(p, &out); err != nil {
		return err
	}
	if err := ioctls(p, &out); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "consts.tsv"), out.Bytes(), 0o644)
}

// expand returns the names of a set that the headers have to give values for.
func expand(p probe, s *set) ([]string, error) {
	var names []string
	drop := map[string]bool{}
	for _, n := range s.names {
		drop[n.name] = drop[n.name] || n.value != ""
		if strings.HasPrefix(n.name, "-") {
			drop[n.name[1:]] = true
		}
	}
	for _, n := range s.names {
		switch {
		case strings.HasPrefix(n.name, "-") || n.value != "":
		case strings.Contains(n.name, "*"):
			macros, err := p.macros(s.headers...)
			if err != nil {
				return nil, err
			}
			re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(n.name), `\*`, `\w+`) + "$")
			var found []string
			for m, body := range macros {
				if re.MatchString(m) && !drop[m] && body != "" {
					found = append(found, m)
				}
			}
			sort.Strings(found)
			for _, f := range found {
				if !drop[f] {
					names = append(names, f)
					drop[f] = true
				}
			}
		case !drop[n.name]:
			names = append(names, n.name)
			drop[n.name] = true
		}
	}
	return names, nil
}

func errnos(p probe, out *bytes.Buffer) error {
	macros, err := p.macros("asm-generic/errno.h")
	if err != nil {
		return err
	}
	var names []string
	for m, body := range macros {
		if m[0] == 'E' && body[0] >= '0' && body[0] <= '9' {
			names = append(names, m)
		}
	}
	sort.Strings(names)
	var body strings.Builder
	for _, n := range names {
		fmt.Fprintf(&body, "printf(\"errno\\t%s\\t%%d\\t%%s\\n\", %s, strerror(%s));\n", n, n, n)
	}
	text, _, err := p.run([]string{"string.h", "asm-generic/errno.h"}, body.String())
	out.WriteString(text)
	return err
}

func ioctls(p probe, out *bytes.Buffer) error {
	reIOC := regexp.MustCompile(`\b_IO[RWC]*(_BAD|_OLD)?\s*\(|\bDRM_IO[RW]*\(|\b_IOC_`)
	seen := map[string]bool{}
	for _, h := range ioctlHeaders {
		if _, err := os.Stat(filepath.Join(p.headers, h)); err != nil {
			fmt.Fprintf(os.Stderr, "gensyscalls: no %s\n", h)
			continue
		}
		macros, err := p.macros(h)
		if err != nil {
			fmt.Fprintln(os.Stderr, "gensyscalls:", err)
			continue
		}
		src, err := os.ReadFile(filepath.Join(p.headers, h))
		if err != nil {
			return err
		}
		numbers := h == "asm-generic/ioctls.h" || h == "linux/sockios.h" || h == "linux/kd.h" || h == "linux/vt.h" || h == "linux/cdrom.h" || h == "linux/hdreg.h" || h == "linux/loop.h"
		var names []string
		for m, body := range macros {
			if seen[m] || !regexp.MustCompile(`(?m)^\s*#\s*define\s+`+m+`\b`).Match(src) {
				continue
			}
			plain := numbers && regexp.MustCompile(`^(0x[0-9A-Fa-f]{3,4}|\(SIOC\w+ *[+-].*\))$`).MatchString(body) && !regexp.MustCompile(`^(TIOCPKT|TIOCM_|TIOCSER_|CDC_|CDO_|CDROM_L|SIOC.*(PRIVATE|DEVPRIVATE)$|GPCMD|VT_E|K_)`).MatchString(m)
			if plain || reIOC.MatchString(body) {
				names = append(names, m)
			}
		}
		sort.Strings(names)
		if len(names) == 0 {
			continue
		}
		lines, err := p.values([]string{"stdint.h", "stddef.h", "sys/types.h", "linux/types.h", "linux/ioctl.h", "linux/major.h", "linux/time_types.h", "asm-generic/termbits.h", "linux/serial.h", "linux/blktrace_api.h", "linux/fiemap.h", "linux/filter.h", h}, names, "%#llx")
		if err != nil {
			return err
		}
		for _, l := range lines {
			name, value, _ := strings.Cut(l, "\t")
			if name == "" || seen[name] || seen[value] {
				continue
			}
			seen[name], seen[value] = true, true
			fmt.Fprintf(out, "ioctl\t%s\t%s\n", name, value)
		}
	}
	return nil
}
