// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <sys/time.h>
#include <time.h>

static void tests(void)
{
	struct timespec ts = {-1, 5}, zero = {0, 0};
	struct itimerspec its = {{1, 2}, {3, 4}};
	struct itimerval it = {{0, 0}, {0, 0}};
	struct sigevent sev = {.sigev_signo = SIGUSR1, .sigev_notify = SIGEV_SIGNAL, .sigev_value.sival_int = 0};
	struct timezone tz = {0, 0};
	char *bad = edge;
	int id = 0;

	MUST(syscall(SYS_nanosleep, &ts, NULL), "nanosleep({tv_sec=-1, tv_nsec=5}, NULL");
	MUST(syscall(SYS_nanosleep, last(&zero, 16), bad), "nanosleep({tv_sec=0, tv_nsec=0}, %p", bad);
	MUST(syscall(SYS_nanosleep, edge - 8, NULL), "nanosleep(%p, NULL", edge - 8);
	MUST(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME | 2, &zero, NULL), "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME|0x2, {tv_sec=0, tv_nsec=0}, NULL");
	MUST(syscall(SYS_clock_gettime, 77, &ts), "clock_gettime(0x4d /* CLOCK_??? */, %p", &ts);
	MUST(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &zero), "clock_settime(CLOCK_MONOTONIC, {tv_sec=0, tv_nsec=0}");
	MUST(syscall(SYS_clock_getres, CLOCK_REALTIME, NULL), "clock_getres(CLOCK_REALTIME, NULL");
	MUST(syscall(SYS_gettimeofday, bad, NULL), "gettimeofday(%p, NULL", bad);
	MUST(syscall(SYS_gettimeofday, NULL, &tz), "gettimeofday(NULL, {tz_minuteswest=0, tz_dsttime=0}");
#ifdef __x86_64__ // newer architectures have other calls for it
	MUST(syscall(SYS_time, bad), "time(%p", bad);
	MUST(syscall(SYS_alarm, 0), "alarm(0");
#endif
	MUST(syscall(SYS_setitimer, ITIMER_VIRTUAL, &it, NULL), "setitimer(ITIMER_VIRTUAL, {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=0, tv_usec=0}}, NULL");
	it.it_interval.tv_sec = 9; // which the old value overwrites
	MUST(syscall(SYS_setitimer, ITIMER_VIRTUAL, &it, &it), "setitimer(ITIMER_VIRTUAL, {it_interval={tv_sec=9, tv_usec=0}, it_value={tv_sec=0, tv_usec=0}}, {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=0, tv_usec=0}}");
	MUST(syscall(SYS_getitimer, 9, &it), "getitimer(0x9 /* ITIMER_??? */, %p", &it);
	MUST(syscall(SYS_timer_create, CLOCK_REALTIME, &sev, &id), "timer_create(CLOCK_REALTIME, {sigev_signo=SIGUSR1, sigev_notify=SIGEV_SIGNAL}, [%d]", id);
	MUST(syscall(SYS_timer_settime, 9999, TIMER_ABSTIME, &its, NULL), "timer_settime(9999, TIMER_ABSTIME, {it_interval={tv_sec=1, tv_nsec=2}, it_value={tv_sec=3, tv_nsec=4}}, NULL");
	MUST(syscall(SYS_timer_gettime, id, bad), "timer_gettime(%d, %p", id, bad);
	MUST(syscall(SYS_timer_getoverrun, id), "timer_getoverrun(%d", id);
	MUST(syscall(SYS_timer_delete, id), "timer_delete(%d", id);
	sev.sigev_notify = SIGEV_NONE;
	MUST(syscall(SYS_timer_create, 99, &sev, &id), "timer_create(0x63 /* CLOCK_??? */, {sigev_signo=10, sigev_notify=SIGEV_NONE}, %p", &id);
	sev.sigev_notify = SIGEV_THREAD_ID, sev._sigev_un._tid = 5;
	MUST(syscall(SYS_timer_create, 99, &sev, &id), "timer_create(0x63 /* CLOCK_??? */, {sigev_signo=SIGUSR1, sigev_notify=SIGEV_THREAD_ID, sigev_notify_thread_id=5}, %p", &id);
	MUST(syscall(SYS_timerfd_settime, -1, 3, &its, NULL), "timerfd_settime(-1, TFD_TIMER_ABSTIME|TFD_TIMER_CANCEL_ON_SET, {it_interval={tv_sec=1, tv_nsec=2}, it_value={tv_sec=3, tv_nsec=4}}, NULL");
	MUST(syscall(SYS_adjtimex, bad), "adjtimex(%p", bad);
}
