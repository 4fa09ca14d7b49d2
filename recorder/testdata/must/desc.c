// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <time.h>

static void tests(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -5, .l_len = 10, .l_pid = 7};
	struct pollfd *pfd = last((struct pollfd[]){{-1, POLLIN, 0}, {1 << 20, POLLIN | POLLHUP | 0x4000, 0}}, 2 * sizeof(struct pollfd));
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET | EPOLLONESHOT, .data.u64 = 0x100000002};
	struct {sigset_t *set; size_t size;} sig = {NULL, 8};
	struct f_owner_ex own = {F_OWNER_PGRP, 5};
	struct timespec ts = {0, 0};
	struct timeval tv = {0, 0};
	sigset_t set;
	fd_set in, ex, none = {0};
	char *bad = edge;
	int p[2];
	long fd;

	MUST(syscall(SYS_close, -1), "close(-1");
	MUST(syscall(SYS_close, 0x100000000 | 12345), "close(12345");
	MUST(syscall(SYS_close_range, 100000, -1, 4 | 1), "close_range(100000, 4294967295, CLOSE_RANGE_CLOEXEC|0x1");
	MUST(syscall(SYS_dup, -7), "dup(-7");
	MUST(syscall(SYS_dup3, 0, 0, O_CLOEXEC | 1), "dup3(0, 0, O_CLOEXEC|0x1");
	MUST(syscall(SYS_pipe2, p, O_CLOEXEC | O_NONBLOCK), "pipe2([%d, %d], O_NONBLOCK|O_CLOEXEC", p[0], p[1]);
	MUST(syscall(SYS_pipe2, bad, O_DIRECT), "pipe2(%p, O_DIRECT", bad);
	fd = p[0];
	MUST(syscall(SYS_lseek, fd, -1L, SEEK_HOLE), "lseek(%ld, -1, SEEK_HOLE", fd);
	MUST(syscall(SYS_lseek, fd, 0L, 9), "lseek(%ld, 0, 0x9 /* SEEK_??? */", fd);
	MUST(syscall(SYS_flock, -1, LOCK_EX | LOCK_NB), "flock(-1, LOCK_EX|LOCK_NB");
	MUST(syscall(SYS_fcntl, fd, F_GETFD), "fcntl(%ld, F_GETFD", fd);
	RESULT("0x1 (flags FD_CLOEXEC)");
	MUST(syscall(SYS_fcntl, fd, F_SETFD, 3L), "fcntl(%ld, F_SETFD, FD_CLOEXEC|0x2", fd);
	MUST(syscall(SYS_fcntl, fd, F_GETFL), "fcntl(%ld, F_GETFL", fd);
	RESULT("0x800 (flags O_RDONLY|O_NONBLOCK)");
	MUST(syscall(SYS_fcntl, fd, F_SETFL, O_RDWR | O_APPEND), "fcntl(%ld, F_SETFL, O_RDWR|O_APPEND", fd);
	MUST(syscall(SYS_fcntl, -1, F_DUPFD, 10), "fcntl(-1, F_DUPFD, 10");
	MUST(syscall(SYS_fcntl, -1, F_SETLK, &fl), "fcntl(-1, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_END, l_start=-5, l_len=10}");
	MUST(syscall(SYS_fcntl, -1, F_SETLK, bad), "fcntl(-1, F_SETLK, %p", bad);
	MUST(syscall(SYS_fcntl, -1, F_SETOWN_EX, &own), "fcntl(-1, F_SETOWN_EX, {type=F_OWNER_PGRP, pid=5}");
	MUST(syscall(SYS_fcntl, -1, F_NOTIFY, 0x80000001), "fcntl(-1, F_NOTIFY, DN_ACCESS|DN_MULTISHOT");
	MUST(syscall(SYS_fcntl, -1, F_ADD_SEALS, 3), "fcntl(-1, F_ADD_SEALS, F_SEAL_SEAL|F_SEAL_SHRINK");
	MUST(syscall(SYS_fcntl, -1, 99, 5), "fcntl(-1, 0x63 /* F_??? */, 0x5");
	MUST(syscall(SYS_fcntl, fd, F_GETPIPE_SZ), "fcntl(%ld, F_GETPIPE_SZ", fd);
#ifdef __x86_64__ // newer architectures have other calls for it
	MUST(syscall(SYS_poll, pfd, 2UL, 0), "poll([{fd=-1}, {fd=1048576, events=POLLIN|POLLHUP|0x4000}], 2, 0");
	RESULT("1 ([{fd=1048576, revents=POLLNVAL}])");
	MUST(syscall(SYS_poll, pfd, 3UL, 0), "poll([{fd=-1}, {fd=1048576, events=POLLIN|POLLHUP|0x4000}, ... /* %p */], 3, 0", bad);
	MUST(syscall(SYS_poll, NULL, 0UL, 0), "poll(NULL, 0, 0");
	RESULT("0 (Timeout)");
