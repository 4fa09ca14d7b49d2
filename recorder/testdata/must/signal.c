// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <setjmp.h>

struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static pid_t me;
static sigjmp_buf back;

static void nothing(int sig) {}
static void jump(int sig) { siglongjmp(back, 1); }

__attribute__((constructor)) static void before(void)
{
	struct sigaction act = {.sa_handler = nothing};

	sigaction(SIGALRM, &act, NULL);
	act.sa_handler = jump;
	act.sa_flags = SA_NODEFER;
	sigaction(SIGSEGV, &act, NULL);
	me = getpid();
}

static const struct {
	int sig, code;
	const char *name, *text;
} codes[] = {
	{SIGSEGV, 2, "SIGSEGV", "SEGV_ACCERR, si_addr=0x800000007"}, {SIGSEGV, 99, "SIGSEGV", "0x63, si_addr=0x800000007"},
	{SIGSEGV, -77, "SIGSEGV", "0xffffffb3, si_pid=7, si_uid=8, si_int=85, si_ptr=0x55"}, {SIGTRAP, 0x80, "SIGTRAP", "SI_KERNEL, si_addr=0x800000007"},
	{SIGCHLD, 2, "SIGCHLD", "CLD_KILLED, si_pid=7, si_uid=8, si_status=85, si_utime=0, si_stime=0"},
	{SIGCHLD, 0x80, "SIGCHLD", "SI_KERNEL, si_pid=7, si_uid=8, si_status=85, si_utime=0, si_stime=0"},
	{SIGUSR1, 1, "SIGUSR1", "0x1, si_pid=7, si_uid=8, si_int=85, si_ptr=0x55"}, {SIGUSR1, 0x80, "SIGUSR1", "SI_KERNEL, si_pid=7, si_uid=8, si_int=85, si_ptr=0x55"},
	{SIGUSR1, SI_SIGIO, "SIGUSR1", "SI_SIGIO, si_band=34359738375, si_fd=85"}, {SIGIO, 6, "SIGIO", "POLL_HUP, si_band=34359738375, si_fd=85"},
	{SIGIO, 99, "SIGIO", "0x63"}, {SIGSYS, 1, "SIGSYS", "SYS_SECCOMP, si_call_addr=0x800000007, si_syscall=85, si_arch=0 /* AUDIT_ARCH_??? */"},
};

