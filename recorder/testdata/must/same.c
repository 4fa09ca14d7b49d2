// SPDX-License-Identifier: Apache-2.0
// What is set and what was there before, in one and the same place.
#include "must.h"
#include <linux/capability.h>
#include <mqueue.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

struct action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};

static void tests(void)
{
	struct itimerspec *spec = last(&(struct itimerspec){{0, 1}, {100, 2}}, sizeof(struct itimerspec));
	struct itimerval *val = (void *)(edge - 512);
	struct rlimit *limit = (void *)(edge - 600);
	struct action *act = (void *)(edge - 700);
	stack_t *stack = (void *)(edge - 800);
	struct __user_cap_header_struct *cap = (void *)(edge - 900);
	struct ifreq *ifr = (void *)(edge - 1000);
	struct ifconf *ifc = (void *)(edge - 1100);
	struct ifreq *found = (void *)(edge - 1300);
	unsigned *none = (void *)(edge - 1400);
	unsigned long *mask = (void *)(edge - 1500);
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), sock;
	timer_t timer;

	SAY("3", "timerfd_create(CLOCK_MONOTONIC, 0");
	MUST(syscall(SYS_timerfd_settime, fd, 0, spec, spec),
	     "timerfd_settime(%d, 0, {it_interval={tv_sec=0, tv_nsec=1}, it_value={tv_sec=100, tv_nsec=2}}, {it_interval={tv_sec=0, tv_nsec=0}, it_value={tv_sec=0, tv_nsec=0}}", fd);
	*spec = (struct itimerspec){{3, 4}, {100, 6}};
	MUST(syscall(SYS_timerfd_settime, fd, 8, spec, spec), "timerfd_settime(%d, 0x8 /* TFD_??? */, {it_interval={tv_sec=3, tv_nsec=4}, it_value={tv_sec=100, tv_nsec=6}}, %p", fd, spec);
	MUST(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, &timer), "timer_create(CLOCK_REALTIME, NULL, [%d]", *(int *)&timer);
	MUST(syscall(SYS_timer_settime, *(int *)&timer, 0, spec, spec),
	     "timer_settime(%d, 0, {it_interval={tv_sec=3, tv_nsec=4}, it_value={tv_sec=100, tv_nsec=6}}, {it_interval={tv_sec=0, tv_nsec=0}, it_value={tv_sec=0, tv_nsec=0}}", *(int *)&timer);
	MUST(syscall(SYS_timer_delete, *(int *)&timer), "timer_delete(%d", *(int *)&timer);
	*val = (struct itimerval){{7, 8}, {900, 10}};
	MUST(syscall(SYS_setitimer, ITIMER_REAL, val, val), "setitimer(ITIMER_REAL, {it_interval={tv_sec=7, tv_usec=8}, it_value={tv_sec=900, tv_usec=10}}, {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=0, tv_usec=0}}");
	*limit = (struct rlimit){1000, 2000};
	MUST(syscall(SYS_prlimit64, 0, 99, limit, limit), "prlimit64(0, 0x63 /* RLIMIT_??? */, {rlim_cur=1000, rlim_max=2000}, %p", limit);
	*act = (struct action){(void *)1, 0x14000000, (void *)0x1234, 5};
	MUST(syscall(SYS_rt_sigaction, SIGUSR1, act, act, 8L), "rt_sigaction(SIGUSR1, {sa_handler=SIG_IGN, sa_mask=[HUP QUIT], sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x1234}, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, 8");
	MUST(syscall(SYS_rt_sigaction, SIGKILL, act, act, 8L), "rt_sigaction(SIGKILL, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, %p, 8", act);
	*mask = 1 << (SIGUSR2 - 1);
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, mask, mask, 8L), "rt_sigprocmask(SIG_BLOCK, [USR2], [], 8");
	MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, mask, 8L), "rt_sigprocmask(SIG_SETMASK, [], [USR2], 8");
	MUST(syscall(SYS_rt_sigprocmask, 9, mask, mask, 8L), "rt_sigprocmask(0x9 /* SIG_??? */, [USR2], %p, 8", mask);
	*stack = (stack_t){edge - 8192, 0, 8192};
	MUST(syscall(SYS_sigaltstack, stack, stack), "sigaltstack({ss_sp=%p, ss_flags=0, ss_size=8192}, {ss_sp=NULL, ss_flags=SS_DISABLE, ss_size=0}", edge - 8192);
	*stack = (stack_t){0, SS_DISABLE, 0};
	MUST(syscall(SYS_sigaltstack, stack, stack), "sigaltstack({ss_sp=NULL, ss_flags=SS_DISABLE, ss_size=0}, {ss_sp=%p, ss_flags=0, ss_size=8192}", edge - 8192);
	cap->version = 0x1234, cap->pid = 0;
	MUST(syscall(SYS_capset, cap, none), "capset({version=0x1234 /* _LINUX_CAPABILITY_VERSION_??? */, pid=0}, {effective=0, permitted=0, inheritable=0}");
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	SAY("4", "socket(AF_INET, SOCK_DGRAM, IPPROTO_IP");
	memset(ifr, 0, sizeof(*ifr));
	ifr->ifr_ifindex = 999;
	MUST(ioctl(sock, SIOCGIFNAME, ifr), "ioctl(%d, SIOCGIFNAME, {ifr_ifindex=999}", sock);
	ifr->ifr_ifindex = 1;
	MUST(ioctl(sock, SIOCGIFNAME, ifr), "ioctl(%d, SIOCGIFNAME, {ifr_ifindex=1%s}", sock, rc ? "" : ", ifr_name=\"lo\"");
	ifc->ifc_len = 10, ifc->ifc_req = found;
	MUST(ioctl(sock, SIOCGIFCONF, ifc), "ioctl(%d, SIOCGIFCONF, {ifc_len=10 => 0, ifc_buf=[]}", sock);
	ifc->ifc_len = 10, ifc->ifc_req = found;
	MUST(ioctl(-1, SIOCGIFCONF, ifc), "ioctl(-1, SIOCGIFCONF, {ifc_len=10, ifc_buf=%p}", found);
	MUST(ioctl(sock, SIOCGIFCONF, edge), "ioctl(%d, SIOCGIFCONF, %p", sock, edge);
}
