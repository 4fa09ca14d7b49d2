// SPDX-License-Identifier: Apache-2.0
// Opens files whose names are in pages that nobody has touched, while seccomp refuses
// the call (O_SYNC) or a notifier answers it (O_DSYNC). Its argument is a file that holds
// a path.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int listener;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *answer(void *arg)
{
	struct seccomp_notif req = {};
	struct seccomp_notif_resp resp = {.error = -13};

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req))
		die("receive");
	resp.id = req.id;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp))
		die("send");
	return arg;
}

static char *untouched(const char *file)
{
	int fd = open(file, O_RDONLY);
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	if (fd < 0 || p == MAP_FAILED)
		die(file);
	return p;
}

int main(int argc, char **argv)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, O_SYNC, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, O_DSYNC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
	};
	struct sock_fprog prog = {sizeof(filter) / sizeof(*filter), filter};
	char *one = untouched(argv[1]), *two = untouched(argv[1]);
	static char here[] = "/in/memory";
	pthread_t t;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("prctl");
	listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (listener < 0 || pthread_create(&t, NULL, answer, NULL))
		die("seccomp");
	here[0] = '/';
	syscall(SYS_openat, -100, here, O_SYNC);
	syscall(SYS_openat, -100, one, O_SYNC);
	syscall(SYS_openat, -100, two, O_DSYNC);
	syscall(SYS_openat, -100, (char *)16, 0); // EFAULT: the kernel has tried
	pthread_join(t, NULL);
	return 0;
}
