// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/perf_event.h>
#include <linux/rtc.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void tests(void)
{
	struct winsize ws = {25, 80, 3, 4};
	struct ifreq ifr;
	struct fstrim_range trim = {16, 17, 18};
	struct file_clone_range clone = {3, 4, 5, 6};
	struct fsxattr x = {FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND, 1, 2, 3, 4};
	struct loop_config loop = {.fd = 3, .block_size = 512, .info = {.lo_offset = 16, .lo_flags = LO_FLAGS_READ_ONLY, .lo_file_name = "f"}};
	struct rtc_time rtc = {1, 2, 3, 4, 5, 6};
	uint64_t range[2] = {5, 6};
	char none[64] = "";
	char *bad = edge;
	int n = 5, p[2], s;

	MUST(syscall(SYS_pipe2, p, 0), "pipe2([%d, %d], 0", p[0], p[1]);
	MUST(syscall(SYS_ioctl, p[0], FIONREAD, &n), "ioctl(%d, FIONREAD, [0]", p[0]);
	MUST(syscall(SYS_ioctl, p[0], FIONREAD, bad), "ioctl(%d, FIONREAD, %p", p[0], bad);
	MUST(syscall(SYS_ioctl, p[0], 0, 0), "ioctl(%d, _IOC(_IOC_NONE, 0, 0, 0), 0", p[0]);
	n = 1;
	MUST(syscall(SYS_ioctl, p[0], FIONBIO, &n), "ioctl(%d, FIONBIO, [1]", p[0]);
	MUST(syscall(SYS_ioctl, -1, TIOCSWINSZ, &ws), "ioctl(-1, TIOCSWINSZ, {ws_row=25, ws_col=80, ws_xpixel=3, ws_ypixel=4}");
	MUST(syscall(SYS_ioctl, -1, TIOCGWINSZ, &ws), "ioctl(-1, TIOCGWINSZ, %p", &ws);
	MUST(syscall(SYS_ioctl, p[0], FIOCLEX), "ioctl(%d, FIOCLEX", p[0]);
	MUST(syscall(SYS_ioctl, -1, FICLONE, 5L), "ioctl(-1, BTRFS_IOC_CLONE or FICLONE, 5");
	MUST(syscall(SYS_ioctl, -1, _IOC(_IOC_READ | _IOC_WRITE, 0xee, 0xff, 8), bad), "ioctl(-1, _IOC(_IOC_READ|_IOC_WRITE, 0xee, 0xff, 0x8), %p", bad);
	MUST(syscall(SYS_ioctl, -1, 0x99999, 0L), "ioctl(-1, _IOC(_IOC_NONE, 0x99, 0x99, 0x9), 0");
	MUST(syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0), "socket(AF_INET, SOCK_DGRAM, IPPROTO_IP");
	s = rc;
	memset(&ifr, 0, sizeof(ifr));
	strcpy(ifr.ifr_name, "lo");
	MUST(syscall(SYS_ioctl, s, SIOCGIFINDEX, &ifr), "ioctl(%d, SIOCGIFINDEX, {ifr_name=\"lo\", ifr_ifindex=1}", s);
	strcpy(ifr.ifr_name, "none0");
	MUST(syscall(SYS_ioctl, s, SIOCGIFFLAGS, &ifr), "ioctl(%d, SIOCGIFFLAGS, {ifr_name=\"none0\"}", s);
	MUST(syscall(SYS_ioctl, s, SIOCGIFINDEX, bad), "ioctl(%d, SIOCGIFINDEX, %p", s, bad);
	MUST(syscall(SYS_ioctl, s, SIOCGIFTXQLEN, &ifr), "ioctl(%d, SIOCGIFTXQLEN, {ifr_name=\"none0\"}", s);
	ifr.ifr_mtu = 9;
	MUST(syscall(SYS_ioctl, s, SIOCSIFMTU, &ifr), "ioctl(%d, SIOCSIFMTU, {ifr_name=\"none0\", ifr_mtu=9}", s);
	MUST(syscall(SYS_ioctl, s, FIOGETOWN, &n), "ioctl(%d, FIOGETOWN, [0]", s);
	MUST(syscall(SYS_ioctl, -1, BLKDISCARD, range), "ioctl(-1, BLKDISCARD, [5, 6]");
	MUST(syscall(SYS_ioctl, -1, BLKROSET, &n), "ioctl(-1, BLKROSET, [0]");
	MUST(syscall(SYS_ioctl, -1, BLKRRPART, 7L), "ioctl(-1, BLKRRPART");
	MUST(syscall(SYS_ioctl, -1, FITHAW, 7L), "ioctl(-1, FITHAW");
	MUST(syscall(SYS_ioctl, -1, FITRIM, &trim), "ioctl(-1, FITRIM, {start=0x10, len=17, minlen=18}");
	MUST(syscall(SYS_ioctl, -1, FICLONERANGE, &clone), "ioctl(-1, BTRFS_IOC_CLONE_RANGE or FICLONERANGE, {src_fd=3, src_offset=4, src_length=5, dest_offset=6}");
	MUST(syscall(SYS_ioctl, -1, FS_IOC_FSSETXATTR, &x), "ioctl(-1, FS_IOC_FSSETXATTR, {fsx_xflags=FS_XFLAG_IMMUTABLE|FS_XFLAG_APPEND, fsx_extsize=1, fsx_projid=0x3, fsx_cowextsize=4}");
	MUST(syscall(SYS_ioctl, -1, LOOP_CONFIGURE, &loop), "ioctl(-1, LOOP_CONFIGURE, {fd=3, block_size=512, info={lo_offset=0x10, lo_number=0, lo_flags=LO_FLAGS_READ_ONLY, lo_file_name=\"f\", ...}}");
	MUST(syscall(SYS_ioctl, -1, RTC_SET_TIME, &rtc), "ioctl(-1, RTC_SET_TIME, {tm_sec=1, tm_min=2, tm_hour=3, tm_mday=4, tm_mon=5, tm_year=6, ...}");
	MUST(syscall(SYS_ioctl, -1, PERF_EVENT_IOC_SET_OUTPUT, 4L), "ioctl(-1, PERF_EVENT_IOC_SET_OUTPUT, 4");
	MUST(syscall(SYS_ioctl, -1, SECCOMP_IOCTL_NOTIF_ID_VALID, range), "ioctl(-1, SECCOMP_IOCTL_NOTIF_ID_VALID, [0x5]");
	MUST(syscall(SYS_ioctl, -1, TCSETS, &none), "ioctl(-1, SNDCTL_TMR_START or TCSETS, {c_iflag=, c_oflag=NL0|CR0|TAB0|BS0|VT0|FF0|, c_cflag=B0|CS5|, c_lflag=, ...}");
}
