// SPDX-License-Identifier: Apache-2.0
// Starts threads from a stack that is used again at once, and reads a file that is open all
// the while. The name of the file is its argument.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 100 };

static void *child(void *arg)
{
	return arg;
}

static void __attribute__((noinline)) scribble(void)
{
	volatile char stack[4096];

	memset((char *)stack, 0x5a, sizeof(stack));
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int fd = open(argv[1], O_RDONLY);
	char c;

	if (fd < 0)
		return 1;
	for (int i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, child, NULL))
			return 1;
		for (int j = 0; j < 50; j++)
			scribble();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return read(fd, &c, 1) != 1;
}
