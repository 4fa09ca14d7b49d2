/* noise SECONDS CMD...: 200 threads that make calls as fast as they can, 20,000 opens that fail, and 50 processes that end well, for so many seconds; then another program in its place. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 200, OPENS = 20000, PROCESSES = 50 };

static double until;
static atomic_int opened, started;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *make_noise(void *arg)
{
	char path[64];
	int i, n;

	do {
		if ((n = atomic_fetch_add(&opened, 1)) < OPENS) {
			snprintf(path, sizeof(path), "/srv/cache/%d/object-%d", n % 100, n);
			open(path, O_RDONLY);
		}
		if (atomic_fetch_add(&started, 1) < PROCESSES) {
			pid_t child = fork();

			if (!child)
				_exit(0);
			waitpid(child, NULL, 0);
		}
		for (i = 0; i < 100; i++)
			syscall(SYS_getppid);
	} while (now() < until);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int i;

	until = now() + atof(argv[1]);
	for (i = 0; i < THREADS; i++)
		if ((errno = pthread_create(&threads[i], NULL, make_noise, NULL))) {
			perror("pthread_create");
			return 99;
		}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 98;
}
