// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void tests(void)
{
	struct {uint32_t efd, tfd, toff;} slot = {4, 5, 6};
	struct {uint64_t off; uint32_t flags; int nr;} peek = {1, 1, 3};
	struct clone_args ca = {.flags = 0x80000000000UL | CLONE_VM, .exit_signal = SIGCHLD};
	struct rlimit64 {uint64_t cur, max;} rl = {1024 * 1024, ~0UL}, old;
	struct {uint32_t version; int pid;} hdr = {0x20080522, 0};
	char *argv[] = {"a b", "\"x\"", NULL}, *bad = edge, name[16] = "";
	uint64_t word = 0;
	uint32_t u = 7;
	int status;

	MUST(syscall(SYS_execve, "/none/x", argv, NULL), "execve(\"/none/x\", [\"a b\", \"\\\"x\\\"\"], NULL");
	MUST(syscall(SYS_execve, "/none/x", NULL, bad), "execve(\"/none/x\", NULL, %p", bad);
	MUST(syscall(SYS_execveat, -1, last("", 1), argv + 2, NULL, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW), "execveat(-1, \"\", [], NULL, AT_SYMLINK_NOFOLLOW|AT_EMPTY_PATH");
	MUST(syscall(SYS_clone3, &ca, sizeof(ca)), "clone3({flags=CLONE_VM|0x80000000000, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88");
	MUST(syscall(SYS_clone3, bad, sizeof(ca)), "clone3(%p, 88", bad);
	ca.flags = 0x400000 | CLONE_INTO_CGROUP | 0x80, ca.cgroup = 99;
	MUST(syscall(SYS_clone3, &ca, sizeof(ca)), "clone3({flags=CLONE_NEWTIME|CLONE_INTO_CGROUP|0x400000, exit_signal=SIGCHLD, stack=NULL, stack_size=0, cgroup=99}, 88");
	MUST(syscall(SYS_clone3, &ca, 10L), "clone3(%p, 10", &ca);
	MUST(syscall(SYS_wait4, -1, &status, WNOHANG | WUNTRACED, NULL), "wait4(-1, %p, WNOHANG|WSTOPPED, NULL", &status);
	MUST(syscall(SYS_wait4, 1 << 29, NULL, 0x100, NULL), "wait4(536870912, NULL, 0x100 /* W??? */, NULL");
	MUST(syscall(SYS_waitid, P_PID, 1 << 29, NULL, WEXITED | WNOWAIT, NULL), "waitid(P_PID, 536870912, NULL, WEXITED|WNOWAIT, NULL");
	MUST(syscall(SYS_waitid, 9, 1, bad, 0, NULL), "waitid(0x9 /* P_??? */, 1, %p, 0, NULL", bad);
	MUST(syscall(SYS_setpgid, 1 << 29, -1), "setpgid(536870912, -1");
	MUST(syscall(SYS_getpgid, 1 << 29), "getpgid(536870912");
	MUST(syscall(SYS_getpriority, PRIO_PGRP, 1 << 29), "getpriority(PRIO_PGRP, 536870912");
	MUST(syscall(SYS_setpriority, 9, 0, -21), "setpriority(0x9 /* PRIO_??? */, 0, -21");
	MUST(syscall(SYS_unshare, 0x1), "unshare(0x1 /* CLONE_??? */");
	MUST(syscall(SYS_setns, -1, CLONE_NEWNET), "setns(-1, CLONE_NEWNET");
	MUST(syscall(SYS_pidfd_open, -1, 0x800), "pidfd_open(-1, PIDFD_NONBLOCK");
	MUST(syscall(SYS_pidfd_getfd, -1, 5, 1), "pidfd_getfd(-1, 5, 0x1");
	MUST(syscall(SYS_process_mrelease, -1, 0), "process_mrelease(-1, 0");
	MUST(syscall(SYS_kcmp, -1, -1, KCMP_FILE, 1L, 2L), "kcmp(-1, -1, KCMP_FILE, 1, 2");
	MUST(syscall(SYS_kcmp, -1, -1, KCMP_VM, 1L, 2L), "kcmp(-1, -1, KCMP_VM");
	MUST(syscall(SYS_kcmp, -1, -1, KCMP_EPOLL_TFD, 1L, &slot), "kcmp(-1, -1, KCMP_EPOLL_TFD, 1, {efd=4, tfd=5, toff=6}");
	MUST(syscall(SYS_kcmp, -1, -1, 99, 1L, 2L), "kcmp(-1, -1, 0x63 /* KCMP_??? */, 0x1, 0x2");
	MUST(syscall(SYS_ptrace, PTRACE_LISTEN, 1 << 29, 1L, 2L), "ptrace(PTRACE_LISTEN, 536870912");
	MUST(syscall(SYS_ptrace, PTRACE_PEEKSIGINFO, 1 << 29, &peek, bad), "ptrace(PTRACE_PEEKSIGINFO, 536870912, {off=1, flags=PTRACE_PEEKSIGINFO_SHARED, nr=3}, %p", bad);
#ifdef __x86_64__ // others have no such registers
	MUST(syscall(SYS_ptrace, PTRACE_GETREGS, 1 << 29, 0L, bad), "ptrace(PTRACE_GETREGS, 536870912, %p", bad);
	MUST(syscall(SYS_ptrace, PTRACE_POKEUSER, 1 << 29, 848L, 0L), "ptrace(PTRACE_POKEUSER, 536870912, offsetof(struct user, u_debugreg), NULL");
	MUST(syscall(SYS_ptrace, PTRACE_POKEUSER, 1 << 29, 144L, 7L), "ptrace(PTRACE_POKEUSER, 536870912, 8*EFL, 0x7");
	MUST(syscall(SYS_ptrace, PTRACE_POKEUSER, 1 << 29, 240L, 7L), "ptrace(PTRACE_POKEUSER, 536870912, offsetof(struct user, i387)+16, 0x7");
#endif
	MUST(syscall(SYS_membarrier, 3, 1, 7), "membarrier(0x3 /* MEMBARRIER_CMD_??? */, MEMBARRIER_CMD_FLAG_CPU, 7");
	MUST(syscall(SYS_membarrier, 3, 0, 7), "membarrier(0x3 /* MEMBARRIER_CMD_??? */, 0");
	MUST(syscall(SYS_futex, &u, FUTEX_WAIT_PRIVATE, 8, NULL), "futex(%p, FUTEX_WAIT_PRIVATE, 8, NULL", &u);
	MUST(syscall(SYS_futex, &u, FUTEX_WAKE, 1), "futex(%p, FUTEX_WAKE, 1", &u);
	MUST(syscall(SYS_futex, bad, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 8, NULL, NULL, -1), "futex(%p, FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, 8, NULL, FUTEX_BITSET_MATCH_ANY", bad);
	MUST(syscall(SYS_set_robust_list, NULL, 1L), "set_robust_list(NULL, 1");
	MUST(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, bad), "prlimit64(0, RLIMIT_NOFILE, NULL, %p", bad);
	MUST(syscall(SYS_prlimit64, 1 << 29, 99, &rl, &old), "prlimit64(536870912, 0x63 /* RLIMIT_??? */, {rlim_cur=1024*1024, rlim_max=RLIM64_INFINITY}, %p", &old);
	MUST(syscall(SYS_getrusage, 9, &old), "getrusage(0x9 /* RUSAGE_??? */, %p", &old);
	MUST(syscall(SYS_capget, last(&hdr, 8), NULL), "capget({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, NULL");
	MUST(syscall(SYS_setresuid, -1, 99999999, -1), "setresuid(-1, 99999999, -1");
	MUST(syscall(SYS_setgroups, -1, NULL), "setgroups(-1, NULL");
	MUST(syscall(SYS_sched_setscheduler, -1, 6 | 0x40000000, bad), "sched_setscheduler(-1, 0x40000006 /* SCHED_??? */, %p", bad);
	MUST(syscall(SYS_sched_getaffinity, 1 << 29, 8, &word), "sched_getaffinity(536870912, 8, %p", &word);
	MUST(syscall(SYS_ioprio_get, 1, 1 << 29), "ioprio_get(IOPRIO_WHO_PROCESS, 536870912");
	MUST(syscall(SYS_ioprio_set, 9, 0, 2 << 13 | 4), "ioprio_set(0x9 /* IOPRIO_WHO_??? */, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4)");
	// prctl
	MUST(syscall(SYS_prctl, PR_SET_NAME, "short"), "prctl(PR_SET_NAME, \"short\"");
	MUST(syscall(SYS_prctl, PR_GET_NAME, name), "prctl(PR_GET_NAME, \"short\"");
	MUST(syscall(SYS_prctl, PR_SET_NAME, "fifteen letters"), "prctl(PR_SET_NAME, \"fifteen letters\"...");
	MUST(syscall(SYS_prctl, PR_GET_NAME, name), "prctl(PR_GET_NAME, \"fifteen letters\"");
	MUST(syscall(SYS_prctl, PR_SET_NAME, bad), "prctl(PR_SET_NAME, %p", bad);
	MUST(syscall(SYS_prctl, PR_MCE_KILL, 1L, 1L, 0L, 0L), "prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0");
	MUST(syscall(SYS_prctl, PR_MCE_KILL, 0L, 0L, 0L, 0L), "prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0");
	MUST(syscall(SYS_prctl, PR_MCE_KILL_GET, 0L, 0L, 0L, 0L), "prctl(PR_MCE_KILL_GET, 0, 0, 0, 0");
	RESULT("2 (PR_MCE_KILL_DEFAULT)");
	MUST(syscall(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, 0L, 0L, 0L, NULL), "prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, NULL");
	MUST(syscall(SYS_prctl, PR_SCHED_CORE, 9L, 5L, 1L, NULL), "prctl(PR_SCHED_CORE, 0x9 /* PR_SCHED_CORE_??? */, 5, 0x1 /* PIDTYPE_TGID */, NULL");
	MUST(syscall(SYS_prctl, PR_TASK_PERF_EVENTS_ENABLE), "prctl(PR_TASK_PERF_EVENTS_ENABLE");
	MUST(syscall(SYS_prctl, PR_SET_TIMING, 0L), "prctl(PR_SET_TIMING, 0");
	MUST(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL), "prctl(PR_SET_PDEATHSIG, SIGKILL");
	MUST(syscall(SYS_prctl, PR_GET_PDEATHSIG, &u), "prctl(PR_GET_PDEATHSIG, [SIGKILL]");
	MUST(syscall(SYS_prctl, PR_SET_PDEATHSIG, 0), "prctl(PR_SET_PDEATHSIG, 0");
	MUST(syscall(SYS_prctl, PR_GET_DUMPABLE), "prctl(PR_GET_DUMPABLE");
	RESULT("%ld (%s)", rc, rc == 1 ? "SUID_DUMP_USER" : rc == 2 ? "SUID_DUMP_ROOT" : "SUID_DUMP_DISABLE");
	MUST(syscall(SYS_prctl, PR_CAPBSET_READ, 12), "prctl(PR_CAPBSET_READ, CAP_NET_ADMIN");
	MUST(syscall(SYS_prctl, PR_SET_SECCOMP, 2, bad), "prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, %p", bad);
	MUST(syscall(SYS_prctl, 0x7fff, 1L, 2L, 3L, 4L), "prctl(0x7fff /* PR_??? */, 0x1, 0x2, 0x3, 0x4");
