// SPDX-License-Identifier: Apache-2.0
// What is hard for a tracer: threads, forks, vfork, a child that is killed, signals
// with handlers, calls that are interrupted, pointers at the end of a page,
// and an execve by a thread that does not lead. Ends with status 42.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *self;

static void handler(int sig) { (void)sig; }

static void *worker(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "worker-%ld", (long)arg);
	prctl(PR_SET_NAME, name);
	for (int i = 0; i < 20; i++) {
		int fd = open(i % 2 ? "/etc/hostname" : "/nonexistent/file", O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			char b[64];
			read(fd, b, sizeof(b));
			pread(fd, b, 4, 1);
			close(fd);
		}
		sched_yield();
	}
	return NULL;
}

static void *exec_thread(void *arg)
{
	(void)arg;
	execl(self, "torture", "after-exec", (char *)NULL);
	_exit(99);
}

static void files(void)
{
	char buf[100], dir[] = "/tmp/tortureXXXXXX";
	struct stat st;
	struct statfs fs;
	struct iovec iov[3] = {{"one ", 4}, {"two\n", 4}, {"", 0}};
	int fd;

	mkdtemp(dir);
	chdir(dir);
	fd = open("file \"quoted\"\n", O_RDWR | O_CREAT | O_EXCL, 0640);
	writev(fd, iov, 3);
	lseek(fd, 0, SEEK_SET);
	read(fd, buf, sizeof(buf));
	fstat(fd, &st);
	ftruncate(fd, 100000);
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096);
	fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_DUPFD_CLOEXEC, 20);
	fsync(fd);
	close(fd);
	link("file \"quoted\"\n", "b");
	symlink("b", "c");
	readlink("c", buf, sizeof(buf));
	rename("b", "d");
	mkdir("sub", 0755);
	chmod("d", 04755);
	access("d", R_OK | W_OK);
	access("missing", F_OK);
	statfs(".", &fs);
	unlink("c");
	unlink("d");
	unlink("file \"quoted\"\n");
	rmdir("sub");
	chdir("/");
	rmdir(dir);
	getcwd(buf, sizeof(buf));
	close(12345);
	umask(022);
	open((char *)1, O_RDONLY);
}

// Strings and structs that end where memory does.
static void edges(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec *ts = (void *)(page + 4096 - sizeof(*ts));

	munmap(page + 4096, 4096);
	strcpy(page + 4096 - 5, "/etc");
	access(page + 4096 - 5, F_OK);
	memset(page + 4096 - 3, 'x', 3);
	access(page + 4096 - 3, F_OK); // no NUL before the hole: EFAULT
	ts->tv_sec = 0;
	ts->tv_nsec = 1000;
	nanosleep(ts, NULL);
	nanosleep((void *)(page + 4096 - 8), NULL);
	munmap(page, 4096);
}

static void sockets(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un u = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
	socklen_t len = sizeof(a);
	int sv[2], one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), p[2], got;
	struct msghdr m = {0};
	struct iovec iov = {"hello", 5};
	struct pollfd pfd[2];
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 7}, out[4];
	fd_set r;
	struct timeval tv = {0, 1000};
	int ep, efd;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	connect(s, (void *)&a, sizeof(a));
	a.sin_port = 0;
	bind(s, (void *)&a, sizeof(a));
	listen(s, 5);
	getsockname(s, (void *)&a, &len);
	len = sizeof(one);
	getsockopt(s, SOL_SOCKET, SO_ERROR, &one, &len);
	close(s);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(s, (void *)&u, sizeof(u));
	close(s);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	sendmsg(sv[0], &m, 0);
	ioctl(sv[1], FIONREAD, &got);
	recv(sv[1], &got, 4, MSG_PEEK);
	shutdown(sv[0], SHUT_WR);
	pipe2(p, O_CLOEXEC);
	pfd[0] = (struct pollfd){.fd = p[0], .events = POLLIN};
	pfd[1] = (struct pollfd){.fd = sv[1], .events = POLLIN | POLLOUT};
	poll(pfd, 2, 10);
	ep = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(ep, EPOLL_CTL_ADD, sv[1], &ev);
	epoll_wait(ep, out, 4, 10);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	FD_SET(sv[1], &r);
	select(20, &r, NULL, NULL, &tv);
	efd = eventfd(3, EFD_NONBLOCK);
	close(efd);
	close(ep);
	close(p[0]);
	close(p[1]);
	close(sv[0]);
	close(sv[1]);
}

static void misc(void)
{
	struct utsname un;
	struct sysinfo si;
	struct rlimit rl;
	struct rusage ru;
	struct itimerval it = {{0, 0}, {0, 3000}};
	sigset_t set;
	cpu_set_t cpus;
	struct timespec ts = {0, 20000000};
	int tfd;
	struct itimerspec its = {{0, 0}, {0, 1000000}};

	uname(&un);
	sysinfo(&si);
	getrlimit(RLIMIT_NOFILE, &rl);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, rl.rlim_max ? 0 : 0});
	getrusage(RUSAGE_SELF, &ru);
	signal(SIGALRM, handler);
	setitimer(ITIMER_REAL, &it, NULL);
	nanosleep(&ts, &ts); // interrupted by SIGALRM
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	sigwaitinfo(&set, NULL);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	tfd = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(tfd, 0, &its, NULL);
	read(tfd, &(long){0}, 8);
	close(tfd);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, 1000}, NULL);
	getpriority(PRIO_PROCESS, 0);
	syscall(999, 1, 2, 3); // no such call
}

int main(int argc, char **argv)
{
	pthread_t t[4];
	pid_t pid;
	int status;

	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "after-exec")) {
		write(1, "after exec\n", 11);
		return 42;
	}
	if (argc > 1 && !strcmp(argv[1], "child"))
		return 7;
	files();
	edges();
	sockets();
	misc();
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, worker, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	// a child that ends, one that is killed while it waits, one by vfork
	pid = fork();
	if (!pid)
		_exit(3);
	waitpid(pid, &status, 0);
	pid = fork();
	if (!pid) {
		pause();
		_exit(4);
	}
	usleep(50000);
	kill(pid, SIGKILL);
	wait4(pid, &status, 0, NULL);
	pid = vfork();
	if (!pid) {
		execl(self, "torture", "child", (char *)NULL);
		_exit(5);
	}
	waitpid(pid, &status, 0);
	pid = fork();
	if (!pid)
		*(volatile int *)8 = 1; // SIGSEGV
	waitpid(pid, &status, 0);
	execl("/nonexistent/program", "x", (char *)NULL);
	pthread_create(&t[0], NULL, exec_thread, NULL);
	pause(); // until the thread's execve ends this thread
	return 1;
}
