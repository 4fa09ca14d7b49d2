// SPDX-License-Identifier: Apache-2.0
// Calls that write over their own input: argument 1 is a link, 2 what it points to.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char p[4096], q[4096];

int main(int argc, char **argv)
{
	unsigned long set = 1 << 9, both;

	strcpy(p, argv[1]);
	syscall(SYS_readlink, p, p, sizeof(p));
	strcpy(p, argv[1]);
	syscall(SYS_readlink, p, q, sizeof(q));
	strcpy(q + 10, argv[1]);
	syscall(SYS_readlink, q + 10, q, sizeof(q)); // the result is longer than 10
	strcpy(p, argv[2]);
	syscall(SYS_newfstatat, -100, p, p, 0);
	strcpy(p, argv[2]);
	syscall(SYS_newfstatat, -100, p, q, 0);
	strcpy(p, "/nonexistent/file");
	syscall(SYS_newfstatat, -100, p, p, 0); // which writes nothing
	strcpy(p, argv[2]);
	syscall(SYS_statfs, p, p);
	both = set;
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &both, &both, 8);
	both = set;
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, &both, 8);
	return 0;
}
