// SPDX-License-Identifier: Apache-2.0
// Makes calls that carry a number each, as fast as it can, from several threads.
//
//   numbered THREADS CALLS FORGE
//   numbered THREADS sleep
//   numbered THREADS CALLS fail
//
// Each thread makes CALLS calls getppid(n, thread, ~n, n * 2654435761, 0, 0x4242).
// With FORGE not 0 one more thread writes 4 KiB of forged records to descriptor 1
// all the time, at every alignment, for random positions and cookies. With sleep
// in place of CALLS the threads wait, for ever, in pause(). With fail in place of FORGE the
// calls are those of failing[] in turn, with -1 before these arguments; each 16th is a write
// to descriptor 2 of 16 to 615 bytes: n, the thread, and what is left is n's lowest byte.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long calls;
static int asleep, fails;
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

static const long failing[] = { SYS_close, SYS_fsync, SYS_fdatasync, SYS_fchdir, SYS_dup, SYS_fchown, SYS_fchmod };

static void *fail(void *arg)
{
	uint64_t thread = (uint64_t)(uintptr_t)arg;
	uint64_t text[80];

	for (uint64_t n = 0; n < (uint64_t)calls; n++) {
		if (n % 16 == 15) {
			memset(text, n & 0xff, sizeof(text));
			text[0] = n;
			text[1] = thread;
			if (write(2, text, 16 + n * 37 % 600) < 0)
				_exit(3);
		} else {
			syscall(failing[n % (sizeof(failing) / sizeof(*failing))], -1L, n, thread, ~n, n * 2654435761u, 0x4242);
		}
	}
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
	fails = argc > 3 && !strcmp(argv[3], "fail");
	if (threads > 64)
		return 2;
	if (argc > 3 && atoi(argv[3]))
		pthread_create(&f, NULL, forge, NULL);
	for (long i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, fails ? fail : count, (void *)(i + 1));
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	done = 1;
	return 0;
}
