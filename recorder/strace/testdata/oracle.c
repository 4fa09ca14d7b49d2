/* Makes system calls of many kinds, for the comparison with strace. What differs
 * from run to run (times, process ids) is kept out where it can be. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#ifndef SYS_newfstatat
#define SYS_newfstatat SYS_fstatat64
#endif
#define S(...) syscall(__VA_ARGS__)

static void files(void)
{
	char buf[256];
	struct stat st;
	struct statfs sf;
	int fd = S(SYS_openat, AT_FDCWD, "oracle.tmp", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640), fd2, p[2];

	write(fd, "hello\n\t\"quoted\\\" \1\2\0033 \377\3000", 27);
	write(fd, "a long text that is certainly cut at thirty-two bytes", 53);
	pread(fd, buf, 5, 1);
	pwrite(fd, "xyz", 3, 100);
	lseek(fd, 0, SEEK_SET);
	lseek(fd, -1, 77);
	read(fd, buf, 40);
	read(fd, buf, 0);
	read(-1, buf, 10);
	struct iovec v[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
	writev(fd, v, 3);
	writev(fd, v, 0);
	writev(fd, NULL, 2);
	struct iovec r[2] = {{buf, 10}, {buf + 20, 20}};
	lseek(fd, 0, SEEK_SET);
	readv(fd, r, 2);
	preadv(fd, r, 2, 3);
	pwritev(fd, v, 3, 7);
	S(SYS_fstat, fd, &st);
	fstatat(AT_FDCWD, "/dev/null", &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
	fstatat(AT_FDCWD, "/", &st, 0);
	stat("/nonexistent", &st);
	lstat("/proc/self/exe", &st);
	struct statx sx;
	statx(AT_FDCWD, "/etc/passwd", AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_BTIME, &sx);
	statx(AT_FDCWD, "/nonexistent", 0, 0x80000000, &sx);
	statfs("/proc", &sf);
	fstatfs(fd, &sf);
	access("/etc/passwd", R_OK | W_OK);
	access("/etc/passwd", F_OK);
	faccessat(AT_FDCWD, "/etc", X_OK, 0);
	S(439, AT_FDCWD, "/etc", 0x80 | 4, AT_EACCESS);
	chmod("oracle.tmp", 0);
	chmod("oracle.tmp", 04755);
	fchmod(fd, 0600);
	fchmodat(AT_FDCWD, "oracle.tmp", 01, 0);
	chown("oracle.tmp", -1, 0);
	fchownat(AT_FDCWD, "oracle.tmp", 0, -1, AT_SYMLINK_NOFOLLOW);
	rename("/nonexistent/a", "/nonexistent/b");
	S(SYS_renameat2, AT_FDCWD, "/nonexistent/a", AT_FDCWD, "/nonexistent/b", 3 | 0x80);
	link("/nonexistent/a", "b");
	linkat(AT_FDCWD, "/nonexistent", -1, "x", AT_SYMLINK_FOLLOW);
	symlink("target of link", "/nonexistent/x");
	readlink("/proc/self/fd/0", buf, 3);
	readlink("/nonexistent", buf, 10);
	readlink("/proc/sys/kernel", buf, 10);
	readlinkat(AT_FDCWD, "/dev/fd", buf, sizeof(buf));
	mkdir("/nonexistent/d", 0777);
	mkdirat(AT_FDCWD, "/nonexistent/d", 0);
	rmdir("/nonexistent/d");
	unlinkat(AT_FDCWD, "/nonexistent/x", AT_REMOVEDIR);
	mknod("/nonexistent/n", S_IFCHR | 0600, 0x103);
	mknod("/nonexistent/n", S_IFIFO | 0600, 0);
	S(SYS_chdir, "/nonexistent");
	S(SYS_fchdir, 1);
	S(SYS_getcwd, buf, sizeof(buf));
	S(SYS_getcwd, buf, 1);
	S(SYS_umask, 022);
	S(SYS_umask, 0);
	S(SYS_umask, 022);
	ftruncate(fd, 1000);
	truncate("/nonexistent", 12345678901ll);
	fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 10);
	posix_fadvise(fd, 0, 100, POSIX_FADV_SEQUENTIAL);
	S(SYS_fsync, fd);
	flock(fd, LOCK_EX | LOCK_NB);
	flock(fd, LOCK_UN);
	fcntl(fd, F_GETFD);
	fcntl(fd, F_SETFD, 0);
	fcntl(fd, F_GETFD);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, O_RDWR | O_APPEND | O_NONBLOCK);
	fcntl(fd, F_DUPFD, 20);
	fcntl(fd, F_DUPFD_CLOEXEC, 21);
	close(20);
	close(21);
	struct flock fl = {F_WRLCK, SEEK_SET, 1, 10, 0};
	fcntl(fd, F_SETLK, &fl);
	fcntl(fd, F_GETLK, &fl);
	fl.l_pid = 0;
	fcntl(fd, F_OFD_SETLK, &fl);
	fcntl(fd, F_GETOWN);
	fcntl(fd, F_SETOWN, 1);
	fcntl(fd, F_GETSIG);
	fcntl(fd, F_SETSIG, SIGIO);
	fcntl(fd, F_GETSIG);
	fcntl(fd, F_GETLEASE);
	fcntl(fd, F_GET_SEALS);
	fcntl(fd, 9999, 5);
	struct timespec ts[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}}, ts2[2] = {{1234567890, 15}, {1, 0}};
	utimensat(AT_FDCWD, "oracle.tmp", ts, 0);
	utimensat(AT_FDCWD, "oracle.tmp", ts2, AT_SYMLINK_NOFOLLOW);
	S(SYS_utimensat, fd, NULL, NULL, 0);
	struct utimbuf ub = {1234567890, 1};
#ifdef SYS_utime
	S(SYS_utime, "oracle.tmp", &ub);
	struct timeval tv[2] = {{1234567890, 5}, {2, 0}};
	S(SYS_utimes, "oracle.tmp", tv);
#endif
	setxattr("oracle.tmp", "user.name", "value", 5, XATTR_CREATE);
	getxattr("oracle.tmp", "user.nonexistent", buf, 10);
	listxattr("oracle.tmp", buf, sizeof(buf));
	removexattr("/nonexistent", "user.x");
	pipe(p);
	pipe2(p, O_NONBLOCK | O_CLOEXEC);
	read(p[0], buf, 10);
	fcntl(p[0], F_GETPIPE_SZ);
	S(SYS_splice, p[0], NULL, fd, NULL, 10, 2 | 1);
	S(SYS_tee, p[0], p[1], 10, 2);
	off_t off = 3;
	sendfile(p[1], fd, &off, 5);
	sendfile(p[1], fd, NULL, 5);
	S(SYS_copy_file_range, fd, NULL, fd, NULL, 10, 0);
	dup2(fd, 30);
	S(SYS_dup3, fd, 31, O_CLOEXEC);
	S(SYS_dup3, fd, 31, 0x10);
	S(SYS_dup, fd);
	S(SYS_close_range, 30, 40, 2);
	S(SYS_close_range, 30, ~0u, 4);
	struct { uint64_t flags, mode, resolve; } how = {O_RDONLY | O_CLOEXEC, 0, 0x08 | 1};
	S(437, AT_FDCWD, "/etc", &how, 24);
	S(SYS_openat, AT_FDCWD, "/etc", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_PATH | O_NOATIME);
	S(SYS_openat, AT_FDCWD, "/nonexistent", 3 | 0x80000000);
	S(SYS_openat, -5, "x", O_WRONLY | O_APPEND | O_SYNC | O_DIRECT);
	S(SYS_openat, AT_FDCWD, "/nonexistent", O_TMPFILE | O_RDWR, 0600);
	S(SYS_openat, AT_FDCWD, NULL, 0);
	S(SYS_openat, AT_FDCWD, (void *)8, 0);
	fd2 = S(SYS_memfd_create, "name of memfd", 1 | 2);
	S(SYS_fcntl, fd2, F_ADD_SEALS, 1 | 4);
	S(SYS_fcntl, fd2, F_GET_SEALS);
	S(SYS_mount, "/nonexistent", "/nonexistent/x", "ext4", MS_RDONLY | MS_NOSUID | MS_REC, "data=ordered");
	S(SYS_mount, "none", "/nonexistent/x", NULL, MS_BIND | MS_PRIVATE, NULL);
	S(SYS_umount2, "/nonexistent", MNT_DETACH | MNT_FORCE);
	S(SYS_inotify_add_watch, -1, "/etc", IN_CREATE | IN_ONLYDIR | IN_MODIFY | IN_DELETE);
	S(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK);
	S(SYS_fanotify_mark, -1, 1, 0x10020, AT_FDCWD, "/etc");
	S(SYS_name_to_handle_at, -1, "x", NULL, NULL, 0);
	S(SYS_fsopen, "nonexistentfs", 1);
	S(SYS_move_mount, -1, "", AT_FDCWD, "/nonexistent", 4);
	S(SYS_open_tree, AT_FDCWD, "/nonexistent", 1 | O_CLOEXEC);
	S(SYS_sync_file_range, fd, 0, 0, 0, 7, 0);
	S(SYS_readahead, fd, 0, 0, 0);
	S(SYS_quotactl, 0x80000200, "/dev/x", 0, NULL);
	S(SYS_getdents64, -1, buf, 100);
	unlink("oracle.tmp");
}

static void network(void)
{
	char buf[300];
	int one = 1, s, s2, u, sv[2], n;
	socklen_t len;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_scope_id = 0, .sin6_flowinfo = htonl(7)};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/sock"};
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = 0, .nl_groups = 0x11};

	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(s, IPPROTO_IP, IP_TOS, &one, 4);
	setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4);
	setsockopt(s, SOL_SOCKET, 999, &one, 4);
	setsockopt(s, 999, 999, &one, 4);
	struct linger li = {1, 5};
	setsockopt(s, SOL_SOCKET, SO_LINGER, &li, sizeof(li));
	struct timeval tv = {1, 500};
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0);
	len = 4;
	getsockopt(s, SOL_SOCKET, SO_ERROR, &n, &len);
	len = 8;
	getsockopt(s, SOL_SOCKET, SO_TYPE, &n, &len);
	len = sizeof(li);
	getsockopt(s, SOL_SOCKET, SO_LINGER, &li, &len);
	len = 100;
	getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, buf, &len);
	getsockopt(-1, SOL_SOCKET, SO_ERROR, &n, &len);
	bind(s, (void *)&in, sizeof(in));
	bind(s, (void *)&in6, sizeof(in6));
	bind(s, (void *)&un, sizeof(un));
	un.sun_path[0] = 0;
	connect(s, (void *)&un, 14);
	connect(s, (void *)&un, 2);
	connect(s, (void *)&nl, sizeof(nl));
	connect(s, NULL, 5);
	listen(s, 128);
	len = 128;
	accept4(s, (void *)buf, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	accept(s, NULL, NULL);
	shutdown(s, SHUT_RDWR);
	shutdown(s, 7);
	len = 16;
	getpeername(s, (void *)buf, &len);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv);
	send(sv[0], "hello", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
	recv(sv[1], buf, 100, MSG_PEEK);
	recv(sv[1], buf, 100, 0);
	recv(sv[1], buf, 100, MSG_DONTWAIT);
	struct iovec v[2] = {{"one", 3}, {"two", 3}};
	char control[CMSG_SPACE(8)] = {0};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(8);
	memcpy(CMSG_DATA(c), (int[]){0, 1}, 8);
	sendmsg(sv[0], &m, MSG_NOSIGNAL);
	struct iovec r[1] = {{buf, 100}};
	struct msghdr mr = {.msg_iov = r, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	recvmsg(sv[1], &mr, MSG_CMSG_CLOEXEC);
	recvmsg(sv[1], &mr, 0);
	struct mmsghdr mm[2] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = v + 1, .msg_iovlen = 1}}};
	u = socket(AF_INET, SOCK_DGRAM, 0);
	s2 = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	in.sin_port = htons(41999);
	bind(s2, (void *)&in, sizeof(in));
	len = 128;
	getsockname(s2, (void *)buf, &len);
	sendto(u, "dgram", 5, 0, (void *)&in, sizeof(in));
	sendto(u, "dgram", 5, MSG_OOB | 0x10000000, NULL, 0);
	connect(u, (void *)&in, sizeof(in));
	send(u, "two", 3, 0);
	recvfrom(s2, buf, 100, MSG_TRUNC, NULL, NULL);
	S(SYS_sendmmsg, u, mm, 2, MSG_DONTWAIT);
	recvfrom(s2, buf, 100, 0, NULL, NULL);
	socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	socket(AF_PACKET, SOCK_RAW, htons(3));
	socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	socket(AF_UNIX, 77, 5);
	socket(1234, SOCK_STREAM, 5);
	struct ifreq ifr = {0};
	strcpy(ifr.ifr_name, "lo");
	ioctl(u, SIOCGIFINDEX, &ifr);
	ioctl(u, SIOCGIFFLAGS, &ifr);
	ioctl(u, SIOCGIFADDR, &ifr);
	ioctl(u, SIOCGIFMTU, &ifr);
	ioctl(u, FIONREAD, &n);
	ioctl(u, FIONBIO, &one);
}

static void events(void)
{
	struct pollfd p[3] = {{0, POLLIN | POLLPRI, 0}, {1, POLLOUT | POLLHUP | 0x4000, 0}, {-1, 0, 0}};
	struct timespec ts = {0, 1000000};
	struct timeval tv = {0, 1000};
	fd_set r, w;
	sigset_t set;
	int e, ev, t, fds[2];

	pipe(fds);
	poll(p, 2, 0);
	p[0].fd = fds[0];
	poll(p, 1, 1);
	p[1].fd = fds[1];
	poll(p, 3, -1);
	poll(NULL, 0, 1);
	p[0].fd = 999;
	poll(p, 1, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	p[0].fd = fds[0];
	ppoll(p, 1, &ts, &set);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fds[0], &r);
	FD_SET(fds[1], &w);
	S(SYS_select == 82 ? 142 : SYS_select, fds[1] + 1, &r, &w, NULL, &tv);
	FD_SET(fds[0], &r);
	tv.tv_sec = 0, tv.tv_usec = 1000; /* the call before has left less, and not the same in each run */
	S(SYS_select == 82 ? 142 : SYS_select, fds[1] + 1, &r, &w, &w, &tv); /* one set twice */
	FD_SET(fds[0], &r);
	FD_ZERO(&w);
	FD_SET(fds[1], &w);
	ts.tv_sec = 0, ts.tv_nsec = 100000;
	S(SYS_pselect6, fds[1] + 1, NULL, NULL, &w, &ts, NULL);
	FD_SET(fds[0], &r);
	FD_ZERO(&w);
	tv.tv_sec = 0, tv.tv_usec = 100;
	S(SYS_select == 82 ? 142 : SYS_select, fds[1] + 1, &r, NULL, NULL, &tv);
	S(SYS_select == 82 ? 142 : SYS_select, 5, NULL, NULL, NULL, (struct timeval[]){{0, 10}});
	e = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ee = {EPOLLOUT | EPOLLET | EPOLLRDHUP, {.u64 = 0x1234567890ull}}, out[4];
	epoll_ctl(e, EPOLL_CTL_ADD, fds[1], &ee);
	epoll_ctl(e, EPOLL_CTL_MOD, 77, &ee);
	ee.data.u64 = 7;
	epoll_ctl(e, EPOLL_CTL_MOD, fds[1], &ee);
	epoll_wait(e, out, 4, 10);
	epoll_wait(e, out, 4, 0);
	S(SYS_epoll_pwait, e, out, 4, 0, NULL, 8);
	epoll_ctl(e, EPOLL_CTL_DEL, fds[1], NULL);
	epoll_ctl(e, 99, fds[1], NULL);
	ev = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	t = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec it = {{1, 0}, {100, 5}};
	timerfd_settime(t, TFD_TIMER_ABSTIME, &it, NULL);
	it.it_value.tv_sec = 0;
	timerfd_settime(t, 0, &(struct itimerspec){0}, NULL);
	signalfd(-1, &set, SFD_CLOEXEC);
	S(SYS_io_uring_setup, 0, NULL);
	(void)ev;
}

