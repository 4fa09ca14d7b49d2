// SPDX-License-Identifier: Apache-2.0
// A container's program that makes calls which carry a number each, and then ends
// as it is told.
//
//   worker CALLS PAUSE_US END [BASE [THREADS]]
//
// Calls lseek(fd, BASE + n, SEEK_SET) for n = 1 … CALLS on /dev/null with PAUSE_US
// between them, in each of THREADS threads. END: a number: exits with it; "segv": dies
// of SIGSEGV; "stay": waits; "bomb": each process forks twice, CALLS deep.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd;
static long calls, pause_us, base;

static void *count(void *arg)
{
	(void)arg;
	for (long n = 1; n <= calls; n++) {
		lseek(fd, base + n, SEEK_SET);
		if (pause_us)
			usleep(pause_us);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[64];
	int threads = argc > 5 ? atoi(argv[5]) : 1;

	if (argc < 4 || threads > 64)
		return 2;
	calls = atol(argv[1]), pause_us = atol(argv[2]);
	base = argc > 4 ? atol(argv[4]) : 0;
	if (!strcmp(argv[3], "bomb")) {
		for (long depth = 0; depth < calls; depth++)
			fork();
		while (wait(NULL) > 0)
			;
		_exit(0);
	}
	fd = open("/dev/null", O_RDONLY);
	for (int i = 1; i < threads; i++)
		pthread_create(&t[i], NULL, count, NULL);
	count(NULL);
	for (int i = 1; i < threads; i++)
		pthread_join(t[i], NULL);
	if (!strcmp(argv[3], "segv"))
		*(volatile int *)8 = 1;
	while (!strcmp(argv[3], "stay"))
		pause();
	_exit(atoi(argv[3]));
}
