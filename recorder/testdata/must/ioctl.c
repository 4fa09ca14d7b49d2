// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <linux/fs.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void tests(void)
{
	struct winsize ws = {25, 80, 3, 4};
	struct ifreq ifr;
	char *bad = edge;
	int n = 5, p[2], s;

	MUST(syscall(SYS_pipe2, p, 0), "pipe2([%d, %d], 0", p[0], p[1]);
	MUST(syscall(SYS_ioctl, p[0], FIONREAD, &n), "ioctl(%d, FIONREAD, [0]", p[0]);
	MUST(syscall(SYS_ioctl, p[0], FIONREAD, bad), "ioctl(%d, FIONREAD, %p", p[0], bad);
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
}