static void handler(int sig) { (void)sig; }

static void processes(void)
{
	int st;
	struct rusage ru;
	siginfo_t si;
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_NODEFER}, old;
	sigset_t set;
	struct rlimit rl = {1024, RLIM_INFINITY};
	struct utsname un;
	struct timespec ts;
	uint32_t w = 1, w2 = 2;

	sigaction(SIGUSR1, &sa, &old);
	sigaction(SIGUSR1, NULL, &old);
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigfillset(&sa.sa_mask);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	S(SYS_rt_sigaction, 99, NULL, NULL, 8);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_SETMASK, &set, NULL);
	S(SYS_rt_sigprocmask, 9, &set, NULL, 8);
	raise(SIGUSR1);
	sigpending(&set);
	ts = (struct timespec){0, 1000};
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	S(SYS_rt_sigtimedwait, &set, &si, &ts, 8);
	S(SYS_rt_sigtimedwait, &set, &si, &ts, 8);
	raise(SIGUSR2);
	stack_t ss = {.ss_sp = malloc(16384), .ss_size = 16384};
	sigaltstack(&ss, NULL);
	sigaltstack(NULL, &ss);
	S(SYS_kill, 999999, SIGTERM);
	S(SYS_kill, 999999, 0);
	S(SYS_tgkill, -1, -1, 34);
	wait4(-1, &st, WNOHANG | WUNTRACED, &ru);
	waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT);
	getrlimit(RLIMIT_NOFILE, &rl);
	S(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &rl);
	S(SYS_prlimit64, 0, RLIMIT_CORE, (uint64_t[]){0, 1ull << 20}, NULL);
	S(SYS_prlimit64, 0, 99, NULL, &rl);
	uname(&un);
	getpriority(PRIO_PROCESS, 0);
	setpriority(PRIO_PROCESS, 0, 0);
	sched_yield();
	sched_getscheduler(0);
	sched_getparam(0, (void *)&st);
	sched_get_priority_max(SCHED_FIFO);
	cpu_set_t cs;
	CPU_ZERO(&cs);
	CPU_SET(0, &cs);
	CPU_SET(1, &cs);
	S(SYS_sched_setaffinity, 0, 8, &cs);
	S(SYS_sched_getaffinity, 0, 32, &cs);
	prctl(PR_SET_NAME, "renamed");
	prctl(PR_GET_NAME, un.sysname);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_GET_DUMPABLE);
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	prctl(PR_GET_SECUREBITS);
	prctl(PR_SET_PTRACER, -1);
	prctl(PR_GET_SECCOMP);
	prctl(999, 1, 2, 3, 4);
	prctl(PR_SET_VMA, 0, 0x1000, 0x1000, "name");
	S(SYS_arch_prctl, 0x3001, 0);
	S(SYS_personality, 0xffffffff);
	S(SYS_futex, &w, FUTEX_WAIT_PRIVATE, 2, NULL);
	S(SYS_futex, &w, FUTEX_WAIT, 1, &ts);
	S(SYS_futex, &w, FUTEX_WAKE_PRIVATE, 1);
	S(SYS_futex, &w, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 5, NULL, NULL, -1);
	S(SYS_futex, &w, FUTEX_WAKE_OP_PRIVATE, 1, 1, &w2, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_GT, 1));
	S(SYS_futex, &w, FUTEX_CMP_REQUEUE_PRIVATE, 1, 5, &w2, 3);
	S(SYS_futex, &w, FUTEX_UNLOCK_PI);
	S(SYS_futex, &w, 99, 1, NULL, NULL, 7);
	S(SYS_getuid);
	setresuid(-1, 0, -1);
	uid_t a, b, c;
	getresuid(&a, &b, &c);
	gid_t g[3] = {0, 1, 2};
	setgroups(1, g);
	getgroups(3, g);
	getgroups(0, NULL);
	uint32_t hdr[2] = {0x20080522, 0}, data[6];
	S(SYS_capget, hdr, data);
	S(SYS_capget, hdr, NULL);
	getitimer(ITIMER_REAL, &(struct itimerval){0});
	setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
	S(SYS_clock_gettime, -2, NULL);
	S(SYS_clock_gettime, 77, NULL);
	S(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, &ts);
	ts = (struct timespec){0, 1000};
	S(SYS_nanosleep, &ts, NULL);
	S(SYS_nanosleep, &ts, &ts);
	S(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	timer_t tm;
	S(SYS_timer_create, CLOCK_REALTIME, NULL, &tm);
	S(SYS_unshare, 0x80000000 | CLONE_NEWNS * 0);
	S(SYS_setns, -1, CLONE_NEWNET);
	S(SYS_kcmp, 1, 1, 0, 1, 2);
	S(SYS_membarrier, 0, 0);
	S(SYS_bpf, 999, NULL, 0);
	S(SYS_getcpu, NULL, NULL, NULL);
	S(SYS_pidfd_open, -1, 0);
	S(SYS_seccomp, 2, 0, &(uint32_t){0x7fff0000});
	S(SYS_ioprio_get, 1, 0);
	S(SYS_shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	S(SYS_semget, 0x1234, 0, 0);
	S(SYS_shmctl, -1, IPC_RMID, NULL);
	S(SYS_msgget, 0x1234, 0600 | IPC_EXCL);
	S(SYS_keyctl, 0, -3, 0);
	S(SYS_add_key, "user", "desc", NULL, 0, -2);
	S(SYS_syslog, 10, NULL, 0);
	S(SYS_reboot, 1, 2, 3, NULL);
	S(SYS_sethostname, "x", -1);
	S(SYS_getrusage, 99, &ru);
	S(SYS_getpgid, 0x7fffffff);
	S(SYS_rseq, 0, 32, 1, 0x53053053);
	S(462, 0x1000, 0x1000, 0);
	S(600, 1, 2, 3, 4, 5, 6);
}

static void memory(void)
{
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	mprotect(m, 4096, PROT_NONE);
	mprotect(m, 4096, PROT_READ | PROT_WRITE | PROT_EXEC | 0x80);
	madvise(m, 4096, MADV_DONTNEED);
	madvise(m, 4096, MADV_HUGEPAGE);
	madvise(m, 4096, 999);
	mremap(m, 8192, 4096, 0);
	mremap(m, 4096, 8192, MREMAP_MAYMOVE);
	mremap(m, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, 1);
	mlock(m, 4096);
	munlock(m, 4096);
	S(SYS_mlock2, m, 4096, 1);
	mlockall(MCL_CURRENT | MCL_FUTURE | 8);
	munlockall();
	msync(m, 4096, MS_SYNC);
	mmap((void *)0x10000, 4096, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_32BIT | MAP_POPULATE, 99, 0);
	mmap(NULL, 4096, PROT_READ, 0x7 | MAP_HUGETLB, 99, 4096);
	munmap(m, 4096);
	S(SYS_brk, 0);
	S(SYS_mbind, m, 4096, 1, NULL, 0, 1);
	S(SYS_get_mempolicy, NULL, NULL, 0, 0, 0);
	S(SYS_process_madvise, -1, NULL, 0, MADV_COLD, 0);
	S(SYS_pkey_alloc, 0, 7);
}

/* Every bit, to see the order of the names; nothing of it can succeed. */
static void bits(void)
{
	long all = -1;
	struct termios t;
	struct epoll_event ee = {-1, {.u64 = -1}};
	struct pollfd p = {999, -1, 0};
	struct sigaction sa = {.sa_handler = SIG_IGN, .sa_flags = -1};
	uint64_t how[3] = {-1, -1, -1};
	struct msghdr m = {.msg_flags = -1};

	S(SYS_openat, -1, "x", all, all);
	S(SYS_openat, -1, "x", O_RDWR | 0x7ffffffc & ~O_TMPFILE, 0);
	S(437, -1, "x", how, 24);
	S(SYS_dup3, 1, 1, all);
	S(SYS_pipe2, NULL, all);
	S(SYS_fcntl, -1, F_SETFL, all);
	S(SYS_fcntl, -1, F_NOTIFY, all);
	S(SYS_fcntl, -1, F_ADD_SEALS, all);
	S(SYS_fcntl, -1, F_SETFD, all);
	S(SYS_access, "/nonexistent", all);
	S(SYS_newfstatat, -1, "x", NULL, all);
	S(SYS_linkat, -1, "x", -1, "y", all);
	S(SYS_statx, -1, "x", all, all, NULL);
	S(SYS_statx, -1, "x", 0x1900, 0x7ff, NULL);
	S(SYS_statx, -1, "x", 0, 0xfff, NULL);
	S(SYS_unlinkat, -1, "x", all);
	S(SYS_fallocate, -1, all, 0, 0);
	S(SYS_preadv2, -1, NULL, 0, 0, 0, all);
	S(SYS_splice, -1, NULL, -1, NULL, 0, all);
	S(SYS_sync_file_range, -1, 0, 0, all);
	S(SYS_setxattr, "/nonexistent", "x", NULL, 0, all);
	S(SYS_memfd_create, NULL, all);
	S(SYS_mount, "x", "/nonexistent", "y", all & ~0x3fff0000, "z");
	S(SYS_mount, "x", "/nonexistent", "y", all & 0xffffffff, NULL);
	S(SYS_umount2, "/nonexistent", all);
	S(SYS_move_mount, -1, "", -1, "", all);
	S(SYS_open_tree, -1, "", all);
	S(SYS_fsmount, -1, all, all);
	S(442, -1, "", all, NULL, 0);
	S(SYS_flock, -1, all);
	S(SYS_poll, &p, 1, 0);
	S(SYS_epoll_ctl, -1, 1, 0, &ee);
	S(SYS_eventfd2, 0, all);
	S(SYS_signalfd4, -1, NULL, 8, all);
	S(SYS_timerfd_create, 0, all);
	S(SYS_timerfd_settime, -1, all, NULL, NULL);
	S(SYS_inotify_init1, all);
	S(SYS_inotify_add_watch, -1, "x", all);
	S(SYS_fanotify_init, all, 0);
	S(SYS_fanotify_mark, -1, all, -1ll, -1, "x");
	S(SYS_userfaultfd, all);
	S(SYS_perf_event_open, NULL, 0, 0, -1, all);
	S(SYS_io_uring_enter, -1, 0, 0, all, NULL, 0);
	S(SYS_socket, 2, 0xffff0 | 1, 0);
	S(SYS_accept4, -1, NULL, NULL, all);
	S(SYS_sendto, -1, NULL, 0, all, NULL, 0);
	S(SYS_sendmsg, -1, &m, 0);
	S(SYS_mprotect, 1, 0, all);
	S(SYS_mmap, 1, 0, 0, all, -1, 0);
	S(SYS_mremap, 1, 0, 0, all, 1);
	S(SYS_mlock2, 1, 0, all);
	S(SYS_mlockall, all);
	S(SYS_msync, 1, 0, all);
	S(SYS_mbind, 0, 0, 2 | 0xe000, NULL, 0, all);
	S(SYS_get_mempolicy, NULL, NULL, 0, 0, all);
	S(SYS_unshare, all);
	S(SYS_setns, -1, all);
	S(SYS_wait4, -1, NULL, all, NULL);
	S(SYS_rt_sigaction, 99, &sa, NULL, 8);
	S(SYS_getrandom, NULL, 0, all);
	S(SYS_finit_module, -1, "", all);
	S(SYS_seccomp, 1, all, NULL);
	S(SYS_shmget, 5, 0, all);
	S(SYS_shmat, -1, NULL, all);
	S(SYS_msgget, 5, all);
	S(SYS_msgsnd, -1, NULL, 0, all);
	S(SYS_timer_settime, -1, all, NULL, NULL);
	S(SYS_clock_nanosleep, 0, all, NULL, NULL);
	S(SYS_ptrace, PTRACE_SETOPTIONS, -1, 0, all);
	S(SYS_prctl, PR_SET_SECUREBITS, all);
	S(SYS_landlock_create_ruleset, how, 16, 0);
	S(SYS_pidfd_open, -1, all);
	S(SYS_quotactl_fd, -1, 0, 0, NULL);
	memset(&t, 0xff, sizeof(t));
	S(SYS_ioctl, -1, TCSETS, &t);
	S(SYS_ioctl, -1, TIOCMSET, &all);
	S(SYS_ioctl, -1, 0x40086602, &all);
	S(SYS_clock_gettime, ~(1234 << 3) & ~7 | 2, NULL);
	S(SYS_clock_gettime, ~1234 << 3 | 6, NULL);
	S(SYS_clock_gettime, ~5 << 3 | 3, NULL);
	S(SYS_futex, NULL, FUTEX_WAKE_OP, 1, 1, NULL, -1);
}

static void tty(void)
{
	int m = open("/dev/ptmx", O_RDWR | O_NOCTTY), n = 0;
	struct termios t;
	struct winsize w = {24, 80, 0, 0};

	ioctl(m, TIOCSPTLCK, &n);
	ioctl(m, TIOCGPTN, &n);
	S(SYS_ioctl, m, TCGETS, &t);
	S(SYS_ioctl, m, TCSETSW, &t);
	ioctl(m, TIOCSWINSZ, &w);
	ioctl(m, TIOCGWINSZ, &w);
	ioctl(m, TIOCGPGRP, &n);
	ioctl(m, TCFLSH, TCIOFLUSH);
	ioctl(m, 0x12345678, 5);
	ioctl(m, _IOR('z', 7, int), &n);
	ioctl(-1, TCGETS, &t);
	ioctl(m, FIOCLEX);
}

/* System V objects, netlink, memory policies, extents: structs with rules of their own. */
static void more(void)
{
	char buf[512];
	int fd = open("/etc/passwd", O_RDONLY), id;
	struct fiemap_ {
		uint64_t start, length;
		uint32_t flags, mapped, count, reserved;
		char extents[112];
	} fm = {0, 4096, 1, 0, 1};

	ioctl(fd, 0xc020660b, &fm); /* FS_IOC_FIEMAP */
	fm.length = -1;
	fm.flags = 0x10;
	ioctl(fd, 0xc020660b, &fm);
	ioctl(-1, 0xc020660b, &fm);
	ioctl(fd, 0x40049409, -1); /* FICLONE */
	prctl(PR_SET_NAME, "fourteen bytes");
	prctl(PR_SET_NAME, "exactly fifteen");
	prctl(PR_SET_NAME, "certainly more than fifteen");
	unsigned long nodes[2] = {1, 0};
	S(SYS_set_mempolicy, 0, nodes, 64);
	S(SYS_set_mempolicy, 0, NULL, 0);
	int mode;
	S(SYS_get_mempolicy, &mode, nodes, 64, NULL, 0);
	flistxattr(fd, NULL, 0);
	flistxattr(fd, buf, 0);
	struct __user_cap_header_struct hdr = {0, 0};
	S(SYS_capget, &hdr, NULL);
	struct timespec ts = {0, 1000};
	nanosleep(&ts, &ts);
#ifdef __x86_64__
	struct shmid_ds shm;
	id = shmget(IPC_PRIVATE, 4096, 0600);
	shmctl(id, IPC_STAT, &shm);
	shmctl(id, IPC_SET, &shm);
	shmctl(id, SHM_LOCK, NULL);
	shmctl(id, IPC_RMID, NULL);
	shmctl(-1, IPC_STAT, &shm);
	shmctl(-1, 77, (void *)5);
	struct msqid_ds msq;
	id = msgget(IPC_PRIVATE, 0640);
	msgctl(id, IPC_STAT, &msq);
	msgctl(id, IPC_SET, &msq);
	msgctl(id, IPC_RMID, NULL);
	msgctl(-1, 99, &msq);
	struct semid_ds sem;
	struct seminfo info;
	unsigned short vals[2] = {1, 2};
	id = semget(0x1234567, 2, IPC_CREAT | 0600);
	semctl(id, 0, IPC_STAT, &sem);
	semctl(id, 0, IPC_SET, &sem);
	semctl(id, 0, SETALL, vals);
	semctl(id, 1, GETVAL, 0);
	semctl(id, 1, SETVAL, 3);
	semctl(0, 0, IPC_INFO, &info);
	semctl(id, 0, IPC_RMID, 0);
	semctl(-1, 0, 77, 5);
#endif
	struct {
		struct nlmsghdr h;
		unsigned char body[64];
	} nl = {{28, 26, 0x301, 7, 0}, {2}};
	struct sockaddr_nl kernel = {AF_NETLINK};
	struct iovec iov = {&nl, 28};
	struct msghdr msg = {&kernel, sizeof(kernel), &iov, 1};
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);

	bind(s, (void *)&kernel, sizeof(kernel));
	connect(s, (void *)&kernel, sizeof(kernel));
	send(s, &nl, 28, 0);                               /* RTM_GETROUTE */
	nl.h.nlmsg_type = 18;                              /* RTM_GETLINK of an interface that is not there */
	nl.h.nlmsg_len = iov.iov_len = 16 + 16 + 8 + 12;
	nl.h.nlmsg_flags = 5;
	memset(nl.body, 0, sizeof(nl.body));
	memcpy(nl.body + 16, "\10\0\35\0\1\0\0\0", 8);  /* IFLA_EXT_MASK */
	memcpy(nl.body + 24, "\12\0\3\0nosuch", 11);       /* IFLA_IFNAME */
	sendmsg(s, &msg, 0);
	iov.iov_base = buf;
	iov.iov_len = sizeof(buf);
	recv(s, buf, 0, MSG_TRUNC);
	while (recvmsg(s, &msg, 0) > 0)
		;
	iov.iov_base = &nl;
	iov.iov_len = nl.h.nlmsg_len = 20;
	nl.h.nlmsg_type = 22; /* RTM_GETADDR */
	nl.h.nlmsg_flags = 0x305;
	sendmsg(s, &msg, 0);
	nl.h.nlmsg_type = 20; /* RTM_NEWADDR */
	nl.h.nlmsg_flags = 0x605;
	nl.h.nlmsg_len = iov.iov_len = 16 + 8 + 8;
	memcpy(nl.body, "\2\30\200\376\0\0\0\0\10\0\2\0\12\1\2\3", 16);
	sendmsg(s, &msg, 0);
	sendmsg(-1, &msg, 0);
	nl.h.nlmsg_type = 3; /* NLMSG_DONE */
	nl.h.nlmsg_len = iov.iov_len = 20;
	nl.h.nlmsg_flags = 2;
	sendmsg(s, &msg, 0);
	close(s);
	close(fd);
}

int main(int argc, char **argv)
{
	void (*parts[])(void) = {
		files,
#ifndef __i386__ /* socketcall, whose pointers are not followed */
		network,
#endif
		events, processes, memory, tty, bits,
#ifndef __i386__
		more,
#endif
	};

	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		parts[i]();
	return 3;
}