static void tests(void)
{
	struct kernel_sigaction was, act = {SIG_IGN, SA_RESTART | SA_NODEFER, NULL, 1UL << (SIGUSR1 - 1)}, *old = &was;
	stack_t ss = {.ss_sp = edge, .ss_flags = SS_DISABLE, .ss_size = 100};
	uint64_t set = ~0UL, none = 0, most = ~(1UL << (SIGUSR2 - 1));
	siginfo_t si = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
	struct timespec ts = {0, 1};
	char *bad = edge;

	si.si_pid = 1, si.si_uid = 2, si.si_value.sival_ptr = (void *)0x100000007;
	MUST(syscall(SYS_rt_sigaction, SIGUSR2, &act, NULL, 8L), "rt_sigaction(SIGUSR2, {sa_handler=SIG_IGN, sa_mask=[USR1], sa_flags=SA_RESTART|SA_NODEFER}, NULL, 8");
	MUST(syscall(SYS_rt_sigaction, SIGUSR2, NULL, old, 8L), "rt_sigaction(SIGUSR2, NULL, {sa_handler=SIG_IGN, sa_mask=[USR1], sa_flags=SA_RESTART|SA_NODEFER}, 8");
	MUST(syscall(SYS_rt_sigaction, SIGKILL, bad, NULL, 8L), "rt_sigaction(SIGKILL, %p, NULL, 8", bad);
	act.handler = SIG_DFL, act.flags = 0, act.mask = 0;
	MUST(syscall(SYS_rt_sigaction, 65, &act, NULL, 8L), "rt_sigaction(65, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, NULL, 8");
	MUST(syscall(SYS_rt_sigaction, SIGUSR1, &act, old, 4L), "rt_sigaction(SIGUSR1, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, %p, 4", old);
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &none, NULL, 8L), "rt_sigprocmask(SIG_BLOCK, [], NULL, 8");
	MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &most, &set, 8L), "rt_sigprocmask(SIG_SETMASK, ~[USR2], [], 8");
	MUST(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &most, last(&set, 8), 8L), "rt_sigprocmask(SIG_UNBLOCK, ~[USR2], ~[KILL USR2 STOP], 8");
	MUST(syscall(SYS_rt_sigprocmask, 9, &none, bad, 8L), "rt_sigprocmask(0x9 /* SIG_??? */, [], %p, 8", bad);
	MUST(syscall(SYS_rt_sigpending, &set, 8L), "rt_sigpending([], 8");
	MUST(syscall(SYS_rt_sigtimedwait, &none, NULL, &ts, 8L), "rt_sigtimedwait([], NULL, {tv_sec=0, tv_nsec=1}, 8");
	MUST(syscall(SYS_rt_sigqueueinfo, 1 << 29, SIGUSR1, &si), "rt_sigqueueinfo(536870912, SIGUSR1, {si_signo=SIGUSR1, si_code=SI_QUEUE, si_pid=1, si_uid=2, si_int=7, si_ptr=0x100000007}");
	MUST(syscall(SYS_rt_sigqueueinfo, 1 << 29, 0, bad), "rt_sigqueueinfo(536870912, 0, %p", bad);
	MUST(syscall(SYS_rt_tgsigqueueinfo, -1, 5, 99, bad), "rt_tgsigqueueinfo(-1, 5, 99, %p", bad);
	MUST(syscall(SYS_sigaltstack, NULL, &ss), "sigaltstack(NULL, {ss_sp=NULL, ss_flags=SS_DISABLE, ss_size=0}");
	ss = (stack_t){.ss_sp = edge, .ss_flags = 9, .ss_size = 100};
	MUST(syscall(SYS_sigaltstack, &ss, NULL), "sigaltstack({ss_sp=%p, ss_flags=SS_ONSTACK|0x8, ss_size=100}, NULL", edge);
	MUST(syscall(SYS_kill, 1 << 29, 0), "kill(536870912, 0");
	MUST(syscall(SYS_kill, 1 << 29, SIGRTMIN), "kill(536870912, SIGRT_2");
	MUST(syscall(SYS_tkill, -1, SIGSTOP), "tkill(-1, SIGSTOP");
	MUST(syscall(SYS_tgkill, -1, 1, 200), "tgkill(-1, 1, 200");
	MUST(syscall(SYS_pidfd_send_signal, -1, SIGTERM, NULL, 0), "pidfd_send_signal(-1, SIGTERM, NULL, 0");
#ifdef __x86_64__ // newer architectures have other calls for it
	MUST(syscall(SYS_signalfd, -1, &none, 7L), "signalfd(-1, %p, 7", &none);
#endif
	// codes that the kernel gives to signals of its own
	memset(&si, 0, sizeof(si));
	si.si_pid = 7, si.si_uid = 8, si.si_ptr = (void *)85;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		si.si_signo = codes[i].sig, si.si_code = codes[i].code;
		MUST(syscall(SYS_rt_sigqueueinfo, 1 << 29, codes[i].sig, &si), "rt_sigqueueinfo(536870912, %s, {si_signo=%s, si_code=%s}", codes[i].name, codes[i].name, codes[i].text);
	}
	si.si_signo = SIGHUP, si.si_code = SI_QUEUE, si.si_ptr = NULL;
	MUST(syscall(SYS_rt_sigqueueinfo, 1 << 29, SIGHUP, &si), "rt_sigqueueinfo(536870912, SIGHUP, {si_signo=SIGHUP, si_code=SI_QUEUE, si_pid=7, si_uid=8}");
	// delivered
	set = 1UL << (SIGUSR2 - 1);
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8L), "rt_sigprocmask(SIG_BLOCK, [USR2], NULL, 8");
	MUST(syscall(SYS_tgkill, me, me, SIGALRM), "tgkill(%d, %d, SIGALRM", me, me);
	SAY("", "--- SIGALRM {si_signo=SIGALRM, si_code=SI_TKILL, si_pid=%d, si_uid=0} ---", me);
	SAY("0", "rt_sigreturn({mask=[USR2]}");
	if (!sigsetjmp(back, 0))
		*(volatile char *)(edge + 8) = 1;
	SAY("", "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_ACCERR, si_addr=%p} ---", edge + 8);
	if (!sigsetjmp(back, 0))
		*(volatile char *)8 = 1;
	SAY("", "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x8} ---");
}