#ifdef __x86_64__ // newer architectures have other calls for it
	MUST(syscall(SYS_arch_prctl, 0x1003, &word), "arch_prctl(ARCH_GET_FS, [%#lx]", (long)word);
	MUST(syscall(SYS_arch_prctl, 0x7777, 5L), "arch_prctl(0x7777 /* ARCH_??? */, 0x5");
#endif
	MUST(syscall(SYS_personality, 0xffffffff), "personality(0xffffffff");
	RESULT("%#lx (PER_LINUX)", rc);
	// ptrace
	MUST(syscall(SYS_ptrace, PTRACE_ATTACH, 1 << 29, 0L, 0L), "ptrace(PTRACE_ATTACH, 536870912");
#ifdef __x86_64__ // registers have names there
	MUST(syscall(SYS_ptrace, PTRACE_PEEKUSER, 1 << 29, 8L, &word), "ptrace(PTRACE_PEEKUSER, 536870912, 8*R14, %p", &word);
#endif
	MUST(syscall(SYS_ptrace, PTRACE_POKEDATA, 1 << 29, 8L, 9L), "ptrace(PTRACE_POKEDATA, 536870912, 0x8, 0x9");
	MUST(syscall(SYS_ptrace, PTRACE_CONT, 1 << 29, 0L, SIGUSR1), "ptrace(PTRACE_CONT, 536870912, NULL, SIGUSR1");
	MUST(syscall(SYS_ptrace, PTRACE_SEIZE, 1 << 29, 0L, 0x100001L), "ptrace(PTRACE_SEIZE, 536870912, NULL, PTRACE_O_TRACESYSGOOD|PTRACE_O_EXITKILL");
	word = 1UL << (SIGCHLD - 1);
	MUST(syscall(SYS_ptrace, PTRACE_SETSIGMASK, 1 << 29, 8L, &word), "ptrace(PTRACE_SETSIGMASK, 536870912, 8, [CHLD]");
	MUST(syscall(SYS_ptrace, 0x5555, 1 << 29, 1L, 2L), "ptrace(0x5555 /* PTRACE_??? */, 536870912, 0x1, 0x2");
}
