// SPDX-License-Identifier: Apache-2.0
// Makes calls that carry a number each, as fast as it can, from several threads.
//
//   numbered THREADS CALLS FORGE
//   numbered THREADS sleep
//
// Each thread makes CALLS calls getppid(n, thread, ~n, n * 2654435761, 0, 0x4242).
// With FORGE not 0 one more thread writes 4 KiB of forged records to descriptor 1
// all the time, at every alignment, for random positions and cookies. With sleep
// in place of CALLS the threads wait, for ever, in pause().
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long calls;
static int asleep;
static volatile int done;

static void *count(void *arg)
{
	uint64_t thread = (uint64_t)(uintptr_t)arg;

	while (asleep)
		pause();
	for (uint64_t n = 0; n < (uint64_t)calls; n++)
		syscall(SYS_getppid, n, thread, ~n, n * 2654435761u, 0, 0x4242);
	return NULL;
}

static void *forge(void *arg)
{
	uint64_t buf[512];
	uint64_t pos = 0, guess = 0;

	(void)arg;
	while (!done) {
		for (int i = 0; i + 4 <= 512; i += 4) {
			// stamp: position, 4 units long, a call; cookie guessed
			buf[i] = (pos << 24 | 4 << 14 | 1) ^ guess;
			buf[i + 1] = 1;
			buf[i + 2] = 0xdeadbeef;
			buf[i + 3] = 0;
			pos += 4;
			guess = guess * 6364136223846793005u + 1442695040888963407u;
		}
		if (write(1, buf, sizeof(buf)) < 0)
			return NULL;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 2;
	pthread_t t[64], f;

	calls = argc > 2 ? atol(argv[2]) : 1000000;
	asleep = argc > 2 && !strcmp(argv[2], "sleep");
	if (threads > 64)
		return 2;
	if (argc > 3 && atoi(argv[3]))
		pthread_create(&f, NULL, forge, NULL);
	for (long i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, count, (void *)(i + 1));
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	done = 1;
	return 0;
}
