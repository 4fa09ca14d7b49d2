/* Makes noise of some kinds, then what matters, then many cheap calls, and ends.
 *
 *   loud lines N     N lines on stderr, then the last words
 *   loud opens N     N opens of files that are not there, then the decisive one
 *   loud attack      24 calls times 64 errors, more or less, again and again
 *   loud threads N   N short threads
 *   loud children N  N processes that exit with 1, after one that SIGSEGV ends
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		_exit(99);
}

static void *nothing(void *name)
{
	prctl(PR_SET_NAME, name);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0, status;
	char text[128];
	pthread_t thread;
	pid_t child;

	say(1, "first words\n");
	open("/etc/first.conf", O_RDONLY);
	if (!strcmp(kind, "lines")) {
		for (int i = 0; i < n; i++) {
			snprintf(text, sizeof(text), "line %d of the log, as long as lines are\n", i);
			say(2, text);
		}
	} else if (!strcmp(kind, "opens")) {
		for (int i = 0; i < n; i++) {
			snprintf(text, sizeof(text), "/usr/lib/modules/missing-%d.so", i);
			open(text, O_RDONLY);
		}
	} else if (!strcmp(kind, "attack")) {
		/* A child whose end tells, and which the rest shall not push out. */
		if (!(child = fork()))
			execl("/bin/sh", "sh", "-c", "kill -SEGV $$", NULL);
		waitpid(child, &status, 0);
		say(2, "the last words before the attack\n");
		/* Calls that do not exist or are refused: whatever number comes first has
		 * its own error. Long and short, renames in between. */
		static const int calls[] = {
			SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_lseek, SYS_mmap, SYS_munmap, SYS_ioctl, SYS_pread64, SYS_madvise, SYS_dup,
			SYS_getitimer, SYS_connect, SYS_sendto, SYS_bind, SYS_getsockname, SYS_kill, SYS_fcntl, SYS_fsync, SYS_ftruncate,
			SYS_fchmod, SYS_getpriority, SYS_epoll_ctl, SYS_tgkill,
		};
		char path[3000];
		memset(path, 'x', sizeof(path) - 1);
		path[0] = '/', path[sizeof(path) - 1] = 0;
		for (int i = 0; i < 2000; i++) {
			for (unsigned c = 0; c < sizeof(calls) / sizeof(*calls); c++)
				syscall(calls[c], -1, -1L, -1L, -1L, -1L, -1L);
			syscall(1000 + i % 1000); /* none of them exists */
			open(path, O_RDONLY);
			execl(path, path, NULL);
			snprintf(text, sizeof(text), "name %d", i);
			prctl(PR_SET_NAME, text);
		}
	} else if (!strcmp(kind, "threads")) {
		if (!(child = fork())) {
			prctl(PR_SET_NAME, "who-was-it");
			_exit(5);
		}
		waitpid(child, &status, 0);
		for (int i = 0; i < n; i++) {
			if (pthread_create(&thread, NULL, nothing, "short"))
				return 98;
			pthread_join(thread, NULL);
		}
		pthread_create(&thread, NULL, nothing, "the-last");
		pthread_join(thread, NULL);
	} else if (!strcmp(kind, "children")) {
		if (!(child = fork())) {
			prctl(PR_SET_NAME, "decisive");
			raise(SIGSEGV);
		}
		waitpid(child, &status, 0);
		for (int i = 0; i < n; i++) {
			if (!(child = vfork()))
				_exit(0);
			waitpid(child, &status, 0);
		}
	}
	open("/etc/decisive.conf", O_RDONLY);
	say(2, "loud: cannot go on without /etc/decisive.conf\n");
	for (int i = 0; i < 300000; i++)
		syscall(SYS_getppid);
	return 3;
}