#endif
	MUST(syscall(SYS_ppoll, NULL, 0UL, &ts, NULL, 8UL), "ppoll(NULL, 0, {tv_sec=0, tv_nsec=0}, NULL, 8");
	RESULT("0 (Timeout)");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	MUST(syscall(SYS_ppoll, NULL, 0UL, &ts, &set, 8UL), "ppoll(NULL, 0, {tv_sec=0, tv_nsec=0}, [USR1 RT_2], 8");
	RESULT("0 (Timeout)");
	FD_ZERO(&in);
	FD_SET(fd, &in);
#ifdef __x86_64__ // newer architectures have other calls for it
	MUST(syscall(SYS_select, (int)fd + 1, &in, NULL, NULL, &tv), "select(%ld, [%ld], NULL, NULL, {tv_sec=0, tv_usec=0}", fd + 1, fd);
	RESULT("0 (Timeout)");
	MUST(syscall(SYS_select, -1, NULL, NULL, NULL, NULL), "select(-1, NULL, NULL, NULL, NULL");
#endif
	MUST(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, &sig), "pselect6(0, NULL, NULL, NULL, {tv_sec=0, tv_nsec=0}, {sigmask=NULL, sigsetsize=8}");
	RESULT("0 (Timeout)");
	sig.set = &set;
	MUST(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, last(&sig, sizeof(sig))), "pselect6(0, NULL, NULL, NULL, {tv_sec=0, tv_nsec=0}, {sigmask=[USR1 RT_2], sigsetsize=8}");
	RESULT("0 (Timeout)");
	FD_ZERO(&in);
	FD_SET(fd, &in);
	ex = in;
	MUST(syscall(SYS_pselect6, (int)fd + 1, &in, &none, &ex, &ts, &sig), "pselect6(%ld, [%ld], [], [%ld], {tv_sec=0, tv_nsec=0}, {sigmask=[USR1 RT_2], sigsetsize=8}", fd + 1, fd, fd);
	RESULT("0 (Timeout)");
	sig.size = 4;
	MUST(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, &sig), "pselect6(0, NULL, NULL, NULL, {tv_sec=0, tv_nsec=0}, {sigmask=%p, sigsetsize=4}", &set);
	MUST(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, bad), "pselect6(0, NULL, NULL, NULL, {tv_sec=0, tv_nsec=0}, %p", bad);
	MUST(syscall(SYS_epoll_create1, 1), "epoll_create1(0x1 /* EPOLL_??? */");
	MUST(syscall(SYS_epoll_ctl, -1, EPOLL_CTL_ADD, -2, &ev), "epoll_ctl(-1, EPOLL_CTL_ADD, -2, {events=EPOLLIN|EPOLLONESHOT|EPOLLET, data={u32=2, u64=4294967298}}");
	MUST(syscall(SYS_epoll_ctl, -1, 9, -2, &ev), "epoll_ctl(-1, 0x9 /* EPOLL_CTL_??? */, -2, {events=EPOLLIN|EPOLLONESHOT|EPOLLET, data={u32=2, u64=4294967298}}");
	MUST(syscall(SYS_epoll_ctl, -1, EPOLL_CTL_MOD, -2, bad), "epoll_ctl(-1, EPOLL_CTL_MOD, -2, %p", bad);
	MUST(syscall(SYS_epoll_pwait, -1, bad, 1, -1, NULL, 8UL), "epoll_pwait(-1, %p, 1, -1, NULL, 8", bad);
	MUST(syscall(SYS_eventfd2, 5, 0x10), "eventfd2(5, 0x10 /* EFD_??? */");
	MUST(syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 5), "timerfd_create(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME|0x4");
	MUST(syscall(SYS_signalfd4, -1, &set, 8UL, O_CLOEXEC | 1), "signalfd4(-1, [USR1 RT_2], 8, SFD_CLOEXEC|0x1");
	MUST(syscall(SYS_inotify_init1, 1), "inotify_init1(0x1 /* IN_??? */");
	MUST(syscall(SYS_readv, -1, bad, 1L), "readv(-1, %p, 1", bad);
	MUST(syscall(SYS_preadv2, -1, NULL, 0L, 5L, 0L, 0x11), "preadv2(-1, NULL, 0, 5, RWF_HIPRI|RWF_APPEND");
	MUST(syscall(SYS_splice, -1, NULL, -2, NULL, 3L, 0x15), "splice(-1, NULL, -2, NULL, 3, SPLICE_F_MOVE|SPLICE_F_MORE|0x10");
	MUST(syscall(SYS_copy_file_range, -1, NULL, -1, NULL, 4L, 0), "copy_file_range(-1, NULL, -1, NULL, 4, 0");
	MUST(syscall(SYS_fadvise64, -1, 1L, 2L, 3), "fadvise64(-1, 1, 2, POSIX_FADV_WILLNEED");
	MUST(syscall(SYS_sync_file_range, -1, 1L, 2L, 7), "sync_file_range(-1, 1, 2, SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WRITE|SYNC_FILE_RANGE_WAIT_AFTER");
}
